import pytest

from pipeline.providers.writers.filter import tidied


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" “It’s mine…” ", '"It\'s mine..."'),
        ("I ran — fast — home.", "I ran, fast, home."),
        ("Wait—what?", "Wait, what?"),
        ("But I never—", "But I never..."),
        ("It takes 5–12 years.", "It takes 5-12 years."),
        ("cafe\u0301\u00a0noir", "café noir"),
        ("A well-known lamp.", "A well-known lamp."),
    ],
)
def test_typography_becomes_what_voices_and_captions_know(written, kept):
    assert tidied(written) == kept


@pytest.mark.parametrize(
    "text", ["\u202eabc", "a\x00b", "a\r\nb", "a\u200bb", "@all", "<b>", "\x1b"]
)
def test_nothing_dangerous_is_tidied_away_unseen(text):
    assert tidied(text) == text
