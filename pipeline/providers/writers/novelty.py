"""How much two dialogues have in common."""

import re
from collections.abc import Iterable

WORDS_IN_A_ROW = 4
MOST_OVERLAP = 0.30
"""Of the four-word runs of two scripts; more is the same joke again."""


def grams(text: str) -> frozenset[tuple[str, ...]]:
    """All runs of four words, in lower case and without punctuation."""
    words = plain_words(text)
    runs = range(len(words) - WORDS_IN_A_ROW + 1)
    return frozenset(tuple(words[n : n + WORDS_IN_A_ROW]) for n in runs)


def plain_words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.casefold())


def ends_with(text: str, last_line: str) -> bool:
    """Whether a dialogue ends on this line, punctuation and case aside."""
    ending = plain_words(last_line)
    return bool(ending) and plain_words(text)[-len(ending) :] == ending


def overlap(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """Shared runs as a fraction of the smaller set, 0 to 1."""
    smaller = min(len(one), len(other))
    return len(one & other) / smaller if smaller else 0.0


def greatest_overlap(text: str, earlier: Iterable[frozenset[tuple[str, ...]]]) -> float:
    mine = grams(text)
    return max((overlap(mine, theirs) for theirs in earlier), default=0.0)
