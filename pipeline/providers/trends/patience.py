"""How long a source that fails is left alone: longer each time, and as long as it asks for."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.errors import ProviderError
from pipeline.sections import SourceState

FIRST_REST = timedelta(minutes=5)
LONGEST_REST = timedelta(hours=12)
LONGEST_NAMED = timedelta(days=1)
"""However long a source asks for: it may be wrong about that, too."""
LONGEST_ERROR = 200


def is_resting(state: SourceState, now: datetime) -> bool:
    # A clock that was set back must not silence a source for years.
    return state.not_before is not None and now < state.not_before <= now + LONGEST_NAMED


def answered(name: str, now: datetime) -> SourceState:
    return SourceState(name=name, answered_at=now)


def failed(before: SourceState, error: ProviderError, now: datetime) -> SourceState:
    failures = before.failures + 1
    rest = min(FIRST_REST * 2 ** min(failures - 1, 20), LONGEST_REST)
    named = min(timedelta(seconds=error.retry_after_s or 0), LONGEST_NAMED)
    return SourceState(
        name=before.name,
        failures=failures,
        not_before=now + max(rest, named),
        has_named=named > rest,
        error=error.message[:LONGEST_ERROR],
        answered_at=before.answered_at,
    )


def without_rests(states: tuple[SourceState, ...]) -> tuple[SourceState, ...]:
    """For a fetch that a person asks for: only rests that a source has named itself are kept."""
    return tuple(
        state if state.has_named else state.model_copy(update={"not_before": None})
        for state in states
    )
