"""What /trends says about topics and about sources that do not answer."""

from datetime import UTC, datetime

from cogs.trends import list_text
from storage.records import Trend, TrendSource

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def trend(number, name="Pigeons"):
    return Trend(number, name, 0.5, NOW, "google", "US", "2026-05-04", (), None, None)


def source(name, failures=1, *, until=NOW, error="it answers 503"):
    return TrendSource(name, failures, until, False, error, None)


def test_a_failing_source_says_why_and_when_it_is_asked_again():
    text = list_text([trend(1)], [source("google", 3)])
    assert "Pigeons" in text
    assert "google: it answers 503 (3 times in a row) · rests until <t:1777896000:f>" in text


def test_a_source_that_does_not_rest_is_asked_with_the_next_fetch():
    assert "(once) · asked again with the next fetch" in list_text(
        [], [source("google", until=None)]
    )


def test_all_is_well_without_a_word_on_sources():
    assert "⚠️" not in list_text([trend(1)], [])


def test_a_message_holds_whole_lines_and_never_too_many():
    found = [trend(n, f"@everyone **Pigeons** {n} " + "x" * 90) for n in range(25)]
    failing = [source(f"feed:{n}.example", error="no <@1> " + "y" * 190) for n in range(23)]
    text = list_text(found, failing)
    assert len(text) <= 2000
    assert "18 more sources do not answer." in text
    assert "@everyone" not in text
    assert all(line.endswith("google") for line in text.splitlines() if line.startswith("`"))
