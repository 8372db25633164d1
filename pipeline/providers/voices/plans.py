"""Plans of ElevenLabs: what their audio may be used for, and how many calls they allow at once."""

from __future__ import annotations

FREE = "free"
CALLS_AT_ONCE = {FREE: 2, "starter": 3, "creator": 5, "pro": 10, "scale": 15}
"""By ElevenLabs' help centre; one call more is answered with 429."""


def is_free(plan: str) -> bool:
    """Audio of the free plan is not licensed for commercial use, also after an upgrade."""
    return plan.casefold() == FREE


def calls_at_once(plan: str, wanted: int) -> int:
    return min(wanted, CALLS_AT_ONCE.get(plan.casefold(), wanted))
