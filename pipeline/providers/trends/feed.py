"""An RSS or Atom feed of the user's choice: its headlines of the last two days.

One request per fetch. Feeds have no numbers but their dates, so the score is freshness: 0.5 for
a headline of this minute, half of it after two days; without a date it falls with the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import exp2
from xml.etree import ElementTree

from pipeline.providers.trends.answers import Answers
from pipeline.providers.trends.download import USUAL, Limits, Visit
from pipeline.providers.trends.headlines import topic_of
from pipeline.providers.trends.text import LONGEST_HEADLINE, plain, read_time, read_xml
from pipeline.sections import TrendItem

FRESHEST = 0.5
OLDEST = timedelta(hours=48)
MOST_ENTRIES = 200


class FeedTrends:
    def __init__(
        self,
        *,
        name: str,
        url: str,
        answers: Answers | None = None,
        limits: Limits = USUAL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`name` must not tell the address, which may hold a token."""
        self.name = name
        self._url = url
        self._answers = answers
        self._limits = limits
        self._now = now

    def fetch(self, limit: int) -> list[TrendItem]:
        """Raises ProviderError; `retryable` says whether it may work later.

        The freshest first; none when no headline is fresh or names anything.
        """
        with Visit(self.name, self._limits, self._answers) as visit:
            items = visit.read(self._url, lambda body: self._items(visit, body))
        return sorted(items, key=lambda item: -item.score)[: max(limit, 0)]

    def _items(self, visit: Visit, body: bytes) -> list[TrendItem]:
        entries = list(islice(_entries(read_xml(self.name, body)), MOST_ENTRIES))
        if not entries:
            raise visit.failure("the feed has no entries", retryable=True)
        items: dict[str, TrendItem] = {}
        for place, entry in enumerate(entries):
            item = self._item(entry, place / len(entries))
            if item is not None:
                items.setdefault(item.name.casefold(), item)
        return list(items.values())

    def _item(self, entry: ElementTree.Element, place: float) -> TrendItem | None:
        headline = plain(_text(entry, "title"), LONGEST_HEADLINE)
        name = topic_of(headline)
        now = self._now()
        when = read_time(_text(entry, "pubDate", "published", "updated", "date"), now)
        if name is None or (when is not None and now - when > OLDEST):
            return None
        return TrendItem(
            name=name,
            score=score_of(now - when, place) if when else score_of(None, place),
            timestamp=when or now,
            source=self.name,
            headlines=(headline,),
        )


def score_of(age: timedelta | None, place: float) -> float:
    """0.5 halved every two days; without an age 0.5 down to 0.25 by `place`, 0 to 1."""
    if age is None:
        return round(FRESHEST * (1 - place / 2), 3)
    return round(FRESHEST * exp2(-(age / OLDEST)), 3)


def _entries(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """RSS 2.0 and 1.0 say item, Atom says entry; the namespace does not matter."""
    return (element for element in root.iter() if _local(element) in ("item", "entry"))


def _text(entry: ElementTree.Element, *names: str) -> str | None:
    """Of the first child with one of these names, in their order; Atom titles may have markup."""
    children = {_local(child): child for child in reversed(entry)}
    for name in names:
        if (child := children.get(name)) is not None:
            return "".join(islice(child.itertext(), 100))
    return None


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]
