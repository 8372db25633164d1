import pytest

from pipeline.providers.trends.headlines import topic_of


@pytest.mark.parametrize(
    ("headline", "topic"),
    [
        ("Steam Deck", "Steam Deck"),
        ("wordle", "wordle"),
        ("SQLite: The Hidden Chapters", "SQLite"),
        ("Apple releases iOS 26.1 with fixes", "iOS 26.1"),
        ("Show HN: I built a tiny LLM in Excel", "LLM"),
        ("Why SQLite does not use Git", "SQLite"),
        ("My Mac Mini runs my house [pdf]", "Mac Mini"),
        ("Waymo gets approval to operate at San Jose airport", "San Jose"),
        ("Postgres 18 released (2025)", "Postgres 18 released"),
        ("GitHub is down", "GitHub is down"),
    ],
)
def test_a_headline_gives_the_name_in_it(headline, topic):
    assert topic_of(headline) == topic


@pytest.mark.parametrize(
    "headline",
    [
        "",
        "Ask HN: What are you working on? (November 2025)",
        "How to be good at everything",
        "People keep asking about it for no reason",
        "2025",
        "12 - 13",
        "November 18",
        "...",
        "x" * 5000,
    ],
)
def test_a_headline_that_names_nothing_gives_no_topic(headline):
    assert topic_of(headline) is None


@pytest.mark.parametrize(
    "headline", ["A" * 5000, "Aa " * 2000, ": " * 3000, "- " * 3000, "(" * 4000]
)
def test_an_endless_headline_is_no_work(headline):
    topic = topic_of(headline)
    assert topic is None or len(topic) <= 40
