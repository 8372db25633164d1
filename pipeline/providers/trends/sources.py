"""The sources that a config names; one without an address is not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.config import TrendsConfig
from pipeline.providers.base import TrendSource
from pipeline.providers.trends.answers import Answers
from pipeline.providers.trends.feed import FeedTrends
from pipeline.providers.trends.google import GoogleTrends
from pipeline.providers.trends.hackernews import HackerNewsTrends
from pipeline.providers.trends.wikipedia import WikipediaTrends

MOST_FEEDS = 20


def sources_of(config: TrendsConfig, folder: Path) -> list[TrendSource]:
    """`folder` keeps the last answers."""
    answers = Answers(folder)
    sources: list[TrendSource] = []
    if config.rss_url:
        sources.append(GoogleTrends(url=config.rss_url, region=config.region, answers=answers))
    if config.wikipedia_url:
        sources.append(
            WikipediaTrends(url=config.wikipedia_url, region=config.region, answers=answers)
        )
    if config.hackernews_url:
        sources.append(HackerNewsTrends(url=config.hackernews_url))
    feeds = tuple(dict.fromkeys(config.feeds))[:MOST_FEEDS]
    for name, url in zip(feed_names(feeds), feeds, strict=True):
        sources.append(FeedTrends(name=name, url=url, answers=answers))
    return sources


def feed_names(urls: Sequence[str]) -> Iterator[str]:
    """`feed:` and the host, numbered from the second of a host on; a path may hold a token."""
    seen: Counter[str] = Counter()
    for url in urls:
        host = _host(url)
        seen[host] += 1
        yield f"feed:{host}" if seen[host] == 1 else f"feed:{host}#{seen[host]}"


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "?")[:60]
    except ValueError:
        return "?"
