"""A headline -> the few words of it that name a topic; its own words, in its own order.

A reel is about a name ("SQLite", "Steam Deck"), not about a sentence. A headline without a short
name gives no topic.
"""

from __future__ import annotations

import re

LONGEST_TOPIC = 40
MOST_WORDS = 4

_KIND = re.compile(r"^(?:(?:show|ask|tell|launch) hn|breaking|live|watch|video|opinion):\s*", re.I)
_NOTE = re.compile(r"\s*[\[(](?:pdf|video|audio|live|updated?|(?:19|20)\d\d|yc \w+)[\])]", re.I)
_PARTS = re.compile(r"(?:: | [–—|-] )")
_WORD = re.compile(r"[^\W_][\w.+#'’&-]*")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# They open a headline with a capital and name nothing.
_OPENERS = _set(
    "a all an and any are as ask at be can did do does every five for four from get had has have"
    " here how i if in inside is it its let make making meet more most my new no not now of on one"
    " our please should so some ten that the there these they this those three to today top two"
    " use using want was we were what when where which who why will with writing you your"
)

_MONTHS = _set(
    "january february march april may june july august september october november december"
)


def topic_of(headline: str) -> str | None:
    """A name of one to four words out of a plain headline; None when it has none."""
    text = _NOTE.sub("", _KIND.sub("", headline)).strip(" .!?")
    head = _PARTS.split(text, maxsplit=1)[0]
    if _is_name(head) or _is_short(text):
        return head if _is_name(head) else text
    names = [run for run in _runs(text) if _is_name(run)]
    # The longest name tells most; of equal ones the first.
    return max(
        names, key=lambda name: (len(name.split()), any(map(str.isdigit, name))), default=None
    )


def _is_short(text: str) -> bool:
    """So short that it is a topic as it stands: "wordle", "Postgres 18 released"."""
    words = text.split()
    return (
        0 < len(words) <= 3
        and 3 <= len(text) <= LONGEST_TOPIC
        and words[0].casefold() not in _OPENERS
        and not _is_date(words)
    )


def _is_date(words: list[str]) -> bool:
    """Nothing but months and numbers."""
    return all(word.casefold() in _MONTHS or not any(map(str.isalpha, word)) for word in words)


def _is_name(text: str) -> bool:
    words = text.split()
    if not words or len(words) > MOST_WORDS or len(text) > LONGEST_TOPIC:
        return False
    if _is_date(words):
        return False
    if len(words) == 1 and (words[0].casefold() in _OPENERS or len(text) < 3):
        return False
    return all(_is_capital(word) for word in words)


def _runs(text: str) -> list[str]:
    """Neighbouring words that are written as names; nothing when every word is."""
    words = text.split()
    runs: list[list[str]] = [[]]
    for place, word in enumerate(words):
        bare = word.rstrip(",;:.!?’'\"")
        opener = place == 0 and (bare.casefold() in _OPENERS or not _is_surely_name(bare, words))
        if _WORD.fullmatch(bare) and _is_capital(bare) and not opener:
            runs[-1].append(bare)
        if bare != word or not (runs[-1] and runs[-1][-1] == bare):
            runs.append([])
    return [" ".join(run) for run in runs if run]


def _is_surely_name(opening: str, words: list[str]) -> bool:
    """Whether the capital of the first word says anything: another follows, or it has a second."""
    if any(char.isupper() or char.isdigit() for char in opening[1:]):
        return True
    return len(words) > 1 and _is_capital(words[1]) and not words[1][:1].isdigit()


def _is_capital(word: str) -> bool:
    """Written as a name is: a capital anywhere (iOS), or a number."""
    return any(char.isupper() or char.isdigit() for char in word)
