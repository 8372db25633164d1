"""Speech whose service times characters: words and mouths from those times.

The times are believed only as far as they fit the text that was sent and the sound that came
back; otherwise the words share the sound by their length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pipeline.providers.voices import alignment
from pipeline.providers.voices.alignment import Match, Timed
from pipeline.providers.voices.phonemes import PAUSES
from pipeline.sections import Phoneme, Word

FARTHEST = 0.05
"""By this part of the sound's length the last time may differ from it ..."""
PADDING_S = 0.08
"""... or by this: an MP3 is padded to whole frames at both ends."""
SHORTEST_WORD_S = 0.02
MARKS = "".join(PAUSES) + "'-–"
"""A word ends before these: the pause of a full stop is none of its sound."""


@dataclass(frozen=True)
class Span:
    start: float
    end: float


@dataclass(frozen=True)
class CharacterTimes:
    """One entry per character of the text that was sent."""

    characters: tuple[str, ...]
    starts: tuple[float, ...]
    ends: tuple[float, ...]

    def fit(self, text: str, length: float) -> bool:
        """Whether they are of this text, rise, and end where the sound of this length ends."""
        if len({len(self.characters), len(self.starts), len(self.ends)}) > 1 or not self.ends:
            return False
        times = [time for pair in zip(self.starts, self.ends, strict=True) for time in pair]
        return (
            "".join(self.characters) == text
            and all(map(math.isfinite, times))
            and self.starts[0] >= 0
            and all(a <= b for a, b in pairwise(self.starts))
            and all(a <= b for a, b in zip(self.starts, self.ends, strict=True))
            and abs(self.ends[-1] - length) <= max(FARTHEST * length, PADDING_S)
        )


def spans_of(
    forms: Sequence[str], times: CharacterTimes | None, sound: Span, length: float
) -> list[Span]:
    """When each heard word (an empty form is silent) is said; `sound` is where there is any."""
    heard = [form for form in forms if form]
    if times is None or not times.fit(" ".join(heard), length):
        return _even(heard, sound)
    firsts = list(accumulate((len(form) + 1 for form in heard), initial=0))[:-1]
    starts = [min(times.starts[first], length) for first in firsts]
    lasts = [
        min(times.ends[first + _last_sound(form)], length)
        for first, form in zip(firsts, heard, strict=True)
    ]
    if length - starts[-1] < SHORTEST_WORD_S:
        return _even(heard, sound)
    return [
        Span(start, max(start, min(last, following)))
        for start, last, following in zip(starts, lasts, [*starts[1:], length], strict=True)
    ]


def _last_sound(form: str) -> int:
    return len(form.rstrip(MARKS) or form) - 1


def _even(heard: Sequence[str], sound: Span) -> list[Span]:
    total = sum(map(len, heard))
    shares = accumulate((len(form) / total for form in heard), initial=0.0)
    edges = [sound.start + (sound.end - sound.start) * min(share, 1.0) for share in shares]
    return [Span(a, b) for a, b in pairwise(edges)]


def words_in(words: Sequence[str], forms: Sequence[str], spans: Sequence[Span]) -> tuple[Word, ...]:
    """Captions as the script spells them; words that start together share their time."""
    heard = [number for number, form in enumerate(forms) if form]
    symbols = [Timed("", s.start, s.end, chunk) for chunk, s in enumerate(spans)]
    return alignment.word_times(words, forms, _matches(heard, spans), symbols, spans[-1].end)


def _matches(heard: Sequence[int], spans: Sequence[Span]) -> list[Match]:
    matches: list[Match] = []
    since = -math.inf
    for chunk, (word, span) in enumerate(zip(heard, spans, strict=True)):
        if span.start - since >= SHORTEST_WORD_S:
            matches.append(Match((word,), (chunk,)))
            since = span.start
        else:
            last = matches.pop()
            matches.append(Match((*last.words, word), (*last.chunks, chunk)))
    return matches


def phonemes_in(sounds: Sequence[str], spans: Sequence[Span]) -> tuple[Phoneme, ...]:
    """The phonemes of every heard word, spread evenly over its time."""
    symbols = [
        timed
        for chunk, (phonemes, span) in enumerate(zip(sounds, spans, strict=True))
        for timed in _spread(phonemes.strip(MARKS), span, chunk)
    ]
    return tuple(p for p in alignment.phoneme_times(symbols) if p.end > p.start)


def _spread(phonemes: str, span: Span, chunk: int) -> Iterator[Timed]:
    step = (span.end - span.start) / max(len(phonemes), 1)
    edges = [min(span.start + n * step, span.end) for n in range(len(phonemes) + 1)]
    for symbol, (start, end) in zip(phonemes, pairwise(edges), strict=True):
        yield Timed(symbol, start, end, chunk)
