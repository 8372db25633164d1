"""The pauses of a speaker with timing: the models run "No. That" together to "know that".

Silence is put in at the quietest place of a punctuation mark; what was said stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pipeline.providers.voices import sound
from pipeline.providers.voices.alignment import Timed
from pipeline.providers.voices.phonemes import PAUSES

PAUSE_S: dict[str, float] = {
    **dict.fromkeys(".!?", 0.32),
    "…": 0.45,
    "—": 0.25,
    **dict.fromkeys(";:", 0.22),
    ",": 0.12,
}
FADE_S = 0.008


def with_pauses(
    samples: sound.Samples, symbols: Sequence[Timed], rate: int, scale: float
) -> tuple[sound.Samples, list[Timed]]:
    """Lengthen the pauses between words to `PAUSE_S` times `scale`."""
    heard = sound.is_sound(samples, rate)
    pieces: list[sound.Samples] = []
    moved = list(symbols)
    done, added = 0, 0.0
    for first, space, wanted in _pauses(symbols):
        start, end = symbols[first].start, symbols[space].end
        missing = round((wanted * scale - _quiet(heard, start, end)) * rate)
        if missing <= 0:
            continue
        cut = _quietest(samples, rate, start, end)
        pieces += [_soft(samples[done:cut], rate), np.zeros(missing, np.float32)]
        done, added = cut, added + missing / rate
        # The mark takes the silence; the space opens the next word, which must not start early.
        moved[space - 1] = replace(moved[space - 1], end=moved[space - 1].end + missing / rate)
        moved[space:] = [_later(timed, missing / rate) for timed in moved[space:]]
    return np.concatenate([*pieces, _soft(samples[done:], rate)]), moved


def _pauses(symbols: Sequence[Timed]) -> Iterator[tuple[int, int, float]]:
    """First punctuation mark, the space after it, and the pause that this wants."""
    for space, timed in enumerate(symbols):
        first = space
        while timed.symbol == " " and first and symbols[first - 1].symbol in PAUSES - {" "}:
            first -= 1
        marks = [symbols[n].symbol for n in range(first, space)]
        wanted = PAUSE_S["…"] if marks.count(".") > 1 else max(map(_wanted, marks), default=0.0)
        if wanted and space + 1 < len(symbols):
            yield first, space, wanted


def _wanted(mark: str) -> float:
    return PAUSE_S.get(mark, 0.0)


def _quiet(heard: np.ndarray, start: float, end: float) -> float:
    frames = heard[round(start / sound.FRAME_S) : round(end / sound.FRAME_S)]
    return float((~frames).sum()) * sound.FRAME_S


def _quietest(samples: sound.Samples, rate: int, start: float, end: float) -> int:
    """The sample in the middle of the quietest frame between two times."""
    first, frame = round(max(start, 0.0) * rate), round(sound.FRAME_S * rate)
    rms = sound.envelope(samples[first : max(round(end * rate), first + frame)], rate)
    return min(first + int(rms.argmin()) * frame + frame // 2, samples.size)


def _soft(samples: sound.Samples, rate: int) -> sound.Samples:
    return sound.faded(samples, rate, FADE_S, FADE_S)


def _later(timed: Timed, by: float) -> Timed:
    return replace(timed, start=timed.start + by, end=timed.end + by)
