from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from standins.feeds import Feeds
from standins.server import Reply

from pipeline.config import TrendsConfig
from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import ProviderError, StageCancelled
from pipeline.facts import Sources
from pipeline.safety import refusal
from pipeline.sections import SourceState, TrendItem
from pipeline.shows import read_show
from pipeline.stages import trends

TINY = Path(__file__).parents[2] / "fixtures" / "tiny_show"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def item(name, score=0.5, *headlines, source="feed"):
    return TrendItem(name=name, score=score, timestamp=NOW, source=source, headlines=headlines)


class Source:
    def __init__(self, name, *items):
        self.name = name
        self.asked = 0
        self._items = items

    def fetch(self, limit):
        self.asked += 1
        return list(self._items)[:limit]


class BrokenSource(Source):
    def __init__(self, name, error=None):
        super().__init__(name)
        self.error = error or ProviderError(name, "it answers 503", True, 90.0)

    def fetch(self, limit):
        self.asked += 1
        raise self.error


@pytest.fixture
def context(tmp_path):
    def make(**config):
        return StageContext(
            episode=0,
            revision=0,
            folder=tmp_path,
            revision_folder=tmp_path,
            data_dir=tmp_path,
            show=read_show(TINY),
            config=TrendsConfig(**config),
        )

    return make


@pytest.fixture
def gathered(context):
    def gather(*sources, known=(), limit=10):
        return trends.gather(sources, Sources(states=known), limit, context(), NOW)

    return gather


def test_offline_uses_the_evergreen_list_alone(context):
    found = trends.run(Sources(), ctx=context(mode="offline", limit=7))
    assert [item.source for item in found.items] == ["evergreen"] * 7
    assert (found.failures, found.sources) == ((), ())


def test_when_all_sources_fail_the_bundled_list_fills_in(context):
    dead = "http://127.0.0.1:1"
    config = context(
        rss_url=f"{dead}/rss",
        wikipedia_url=dead,
        hackernews_url=dead,
        feeds=(f"{dead}/a", f"{dead}/b"),
        limit=5,
    )
    found = trends.run(Sources(), ctx=config)
    assert [item.source for item in found.items] == ["evergreen"] * 5
    names = ["google", "wikipedia", "hackernews", "feed:127.0.0.1", "feed:127.0.0.1#2"]
    assert [state.name for state in found.sources] == names
    assert [failure.rsplit(": ", 1)[0] for failure in found.failures] == names


def test_every_source_of_the_config_is_asked_and_one_may_fail(context, tmp_path):
    with Feeds(now=datetime.now(UTC)) as feeds:
        feeds.searches.append(("steam deck", "100+", ["A headline"]))
        feeds.fail("feed", Reply(429, headers=(("Retry-After", "7200"),)))
        config = context(
            rss_url=feeds.rss_url,
            wikipedia_url=feeds.wikipedia_url,
            hackernews_url=feeds.hackernews_url,
            feeds=(feeds.feed_url,),
        )
        found = trends.run(Sources(), ctx=config)
        calls = ("google", "wikipedia", "topstories", "item", "feed", "elsewhere")
        assert [feeds.called(call) for call in calls] == [1, 1, 1, 3, 1, 0]
    (deck,) = (one for one in found.items if one.name == "Steam Deck")
    assert (deck.source, deck.score) == ("wikipedia", 0.714)
    assert "A headline" in deck.headlines
    assert {"google", "wikipedia", "hackernews", "evergreen"} == {one.source for one in found.items}
    assert found.failures == ("feed:127.0.0.1: it answers 429.",)
    assert [(s.failures, s.has_named) for s in found.sources] == [(0, False)] * 3 + [(1, True)]
    assert list((tmp_path / "cache" / "feeds").iterdir())


def test_all_sources_are_asked_however_much_the_first_finds(gathered):
    sources = [Source("a", *map(item, "abc")), Source("b", item("Wordle"))]
    found = gathered(*sources, limit=3)
    assert [source.asked for source in sources] == [1, 1]
    assert len(found.items) == 4


def test_each_source_gives_at_most_the_limit(gathered):
    assert len(gathered(Source("a", *map(item, "abcdef")), limit=2).items) == 2


def test_one_topic_of_two_sources_keeps_the_best_score_and_all_headlines(gathered):
    found = gathered(
        Source("a", item("grève stm", 0.4, "One", "Two"), item("Spurs", 0.5)),
        Source("b", item("STM Greve", 0.8, "Two", "Three")),
    )
    best, spurs = found.items
    assert (best.name, best.score, spurs.name) == ("STM Greve", 0.8, "Spurs")
    assert set(best.headlines) >= {"One", "Two", "Three"}


def test_the_filter_reads_what_every_source_knows_of_a_topic(gathered):
    (vigar,) = gathered(
        Source("a", item("billy vigar", 0.8, "Former Arsenal player")),
        Source("b", item("Billy Vigar", 0.3, "Billy Vigar dies after head injury")),
    ).items
    assert refusal(vigar.name, vigar.headlines)


def test_one_failing_source_does_not_fail_the_others(gathered):
    found = gathered(BrokenSource("broken"), Source("b", item("Wordle")))
    assert [item.name for item in found.items] == ["Wordle"]
    assert found.failures == ("broken: it answers 503.",)


def test_a_bug_in_one_source_does_not_fail_the_others(gathered, caplog):
    found = gathered(BrokenSource("odd", RecursionError("deep")), Source("b", item("Wordle")))
    assert [item.name for item in found.items] == ["Wordle"]
    assert "bug of ours" in found.failures[0]
    assert "odd met a bug" in caplog.text


def test_failing_and_answering_is_remembered(gathered):
    broken, fine = gathered(BrokenSource("broken"), Source("b", item("Wordle"))).sources
    assert (broken.failures, broken.error) == (1, "it answers 503")
    assert broken.not_before == NOW + timedelta(minutes=5)
    assert fine == SourceState(name="b", answered_at=NOW)


def test_a_resting_source_is_not_asked_and_stays_as_it_was(gathered):
    rests = SourceState(name="a", failures=3, not_before=NOW + timedelta(seconds=1))
    source = Source("a", item("Wordle"))
    found = gathered(source, known=(rests,))
    assert (source.asked, found.items, found.sources) == (0, (), (rests,))


def test_a_source_that_has_rested_is_asked_and_forgiven(gathered):
    rested = SourceState(name="a", failures=3, not_before=NOW, error="it answers 503")
    found = gathered(Source("a", item("Wordle")), known=(rested,))
    assert found.sources == (SourceState(name="a", answered_at=NOW),)


def test_a_source_that_is_no_longer_named_is_forgotten(gathered):
    gone = SourceState(name="gone", failures=3)
    assert [state.name for state in gathered(Source("a"), known=(gone,)).sources] == ["a"]


def test_the_bundled_list_fills_the_gaps_without_what_was_found():
    bundled = Source("list", item("wordle answers"), item("Naps"), item("Soup"))
    filled = trends.filled([item("Wordle")], bundled, 2)
    assert [one.name for one in filled] == ["Wordle", "Naps"]


def test_a_cancelled_fetch_asks_nobody(gathered, tmp_path):
    (tmp_path / CANCEL_FILE).touch()
    source = Source("a", item("Wordle"))
    with pytest.raises(StageCancelled):
        gathered(source)
    assert source.asked == 0


def test_a_fetch_is_cancelled_while_a_source_dawdles(gathered, tmp_path):
    class Slow(Source):
        def fetch(self, limit):
            (tmp_path / CANCEL_FILE).touch()
            ended.wait(60)
            return []

    ended = Event()
    with pytest.raises(StageCancelled):
        gathered(Slow("slow"))
    ended.set()
