"""What is said or kept never repeats a secret, whoever has put it into a text."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

SHORTEST = 6
"""What is shorter opens nothing, and masking it would tear holes into words."""


def masked(text: str, secrets: Iterable[str], *, by: str = "***") -> str:
    """The text without the secrets, also as an address writes them."""
    known = {secret for secret in secrets if len(secret) >= SHORTEST}
    # The longest first, so that a secret which contains another one is masked whole.
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, by).replace(quote(secret, safe=""), by)
    return text
