"""The sources against services that answer as the real ones do."""

from datetime import UTC, datetime, timedelta

import pytest
from standins.feeds import Feeds, story
from standins.server import HTML, Drop, Garbled, Half, Reply, redirect

from pipeline.config import TrendsConfig
from pipeline.errors import ProviderError
from pipeline.providers.trends.answers import Answers
from pipeline.providers.trends.feed import FeedTrends
from pipeline.providers.trends.google import GoogleTrends
from pipeline.providers.trends.hackernews import MOST_STORIES, HackerNewsTrends
from pipeline.providers.trends.sources import MOST_FEEDS, sources_of
from pipeline.providers.trends.wikipedia import WikipediaTrends

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
NAMES = ("google", "wikipedia", "hackernews", "feed:127.0.0.1")
CALLS = {name: name for name in NAMES} | {
    "hackernews": "topstories",
    "feed:127.0.0.1": "feed",
}


@pytest.fixture
def feeds():
    with Feeds(now=NOW) as feeds:
        yield feeds


@pytest.fixture
def sources(feeds, tmp_path):
    def clock():
        return feeds.now

    answers = Answers(tmp_path / "cache" / "feeds")
    everything = [
        GoogleTrends(url=feeds.rss_url, region="AU", answers=answers, now=clock),
        WikipediaTrends(url=feeds.wikipedia_url, region="AU", answers=answers, now=clock),
        HackerNewsTrends(url=feeds.hackernews_url, now=clock),
        FeedTrends(name="feed:127.0.0.1", url=feeds.feed_url, answers=answers, now=clock),
    ]
    return {source.name: source for source in everything}


def found(source, limit=10):
    return [(item.name, item.score) for item in source.fetch(limit)]


def test_google_tells_searches(sources):
    assert found(sources["google"]) == [("wordle", 0.55), ("F1", 0.717)]


def test_wikipedia_tells_what_a_country_read_yesterday_and_leaves_out_front_pages(feeds, sources):
    assert found(sources["wikipedia"]) == [("Steam Deck", 0.714), ("Pigeon", 0.657)]
    (request,) = feeds.requests
    assert request.path.endswith("/top-per-country/AU/all-access/2026/05/03")


def test_wikipedia_is_asked_for_the_day_before_when_yesterday_is_not_there_yet(feeds, sources):
    del feeds.views[NOW.date() - timedelta(days=1)]
    steam, _ = sources["wikipedia"].fetch(5)
    assert steam.timestamp == datetime(2026, 5, 2, tzinfo=UTC)
    assert feeds.called("wikipedia") == 2


def test_a_country_without_numbers_is_a_failure_after_two_requests(feeds, sources):
    feeds.views.clear()
    with pytest.raises(ProviderError, match="no numbers for AU") as caught:
        sources["wikipedia"].fetch(5)
    assert caught.value.retryable
    assert feeds.called("wikipedia") == 2


def test_hacker_news_gives_names_out_of_headlines(sources):
    assert found(sources["hackernews"]) == [("Postgres 18 released", 0.5), ("SQLite", 0.75)]
    _, sqlite = sources["hackernews"].fetch(5)
    assert sqlite.headlines == ("Why SQLite does not use Git",)
    assert sqlite.timestamp == NOW - timedelta(hours=1)


def test_hacker_news_is_asked_for_so_many_stories_only(feeds, sources):
    feeds.stories = {n: story(n, f"Gadget {n}", 50, NOW) for n in range(1, 501)}
    assert len(sources["hackernews"].fetch(50)) == MOST_STORIES
    assert feeds.called("item") == MOST_STORIES
    assert feeds.called("topstories") == 1


@pytest.mark.parametrize(
    "other",
    [None, [], "x", 5, {"type": "job"}, {"type": "story"}, {"type": "story", "title": ["a"]}],
)
def test_a_story_of_another_shape_is_left_out(feeds, sources, other):
    feeds.stories[101] = other
    assert [name for name, _ in found(sources["hackernews"])] == ["SQLite"]


@pytest.mark.parametrize("mark", ["dead", "deleted"])
def test_a_story_that_was_taken_away_is_left_out(feeds, sources, mark):
    feeds.stories[101] = story(101, "Postgres 18 released", 100, NOW, **{mark: True})
    assert [name for name, _ in found(sources["hackernews"])] == ["SQLite"]


def test_some_stories_may_fail(feeds, sources):
    feeds.fail("item", Reply(503))
    assert 1 <= len(sources["hackernews"].fetch(5)) <= 2


def test_when_every_story_fails_hacker_news_does(feeds, sources):
    feeds.fail("item", Reply(503), times=3)
    with pytest.raises(ProviderError, match="answers 503"):
        sources["hackernews"].fetch(5)
    assert feeds.called("item") == 3


def test_a_feed_tells_fresh_headlines_the_freshest_first(feeds, sources):
    feeds.headlines = [
        ("Pigeon Parade", NOW - timedelta(hours=30)),
        ("Old News", NOW - timedelta(hours=49)),
        ("Steam Deck", NOW),
    ]
    assert found(sources["feed:127.0.0.1"]) == [("Steam Deck", 0.5), ("Pigeon Parade", 0.324)]


@pytest.mark.parametrize("name", NAMES)
def test_a_fetch_is_one_request(feeds, sources, name):
    sources[name].fetch(5)
    assert feeds.called(CALLS[name]) == 1
    assert feeds.called("elsewhere") == 0


@pytest.mark.parametrize("name", ["google", "feed:127.0.0.1"])
def test_an_unchanged_answer_is_not_sent_again(feeds, sources, name):
    first = sources[name].fetch(5)
    assert "if-none-match" not in feeds.requests[0].headers
    assert sources[name].fetch(5) == first
    assert feeds.requests[1].headers["if-none-match"]


def test_a_changed_answer_replaces_the_kept_one(feeds, sources):
    sources["google"].fetch(5)
    feeds.searches = [("Pigeons", "500+", [])]
    assert [name for name, _ in found(sources["google"])] == ["Pigeons"]
    assert [name for name, _ in found(sources["google"])] == ["Pigeons"]


def test_a_damaged_kept_answer_is_as_good_as_none(feeds, sources, tmp_path):
    first = sources["google"].fetch(5)
    (file,) = (tmp_path / "cache" / "feeds").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    assert sources["google"].fetch(5) == first
    assert "if-none-match" not in feeds.requests[1].headers


def test_a_torn_answer_is_not_kept(feeds, sources):
    torn = Reply(200, "<rss>", content_type="text/xml", headers=(("ETag", '"1"'),))
    feeds.fail("google", torn)
    with pytest.raises(ProviderError):
        sources["google"].fetch(5)
    assert sources["google"].fetch(5)
    assert "if-none-match" not in feeds.requests[1].headers


def test_not_modified_without_a_kept_answer_is_a_failure(feeds, sources):
    feeds.fail("google", Reply(304))
    with pytest.raises(ProviderError):
        sources["google"].fetch(5)


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        (Drop(), True),
        (Half(), True),
        (Reply(429, headers=(("Retry-After", "90"),)), True),
        (Reply(500), True),
        (Reply(503), True),
        (Reply(403, "Forbidden"), False),
        (HTML, False),
        (Garbled("[" * 100_000), True),
        (Garbled('{"items": [{"articles": 5}]}'), True),
        (Garbled("\x00\x01\x02"), None),
        (Garbled('"text"'), True),
        (Garbled("[]"), True),
        (Garbled('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><rss><item/></rss>'), None),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_is_one_request_and_one_sentence(feeds, sources, name, fault, retryable):
    feeds.fail(CALLS[name], fault)
    with pytest.raises(ProviderError) as caught:
        sources[name].fetch(5)
    assert retryable in (None, caught.value.retryable)
    assert len(feeds.requests) == 1
    told = str(caught.value)
    assert told.startswith(f"{name}: ")
    assert len(told) <= 200
    assert told.isprintable()
    assert "s3cret" not in told


@pytest.mark.parametrize("name", NAMES)
def test_a_redirect_to_another_host_is_not_followed(feeds, sources, name):
    with Feeds(now=NOW) as other:
        feeds.fail(CALLS[name], redirect(f"{other.url}/trending/rss?geo=AU"))
        with pytest.raises(ProviderError, match="another address"):
            sources[name].fetch(5)
        assert other.requests == []


def test_a_proxy_of_the_environment_is_not_used(monkeypatch, sources):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert sources["google"].fetch(1)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/feed", "ftp://127.0.0.1/", "file:///etc/passwd", "", "http://", "http://[::1"],
)  # fmt: skip
def test_only_https_and_the_loopback_are_asked(url):
    with pytest.raises(ProviderError, match="address"):
        FeedTrends(name="feed:x", url=url).fetch(5)


HOSTILE = [
    "a\u202eb\u2066c\u200b",
    "@everyone look",
    "<script>alert(1)</script>",
    "x" * 100_000,
    "Wordle\r\nINFO: forged line",
    "{\\pos(1,2)}Wordle",
    "\ud7ff\ufeff Wordle \x07",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_titles_become_one_short_plain_line(feeds, sources, title):
    read = [(title, "en.wikipedia", 10), ("Cat", "en.wikipedia", 1)]
    feeds.views = {NOW.date() - timedelta(days=1): read}
    feeds.stories = {1: story(1, title, 10, NOW), 2: story(2, "Cat Video", 10, NOW)}
    for name in ("wikipedia", "hackernews"):
        for item in sources[name].fetch(5):
            for text in (item.name, *item.headlines):
                assert text.isprintable()
                assert len(text) <= 200


@pytest.mark.parametrize("title", [5, None, ["a"], {"a": 1}])
@pytest.mark.parametrize("views", [-1, 0, "many", None, 1e300, 10**400])
def test_numbers_and_titles_of_another_type_do_not_matter(feeds, sources, title, views):
    rows = [(title, "en.wikipedia", 10), ("Dog", "en.wikipedia", views), ("Cat", "en.wikipedia", 1)]
    feeds.views = {NOW.date() - timedelta(days=1): rows}
    names = [item.name for item in sources["wikipedia"].fetch(5)]
    assert names in (["Cat"], ["Dog", "Cat"])


def test_a_source_without_an_address_is_not_asked(tmp_path):
    assert sources_of(TrendsConfig(rss_url=""), tmp_path) == []


def test_feeds_are_named_by_their_host_and_are_not_endless(tmp_path):
    urls = (
        "https://a.example/token-1/feed",
        "https://a.example/token-2/feed",
        "https://a.example/token-1/feed",
        "https://user:pass@b.example/",
        *(f"https://c{n}.example/" for n in range(50)),
    )
    names = [s.name for s in sources_of(TrendsConfig(rss_url="", feeds=urls), tmp_path)]
    assert names[:3] == ["feed:a.example", "feed:a.example#2", "feed:b.example"]
    assert len(names) == MOST_FEEDS
