"""Feeds as people write them, and as people should not."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import ProviderError
from pipeline.providers.trends.answers import MOST_FILES, Answer, Answers
from pipeline.providers.trends.download import Limits
from pipeline.providers.trends.feed import FeedTrends, score_of
from pipeline.providers.trends.text import read_json, read_xml

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><entry><title type="html">'
    "Steam &lt;b&gt;Deck&lt;/b&gt;</title><updated>2026-05-03T12:00:00Z</updated></entry></feed>"
)
RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"><item>'
    "<title>Steam Deck</title><dc:date>2026-05-03T14:00:00+02:00</dc:date></item></rdf:RDF>"
)


def fetch(server, body, **limits):
    server.respond(body)
    limits = Limits(**{"read_s": 2.0, "total_s": 10.0, "size_bytes": 400_000, **limits})
    return FeedTrends(name="feed:x", url=server.url, limits=limits, now=lambda: NOW).fetch(10)


@pytest.mark.parametrize("body", [ATOM, RDF])
def test_every_kind_of_feed_is_read(server, body):
    (item,) = fetch(server, body.encode())
    assert (item.name, item.timestamp) == ("Steam Deck", NOW - timedelta(days=1))


def test_an_old_encoding_is_read(server):
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>'
    body = f"{head}<rss><item><title>Café Müller</title></item></rss>"
    (item,) = fetch(server, body.encode("latin-1"))
    assert item.name == "Café Müller"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_an_old_encoding_hides_no_document_type(server, encoding):
    name = {"latin-1": "iso-8859-1", "cp1252": "windows-1252"}[encoding]
    head = f'<?xml version="1.0" encoding="{name}"?>'
    body = f"{head}<!DOCTYPE a><rss><item><title>é</title></item></rss>"
    with pytest.raises(ProviderError, match="document type"):
        fetch(server, body.encode(encoding))


def test_headlines_without_dates_count_by_their_place(server):
    body = "".join(f"<item><title>Gadget {name}</title></item>" for name in ("One", "Two"))
    assert [item.score for item in fetch(server, f"<rss>{body}</rss>".encode())] == [0.5, 0.375]


def test_a_feed_without_fresh_headlines_has_no_topics(server):
    body = "<rss><item><title>Old Thing</title><pubDate>1 Jan 2020 00:00 GMT</pubDate></item></rss>"
    assert fetch(server, body.encode()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"<rss>" + b"<a>" * 100_000,
        b"<rss>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</rss>",
        b"<rss " + b"a" * 300_000,
    ],
)
def test_a_deep_feed_is_a_failure_and_no_crash(server, body):
    with pytest.raises(ProviderError):
        fetch(server, body)


def test_a_feed_of_empty_entries_has_no_topics(server):
    assert fetch(server, b"<rss>" + b"<item/>" * 50_000 + b"</rss>") == []


def test_a_title_of_many_pieces_is_cut(server):
    title = "<b>word</b>" * 20_000
    body = f"<rss><item><title>{title}</title></item><item><title>Cat Video</title></item></rss>"
    assert [item.name for item in fetch(server, body.encode())] == ["Cat Video"]


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff", b"", b"NaN!", b"{"])
def test_json_that_is_deep_or_torn_is_a_failure(body):
    with pytest.raises(ProviderError, match="torn or not JSON"):
        read_json("hackernews", body)


def test_entities_are_not_expanded_even_without_a_document_type():
    with pytest.raises(ProviderError, match="torn"):
        read_xml("feed:x", b"<rss><item><title>&lol;</title></item></rss>")


@pytest.mark.parametrize(("age", "score"), [(0, 0.5), (24, 0.354), (48, 0.25)])
def test_the_score_is_freshness(age, score):
    assert score_of(timedelta(hours=age), 0.9) == score


def test_only_so_many_answers_are_kept(tmp_path):
    answers = Answers(tmp_path)
    for number in range(MOST_FILES + 5):
        answers.keep(f"https://example.com/{number}", Answer(b"body", etag='"1"'))
    assert len(list(tmp_path.iterdir())) == MOST_FILES


def test_an_answer_that_cannot_be_asked_for_again_is_not_kept(tmp_path):
    answers = Answers(tmp_path)
    answers.keep("https://example.com/", Answer(b"old", etag='"1"'))
    answers.keep("https://example.com/", Answer(b"new"))
    assert answers.find("https://example.com/") is None


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    answers = Answers(tmp_path / "file" / "feeds")
    answers.keep("https://example.com/", Answer(b"body", etag='"1"'))
    assert answers.find("https://example.com/") is None


def test_the_name_of_a_kept_answer_tells_no_token(tmp_path):
    Answers(tmp_path).keep("https://example.com/s3cret", Answer(b"body", etag='"1"'))
    (file,) = tmp_path.iterdir()
    assert "s3cret" not in file.name
    assert b"s3cret" not in file.read_bytes()
