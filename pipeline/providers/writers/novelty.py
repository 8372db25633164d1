"""How much two dialogues have in common."""

import re
from collections.abc import Iterable

WORDS_IN_A_ROW = 4


def grams(text: str) -> frozenset[tuple[str, ...]]:
    """All runs of four words, in lower case and without punctuation."""
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.casefold())
    runs = range(len(words) - WORDS_IN_A_ROW + 1)
    return frozenset(tuple(words[n : n + WORDS_IN_A_ROW]) for n in runs)


def overlap(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """Shared runs as a fraction of the smaller set, 0 to 1."""
    smaller = min(len(one), len(other))
    return len(one & other) / smaller if smaller else 0.0


def greatest_overlap(text: str, earlier: Iterable[frozenset[tuple[str, ...]]]) -> float:
    mine = grams(text)
    return max((overlap(mine, theirs) for theirs in earlier), default=0.0)
