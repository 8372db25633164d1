"""When two topics are the same one: across spellings, sources and days.

Only words are compared. What a topic is about nobody knows here, so "pope francis" and "papa
francesco" stay two topics, and one word alone ("home") is the same as itself only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

SHARED_WORDS = 0.65  # of all words of both; a team plays another match at 0.6
LONGEST_COMPARED = 200


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that say what people want to know about a topic, not which topic it is.
_LITTLE = _set(
    "a an and are as at by for from in is it its of on or that the this to was were will with"
    " vs v versus against der die das den dem und im am le la les el los et y"
)
_ASKED = _set(
    "today todays tonight yesterday tomorrow now live latest news update updates result results"
    " score scores hint hints answer answers highlight highlights price prices trailer cast"
    " ending explained review reviews release date watch stream streaming how what when where who"
    " why outage down working offline ticket tickets meaning full recap"
)
_MONTHS = _set(
    "january february march april may june july august september october november december"
    " jan feb mar apr jun jul aug sep sept oct nov dec"
)
_PART = re.compile(r"\b(?:season|series|episode|part|round|week|day|game|staffel|folge) \d{1,3}\b")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY = re.compile(r"(?:[12]?\d|3[01])(?:st|nd|rd|th)?")


class Core(NamedTuple):
    """The words that name a topic, in order, each once; the rest is for quick comparison."""

    words: tuple[str, ...]
    in_order: tuple[str, ...]
    joined: str
    starts: frozenset[str]


def same_topic(one: str, other: str) -> bool:
    """Whether two topics are about the same, as far as their words tell; symmetric."""
    a, b = _core(one), _core(other)
    if not a.words or not b.words:
        return one == other
    if a.joined == b.joined or a.in_order == b.in_order:
        return True
    # Words that count as the same begin the same: most pairs end here.
    return not a.starts.isdisjoint(b.starts) and _overlap(a.words, b.words)


def is_near_any(topic: str, others: Iterable[str]) -> bool:
    return any(same_topic(topic, other) for other in others)


def _overlap(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    few, many = sorted((a, b), key=lambda words: (len(words), words))
    shared = sum(any(_same_word(word, other) for other in many) for word in few)
    if shared == len(few):
        # One word in a longer topic says too little: "polar" is not "polar bear".
        return len(few) > 1 or len(many) == 1
    return shared / (len(few) + len(many) - shared) >= SHARED_WORDS


@lru_cache(maxsize=4096)
def _core(topic: str) -> Core:
    text = " ".join(_words(topic))
    # A topic of nothing but little words ("who") is named by all of them.
    words = _named(_PART.sub(" ", text).split()) or tuple(dict.fromkeys(text.split()))
    starts = frozenset(word[:2] for word in words)
    return Core(words, tuple(sorted(words)), "".join(words), starts)


def _named(words: list[str]) -> tuple[str, ...]:
    is_dated = not _MONTHS.isdisjoint(words)
    plain = {
        _singular(word): None
        for place, word in enumerate(words)
        if word not in _LITTLE
        and word not in _ASKED
        and not _is_date(word, words, place, is_dated=is_dated)
    }
    return tuple(plain)


def _is_date(word: str, words: list[str], place: int, *, is_dated: bool) -> bool:
    """A year, a month beside a number, or a day of the month in a topic that names a month."""
    if word in _MONTHS:
        beside = words[max(place - 1, 0) : place + 2]
        return any(_YEAR.fullmatch(near) or _DAY.fullmatch(near) for near in beside)
    if _YEAR.fullmatch(word):
        return len(words) > 1
    return is_dated and bool(_DAY.fullmatch(word))


def _words(topic: str) -> list[str]:
    """Lower case, without accents; an apostrophe parts no word."""
    bare = unicodedata.normalize("NFKD", topic[:LONGEST_COMPARED].casefold())
    kept = "".join(char for char in bare if not unicodedata.combining(char) and char not in "'’")
    return re.findall(r"[^\W_]+", kept)


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _same_word(one: str, other: str) -> bool:
    """Equal, another ending of a long word, or a long word with one slip of the pen."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if len(short) < 5 or any(char.isdigit() for char in one + other):
        return False
    if long.startswith(short):
        return len(long) - len(short) <= 2
    return len(short) > 5 and len(long) - len(short) <= 1 and _one_slip(short, long)


def _one_slip(short: str, long: str) -> bool:
    """One letter other, more, less, or two neighbours swapped; the first two are right."""
    if short[:2] != long[:2]:
        return False
    start = next((n for n, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    if start is None:
        return True
    if len(long) > len(short):
        return short[start:] == long[start + 1 :]
    swapped = short[start + 1 : start + 2] + short[start] + short[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped == long[start:]
