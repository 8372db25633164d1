"""Topics that are always good for a joke; the bundled list, a few of them each day."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import yaml

from pipeline.sections import TrendItem

EVERGREEN = Path(__file__).parent / "evergreen.yaml"
HIGHEST_SCORE = 0.2  # an evergreen topic never outranks what people really search for


def _now() -> datetime:
    return datetime.now(UTC)


class EvergreenTrends:
    """The same topics all day long, others tomorrow."""

    name = "evergreen"

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    def fetch(self, limit: int) -> list[TrendItem]:
        now = self._now()
        chosen = _shuffled(now.date())[: max(limit, 0)]
        return [
            TrendItem(
                name=topic,
                score=round(HIGHEST_SCORE * (1 - place / len(chosen)), 3),
                timestamp=now,
                source=self.name,
            )
            for place, topic in enumerate(chosen)
        ]


@cache
def evergreen_topics() -> tuple[str, ...]:
    """All topics of the bundled list, family by family."""
    data = yaml.safe_load(EVERGREEN.read_text(encoding="utf-8"))
    return tuple(topic for topics in data["topics"].values() for topic in topics)


def _shuffled(day: date) -> list[str]:
    """A walk through the whole list: no topic comes back before all had their day."""
    topics = sorted(evergreen_topics(), key=lambda topic: hashlib.sha256(topic.encode()).digest())
    step = 7  # fits a list whose length is no multiple of it; ten a day overlap a little
    start = day.toordinal() * step % len(topics)
    return topics[start:] + topics[:start]
