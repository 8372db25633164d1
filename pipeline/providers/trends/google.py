"""Google's feed of trending searches: public, unofficial, and gone whenever it likes.

One request per fetch. The score is the logarithm of the searches that the feed tells, a million
being the highest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from math import log10
from xml.etree import ElementTree

from pipeline.providers.trends.answers import Answers
from pipeline.providers.trends.download import USUAL, Limits, Visit
from pipeline.providers.trends.text import (
    LONGEST_HEADLINE,
    LONGEST_NAME,
    MOST_HEADLINES,
    plain,
    read_time,
    read_xml,
)
from pipeline.sections import TrendItem

HT = "{https://trends.google.com/trending/rss}"
MOST_SEARCHES = 6  # as a power of ten


class GoogleTrends:
    name = "google"

    def __init__(
        self,
        *,
        url: str,
        region: str,
        answers: Answers | None = None,
        limits: Limits = USUAL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._region = region
        self._answers = answers
        self._limits = limits
        self._now = now

    def fetch(self, limit: int) -> list[TrendItem]:
        """Raises ProviderError; `retryable` says whether it may work later."""
        with Visit(self.name, self._limits, self._answers) as visit:
            items = visit.read(
                self._url, lambda body: self._items(visit, body), params={"geo": self._region}
            )
        return items[: max(limit, 0)]

    def _items(self, visit: Visit, body: bytes) -> list[TrendItem]:
        items: dict[str, TrendItem] = {}
        for element in read_xml(self.name, body).iter("item"):
            item = self._item(element)
            if item is not None:
                items.setdefault(item.name.casefold(), item)
        if not items:
            raise visit.failure("the feed has no topics", retryable=True)
        return list(items.values())

    def _item(self, element: ElementTree.Element) -> TrendItem | None:
        name = plain(element.findtext("title"), LONGEST_NAME)
        if not name:
            return None
        titles = (
            plain(news.findtext(f"{HT}news_item_title"), LONGEST_HEADLINE)
            for news in element.iter(f"{HT}news_item")
        )
        now = self._now()
        return TrendItem(
            name=name,
            score=score_of(element.findtext(f"{HT}approx_traffic") or ""),
            timestamp=read_time(element.findtext("pubDate"), now) or now,
            source=self.name,
            region=self._region,
            headlines=tuple(title for title in titles if title)[:MOST_HEADLINES],
        )


def score_of(approx_traffic: str) -> float:
    """Searches on a logarithmic scale, 0 to 1: log10(searches) / 6, "2000+" is 0.55."""
    digits = re.sub(r"[^0-9]", "", approx_traffic[:40])
    scale = {"K": 1_000, "M": 1_000_000}.get(approx_traffic[:40].strip("+ ")[-1:].upper(), 1)
    searches = int(digits or 0) * scale
    return round(min(log10(searches) / MOST_SEARCHES, 1.0), 3) if searches > 0 else 0.0
