"""Who is heard when: from durations of phonemes to times of the script's own words.

The reader spells numbers out and joins or splits words, so words and chunks are matched as
texts first. Inside a match that is not one to one the time is shared by length. Words follow
each other without gaps, so that a caption holds through a pause; phonemes do have gaps there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from pipeline.providers.voices.phonemes import PAUSES
from pipeline.sections import Phoneme, Word

STRESS = frozenset("ˈˌ")
LENGTH = frozenset("ːʰʲ̃")
SILENT_SHARE = 0.15
"""A word that is not heard (an emoji) gets this much of its neighbour's time."""
SILENT_LIMIT = 0.4
"""All silent words together take at most this much beside one match."""


@dataclass(frozen=True)
class Timed:
    """A symbol of the line with its times, and the chunk that it belongs to."""

    symbol: str
    start: float
    end: float
    chunk: int


@dataclass(frozen=True)
class Match:
    """Words and the chunks they sound like; silent words are in neither."""

    words: tuple[int, ...]
    chunks: tuple[int, ...]


def match_words(spoken: Sequence[str], chunks: Sequence[str]) -> list[Match]:
    """Match the spoken forms of the words (empty ones are silent) with the reader's chunks."""
    heard = [n for n, form in enumerate(spoken) if form]
    # A spoken form may hold spaces (a long number), the reader's chunks never do.
    pieces = [(n, piece) for n in heard for piece in spoken[n].split()]
    matcher = SequenceMatcher(None, [piece for _, piece in pieces], chunks, autojunk=False)
    matches: list[Match] = []
    for _, i, j, k, m in matcher.get_opcodes():
        for words, some in _pairs([n for n, _ in pieces[i:j]], list(range(k, m))):
            matches = _joined(matches, words, some)
    return matches


def _pairs(words: list[int], chunks: list[int]) -> list[tuple[list[int], list[int]]]:
    if len(words) == len(chunks):
        return [([word], [chunk]) for word, chunk in zip(words, chunks, strict=True)]
    return [(words, chunks)]


def _joined(matches: list[Match], words: list[int], chunks: list[int]) -> list[Match]:
    """Append, or widen the last match: a word stands in one match only, none lacks chunks."""
    last = matches[-1] if matches else Match((), ())
    if matches and (not words or not chunks or not last.chunks or words[0] in last.words):
        new = [word for word in dict.fromkeys(words) if word not in last.words]
        return [*matches[:-1], Match((*last.words, *new), (*last.chunks, *chunks))]
    return [*matches, Match(tuple(dict.fromkeys(words)), tuple(chunks))]


def word_times(
    words: Sequence[str],
    spoken: Sequence[str],
    matches: Sequence[Match],
    symbols: Sequence[Timed],
    end: float,
) -> tuple[Word, ...]:
    """Times for every word of the caption; `end` is where the line's last sound ends."""
    sounding = [m for m in matches if any(s.chunk in m.chunks for s in symbols)]
    starts = [min(s.start for s in symbols if s.chunk in m.chunks) for m in sounding]
    bounds = [*starts, max(end, starts[-1] + 0.02)]
    timed: list[Word] = []
    for number, group in enumerate(_with_silent(sounding, len(words))):
        weights = _weights(group, sounding[number].words, spoken)
        timed += _shared([words[n] for n in group], weights, bounds[number], bounds[number + 1])
    return tuple(timed)


def _with_silent(matches: Sequence[Match], count: int) -> list[list[int]]:
    """Every word's number once, in order: silent ones go with the heard word before them."""
    firsts = [0, *(min(m.words) for m in matches[1:]), count]
    return [list(range(a, b)) for a, b in pairwise(firsts)]


def _weights(group: list[int], heard: tuple[int, ...], spoken: Sequence[str]) -> list[float]:
    total = float(sum(len(spoken[n]) for n in heard)) or 1.0
    silent = sum(n not in heard for n in group)
    share = total * min(SILENT_SHARE, SILENT_LIMIT / max(silent, 1))
    return [float(len(spoken[n])) if n in heard else share for n in group]


def _shared(texts: list[str], weights: list[float], start: float, end: float) -> list[Word]:
    total = sum(weights)
    inner = [start + (end - start) * part / total for part in accumulate(weights[:-1])]
    edges = pairwise([start, *inner, end])
    return [Word(text=text, start=a, end=b) for text, (a, b) in zip(texts, edges, strict=True)]


def phoneme_times(symbols: Sequence[Timed]) -> tuple[Phoneme, ...]:
    """The sounds alone: a mark of stress or length and the space before a sound go with it."""
    sounds: list[Phoneme] = []
    waiting: float | None = None
    for timed in symbols:
        if timed.symbol in LENGTH and sounds:
            sounds[-1] = sounds[-1].model_copy(update={"end": timed.end})
        elif timed.symbol in STRESS or timed.symbol == " ":
            waiting = timed.start if waiting is None else waiting
        elif timed.symbol in PAUSES:
            waiting = None
        else:
            start = timed.start if waiting is None else waiting
            sounds.append(Phoneme(symbol=timed.symbol, start=start, end=timed.end))
            waiting = None
    return tuple(sounds)
