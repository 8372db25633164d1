"""What all services' failures have in common: who pays for one, how long to wait, what is shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline.errors import ProviderError
from pipeline.masking import masked

LONGEST_QUOTE = 200
LONGEST_WAIT_S = 3600.0
ADDRESS = re.compile(r"\S+://\S+")
_KEY_LIKE = re.compile(r"\b(?:sk|key)-[\w*.-]{6,}", re.I)
_SECONDS = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{0,12})?")


class NotBilled(ProviderError):
    """The service certainly did not bill the call: it refused it, or was never reached."""


def retry_after_s(
    headers: Mapping[str, str],
    *,
    longest_s: float = LONGEST_WAIT_S,
    now: datetime | None = None,
) -> float | None:
    """From `retry-after-ms`, or `retry-after` in seconds or as a date; None when neither is there.

    Never more than `longest_s`: a longer wait is for people to decide.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if _SECONDS.fullmatch(text := lower.get(name, "")):
            return _bounded(float(text) * unit, longest_s)
    try:
        moment = parsedate_to_datetime(lower.get("retry-after", "")[:60])
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _bounded((aware - (now or datetime.now(UTC))).total_seconds(), longest_s)
    except (ValueError, OverflowError, TypeError):
        return None


def quoted(text: str, *, secret: str = "") -> str:
    """What may be shown of a service's own words: one short line without the key or addresses."""
    text = _KEY_LIKE.sub("…", ADDRESS.sub("…", masked(text, [secret], by="…")))
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    plain = " ".join(plain.split())
    return plain if len(plain) <= LONGEST_QUOTE else plain[: LONGEST_QUOTE - 1] + "…"


def _bounded(seconds: float, longest_s: float) -> float:
    return min(max(seconds, 0.0), longest_s)
