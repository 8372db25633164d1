import gzip
from datetime import UTC, datetime

import pytest

from pipeline.errors import ProviderError
from pipeline.providers.trends.google import GoogleTrends, Limits, score_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
FEED_HEAD = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<rss xmlns:ht="https://trends.google.com/trending/rss" version="2.0"><channel>'
    "<title>Daily Search Trends</title>"
)
FEED_TAIL = "</channel></rss>"


def item(title="wordle", *, traffic="2000+", date="Mon, 4 May 2026 03:00:00 -0700", news=()):
    titles = "".join(
        f"<ht:news_item><ht:news_item_title>{text}</ht:news_item_title>"
        "<ht:news_item_url>https://example.com</ht:news_item_url></ht:news_item>"
        for text in news
    )
    return (
        f"<item><title>{title}</title><ht:approx_traffic>{traffic}</ht:approx_traffic>"
        f"<pubDate>{date}</pubDate>{titles}</item>"
    )


def feed(*items):
    return (FEED_HEAD + "".join(items) + FEED_TAIL).encode()


def source(server, **limits):
    limits = {"read_s": 1.0, "total_s": 2.0, "size_bytes": 400_000, **limits}
    return GoogleTrends(url=server.url, region="AU", limits=Limits(**limits), now=lambda: NOW)


def refused(server, **limits):
    with pytest.raises(ProviderError) as caught:
        source(server, **limits).fetch(10)
    return caught.value


def test_a_feed_gives_names_scores_times_and_every_headline(server):
    server.respond(feed(item(news=["One &amp; only", "Two", "Three"]), item("F1", traffic="1M+")))
    wordle, f1 = source(server).fetch(10)
    assert wordle.name == "wordle"
    assert wordle.headlines == ("One & only", "Two", "Three")
    assert wordle.timestamp == datetime(2026, 5, 4, 10, tzinfo=UTC)
    assert (wordle.score, f1.score) == (0.55, 1.0)
    assert (wordle.source, wordle.region) == ("google", "AU")


def test_the_region_is_asked_for_and_nothing_is_followed(server):
    server.respond(feed(item()))
    source(server).fetch(1)
    assert server.requests[0].startswith("GET /trending/rss?geo=AU HTTP/1.1")


def test_a_packed_feed_is_read(server):
    server.respond(gzip.compress(feed(item())), headers=["Content-Encoding: gzip"])
    assert [trend.name for trend in source(server).fetch(5)] == ["wordle"]


def test_missing_fields_do_not_matter(server):
    server.respond(feed("<item><title>x</title></item>", "<item/>", item("y", date="gibberish")))
    trends = source(server).fetch(5)
    assert [(t.name, t.score, t.timestamp) for t in trends] == [("x", 0, NOW), ("y", 0.55, NOW)]


def test_a_time_from_the_future_becomes_now(server):
    server.respond(feed(item(date="Mon, 4 May 2099 03:00:00 +0000")))
    assert source(server).fetch(1)[0].timestamp == NOW


def test_the_same_name_counts_once_and_the_limit_holds(server):
    server.respond(feed(item("Spurs"), item("spurs"), item("b"), item("c")))
    assert [trend.name for trend in source(server).fetch(2)] == ["Spurs", "b"]


def test_titles_become_plain_text_on_one_line(server):
    server.respond(feed(item("a\u202eb\u200b &lt;b&gt;bold&lt;/b&gt;\n\tc\u0085d")))
    assert source(server).fetch(1)[0].name == "ab bold c d"


def test_a_title_of_100_kb_is_cut(server):
    server.respond(feed(item("long " * 20_000, news=["word " * 20_000])))
    (trend,) = source(server).fetch(1)
    assert len(trend.name) <= 120
    assert len(trend.headlines[0]) <= 200


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE rss [<!ENTITY a "b">]>' + feed(item("&a;")),
        b'<?xml version="1.0"?><!doctype rss SYSTEM "file:///etc/passwd"><rss/>',
        b'<! DOCTYPE rss [<!ENTITY a "b">]>' + feed(item()),
        b'\xef\xbb\xbf<!DOCTYPE rss [<!ENTITY a "b">]><rss/>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE rss [<!ENTITY a "b">]><rss/>'.encode(
            "utf-16"
        ),
        '<!DOCTYPE rss [<!ENTITY a "b">]><rss/>'.encode("utf-16-le"),
        '<!DOCTYPE rss [<!ENTITY a "b">]><rss/>'.encode("utf-32-be"),
        b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE rss+AD4-<rss/>',
        '<?xml version="1.0" encoding="cp037"?><!DOCTYPE rss><rss/>'.encode("cp037"),
    ],
)
def test_a_document_type_is_refused_in_every_disguise(server, body):
    server.respond(body)
    refused(server)


def test_a_declared_encoding_cannot_hide_anything(server):
    server.respond(feed(item()).replace(b"UTF-8", b"UTF-16"))
    assert source(server).fetch(1)[0].name == "wordle"


@pytest.mark.parametrize("head", ["<!doctype html>", ""])
def test_a_consent_page_is_not_a_feed(server, head):
    server.respond(f"{head}<html><body>Before you continue</body></html>".encode())
    error = refused(server)
    assert "consent" in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        ("404 Not Found", True),
        ("429 Too Many Requests", True),
        ("500 Oops", True),
        ("503 Service Unavailable", True),
        ("403 Forbidden", False),
        ("204 No Content", False),
    ],
)
def test_a_bad_status_says_whether_waiting_helps(server, status, retryable):
    server.respond(b"", status=status)
    assert refused(server).retryable is retryable


def test_the_time_to_wait_is_passed_on(server):
    server.respond(b"", status="429 Too Many Requests", headers=["Retry-After: 90"])
    assert refused(server).retry_after_s == 90


def test_a_time_to_wait_that_is_no_number_is_ignored(server):
    server.respond(b"", status="429 Too Many Requests", headers=["Retry-After: soon"])
    assert refused(server).retry_after_s is None


def test_a_redirect_is_not_followed(server):
    server.respond(b"", status="302 Found", headers=["Location: https://consent.example.com/"])
    assert not refused(server).retryable
    assert len(server.requests) == 1


def test_a_slow_body_is_cut_off(server):
    server.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"<")
    error = refused(server, total_s=0.3)
    assert error.retryable
    assert "slowly" in str(error)


def test_slow_headers_are_cut_off(server):
    server.drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a")
    assert "slowly" in str(refused(server, total_s=0.3))


def test_silence_is_cut_off(server):
    server.answer = lambda connection: server.stopping.wait(5)
    assert refused(server, read_s=0.2).retryable


def test_an_endless_body_is_cut_off(server):
    server.drip(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 100_000)
    assert "larger" in str(refused(server, total_s=10))


def test_a_small_answer_that_unpacks_to_gigabytes_is_cut_off(server):
    server.respond(gzip.compress(bytes(50_000_000)), headers=["Content-Encoding: gzip"])
    assert "larger" in str(refused(server, total_s=10))


def test_packing_we_did_not_ask_for_is_refused(server):
    server.respond(b"x", headers=["Content-Encoding: br"])
    assert "packed" in str(refused(server))


def test_damaged_packing_is_a_failure_of_the_feed(server):
    server.respond(b"not gzip at all", headers=["Content-Encoding: gzip"])
    assert refused(server).retryable


@pytest.mark.parametrize(
    "body",
    [feed(item())[:-30], b"", b"just text", b"\0" * 20, b"\xff\xfe\x00\x01", b"<rss></rss>"],
)
def test_a_torn_or_empty_feed_is_a_failure(server, body):
    server.respond(body)
    refused(server)


def test_a_dropped_connection_may_work_later(server):
    server.answer = lambda connection: None
    assert refused(server).retryable


def test_a_body_that_ends_early_may_work_later(server):
    server.answer = lambda connection: connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n<rss>"
    )
    assert refused(server).retryable


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/", "not a url", "http://127.0.0.1:1/"])
def test_an_address_that_does_not_answer_is_a_failure(url):
    with pytest.raises(ProviderError):
        GoogleTrends(url=url, region="US").fetch(3)


@pytest.mark.parametrize(
    ("traffic", "score"),
    [("", 0), ("0", 0), ("1", 0), ("100+", 0.333), ("2000+", 0.55), ("2K+", 0.55), ("1M+", 1),
     ("20,000+", 0.717), ("999999999999", 1), ("-5", 0.116), ("many", 0), ("٣+", 0)],
)  # fmt: skip
def test_the_score_is_the_logarithm_of_the_searches(traffic, score):
    assert score_of(traffic) == score
