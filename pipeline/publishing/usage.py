"""How near we are to Meta's call limits: the percentages and minutes in its answers' headers.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

HEADERS = ("X-App-Usage", "X-Business-Use-Case-Usage")
PERCENTAGES = ("call_count", "total_cputime", "total_time")
FULL_PERCENT = 95
PAUSE_S = 300.0
"""The limits roll over an hour or a day: after some minutes the next answer tells how it is."""
LONGEST_REGAIN_S = 24 * 3600.0


class Usage:
    """Reads the headers of every answer; the caller decides what can wait."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._not_before: datetime | None = None

    def heed(self, headers: Mapping[str, str]) -> None:
        """The newest answer counts; one without these headers says nothing."""
        blocks = list(_blocks(headers))
        if not blocks:
            return
        pause_s = _regain_s(blocks) or (PAUSE_S if _fullest(blocks) >= FULL_PERCENT else 0.0)
        self._not_before = self._clock() + timedelta(seconds=pause_s) if pause_s else None

    def held_s(self) -> float:
        """Seconds until calls that can wait should go on."""
        if self._not_before is None:
            return 0.0
        return max(0.0, (self._not_before - self._clock()).total_seconds())


def regain_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until access returns (the header counts in minutes), at most a day."""
    return _regain_s(list(_blocks(headers))) or None


def _regain_s(blocks: list[Mapping[str, Any]]) -> float:
    minutes = (_amount(block.get("estimated_time_to_regain_access")) for block in blocks)
    return min(60 * max(minutes, default=0.0), LONGEST_REGAIN_S)


def _fullest(blocks: list[Mapping[str, Any]]) -> float:
    return max(_amount(block.get(name)) for block in blocks for name in PERCENTAGES)


def _amount(value: object) -> float:
    """Nothing that is found here may spoil the answer that it came with."""
    try:
        return max(0.0, float(value)) if isinstance(value, int | float) else 0.0
    except OverflowError:
        return math.inf


def _blocks(headers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """The app's own numbers, and those of each use case: {"<id>": [{...}, ...]}."""
    for name in HEADERS:
        try:
            found = json.loads(headers.get(name, "{}"))
        except (ValueError, RecursionError):
            continue
        if not isinstance(found, dict):
            continue
        if any(key in found for key in PERCENTAGES):
            yield found
        for entries in found.values():
            if isinstance(entries, list):
                yield from (entry for entry in entries if isinstance(entry, dict))
