"""Which topics there are, and which of them a reel may still be about.

A topic is used once in its window, however it is spelled; what is near a sensitive one is as
sensitive, because the other name may come without the headline that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pipeline.errors import UserError
from pipeline.facts import Sources
from pipeline.providers.writers.topics import spoken_topic
from pipeline.safety import refusal
from pipeline.sections import SourceState, TrendItem
from pipeline.topics import is_near_any, same_topic
from storage.database import Database
from storage.records import NewTrend, Trend, TrendSource
from storage.trend_sources import TrendSources
from storage.trends import Trends

TOPIC_WINDOW = timedelta(days=14)
"""A topic that was used or refused within this time is not taken again."""
MOST_LOOKED_AT = 300


class TopicBook:
    def __init__(self, db: Database, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._trends = Trends(db)
        self._sources = TrendSources(db)

    async def store(self, items: Iterable[TrendItem]) -> None:
        """Keep what was found, the refused ones with the reason."""
        new = [
            NewTrend(
                name=item.name,
                score=item.score,
                timestamp=item.timestamp,
                source=item.source,
                region=item.region,
                headlines=item.headlines,
                refused_because=refusal(item.name, item.headlines) or _unspeakable(item.name),
            )
            for item in items
        ]
        await self._trends.store(new, now=self._clock())

    async def sources(self) -> Sources:
        """How the sources did when they were last asked."""
        return Sources(states=tuple(SourceState(**asdict(s)) for s in await self._sources.all()))

    async def remember(self, states: Iterable[SourceState]) -> None:
        """How the sources did now; those that are not among them are forgotten."""
        await self._sources.replace([TrendSource(**state.model_dump()) for state in states])

    async def usable(self, *, days: int, most: int, exclude: Collection[str] = ()) -> list[Trend]:
        """Topics of the last days that may be used, the best first, no two of them the same.

        One day is today, in UTC. Nothing near a name in `exclude`.
        """
        now = self._clock()
        since = now - TOPIC_WINDOW
        oldest = (now.astimezone(UTC) - timedelta(days=days - 1)).date().isoformat()
        taken = [*exclude, *await self._trends.names_used(since=since)]
        sensitive = await self._sensitive(since)
        found: list[Trend] = []
        for trend in await self._trends.unused(since=since, limit=MOST_LOOKED_AT, fetched=oldest):
            if len(found) == most:
                break
            if not is_near_any(trend.name, [*taken, *sensitive, *(one.name for one in found)]):
                found.append(trend)
        return found

    async def refusal_of(self, topic: str) -> str | None:
        """Why the topic, as fetched lately with its headlines, is refused; None when it is not.

        A person gives only a name, and a name alone may look harmless.
        """
        sensitive = await self._sensitive(self._clock() - TOPIC_WINDOW)
        return next((why for name, why in sensitive.items() if same_topic(name, topic)), None)

    async def _sensitive(self, since: datetime) -> dict[str, str]:
        """Names refused for what they are about, with the reason; not for how they are written."""
        return {
            trend.name: why
            for trend in await self._trends.refused(since=since)
            if (why := refusal(trend.name, trend.headlines)) is not None
        }


def _unspeakable(topic: str) -> str | None:
    """Why no voice can say it, if so."""
    try:
        spoken_topic(topic)
    except UserError as error:
        return str(error)
    return None
