"""The voice that needs no key and no network: Kokoro, or hibari where its files are missing."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pipeline.errors import ProviderError, UserError
from pipeline.providers.base import Speech
from pipeline.providers.voices import alignment, sound
from pipeline.providers.voices.accents import accented
from pipeline.providers.voices.alignment import Match, Timed
from pipeline.providers.voices.delivery import DELIVERIES, Delivery
from pipeline.providers.voices.engine import (
    LATE_S,
    MODEL_RATE,
    PAD_ID,
    UNIT_S,
    Engine,
    EngineMissing,
)
from pipeline.providers.voices.hibari import Hibari
from pipeline.providers.voices.kokoro import Kokoro
from pipeline.providers.voices.pauses import with_pauses
from pipeline.providers.voices.phonemes import PAUSES, Chunk, Phonemiser
from pipeline.providers.voices.spoken import caption_words, spoken_form
from pipeline.sections import Emotion
from pipeline.shows import Character

log = logging.getLogger(__name__)

SAMPLE_RATE = 48_000
"""Of all speech, whatever the tape: the rate of the reel's sound."""
MAX_SYMBOLS = 500
"""The models' limit is 510."""
VERSION = 1
"""Counts changes to how we speak, so that lines kept from before are made again."""
LEAD_S, TAIL_S = 0.05, 0.12
"""Quiet kept around the sound of each part; the models pad with up to 0.9 s."""


class Part(NamedTuple):
    """Symbols that are synthesised in one go, each with its chunk (a space: the next one's)."""

    symbols: str
    chunks: tuple[int, ...]


class OfflineVoice:
    """Speaks with one engine. Deterministic: the same key always gives the same samples."""

    parallel = 1  # the model uses every core by itself
    plan = ""

    def __init__(self, engine: Engine, phonemiser: Phonemiser) -> None:
        self.name = engine.name
        self._engine = engine
        self._phonemiser = phonemiser

    def key(self, text: str, character: Character, emotion: Emotion) -> str:
        what = {
            "version": VERSION,
            "engine": [self.name, self._engine.fingerprint, self._phonemiser.fingerprint],
            "recipe": asdict(self._engine.recipe(character.voice)),
            "blend": character.voice.blend,
            "name": character.name,
            "text": " ".join(caption_words(text)),
            "delivery": asdict(DELIVERIES[emotion]),
        }
        canonical = json.dumps(what, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def speak(self, text: str, character: Character, emotion: Emotion) -> Speech:
        """UserError for a text that cannot be said, ProviderError when the model fails."""
        words = caption_words(text)
        spoken = [spoken_form(word) for word in words]
        chunks, matches = self._read(spoken, text)
        delivery, recipe = DELIVERIES[emotion], self._engine.recipe(character.voice)
        sounds = _sounds(chunks, recipe.accent, character.name, delivery)
        speed = recipe.speed * delivery.pace / delivery.pitch  # the tape changes the tempo too
        samples, symbols = self._synthesise(_parts(sounds), character, speed)
        tape = recipe.tape * delivery.pitch
        samples, symbols = with_pauses(samples, symbols, MODEL_RATE, tape / delivery.pace)
        samples = sound.resample(samples, SAMPLE_RATE / (MODEL_RATE * tape))
        symbols = [Timed(s.symbol, s.start / tape, s.end / tape, s.chunk) for s in symbols]
        # Resampling rounds to whole samples, so the last time could lie just behind them.
        symbols = _shifted(symbols, 0.0, samples.size / SAMPLE_RATE)
        return _speech(samples, words, spoken, matches, symbols)

    def close(self) -> None:
        """Nothing is open: the model's memory goes with the object."""

    def _read(self, spoken: list[str], text: str) -> tuple[list[Chunk], list[Match]]:
        chunks = self._phonemiser.read(" ".join(form for form in spoken if form))
        matches = alignment.match_words(spoken, [chunk.text for chunk in chunks])
        if not any(_is_heard(chunk) for chunk in chunks):
            raise UserError(f"The line {text!r} has nothing to say; write a word in it.")
        for match in matches:
            lost = [spoken[n] for n in match.words if any(c.isalnum() for c in spoken[n])]
            if lost and not any(_is_heard(chunks[n]) for n in match.chunks):
                raise UserError(f"The voice cannot say {' '.join(lost)!r}; write it another way.")
        return chunks, matches

    def _synthesise(
        self, parts: list[Part], character: Character, speed: float
    ) -> tuple[sound.Samples, list[Timed]]:
        """Say the parts one after the other; times in seconds of the model's own rate."""
        pieces: list[sound.Samples] = []
        symbols: list[Timed] = []
        offset = 0.0
        for part in parts:
            piece, timed = self._say(part, character, speed)
            symbols += [Timed(t.symbol, t.start + offset, t.end + offset, t.chunk) for t in timed]
            pieces.append(piece)
            offset += piece.size / MODEL_RATE
        return np.concatenate(pieces), symbols

    def _say(
        self, part: Part, character: Character, speed: float
    ) -> tuple[sound.Samples, list[Timed]]:
        vocabulary = self._phonemiser.vocabulary
        ids = [PAD_ID, *(vocabulary[symbol] for symbol in part.symbols), PAD_ID]
        made = self._engine.synthesise(ids, character.voice, speed)
        if len(made.units) != len(ids) or not np.isfinite(made.samples).all():
            raise ProviderError(self.name, "the model gave no usable sound for this line.")
        heard = sound.is_sound(made.samples, MODEL_RATE)
        bounds = sound.span(heard)
        if bounds is None:
            raise ProviderError(self.name, "the model was silent for this line.")
        symbols = _until_silence(_timed(part, made.units, bounds), heard)
        start, end = max(0.0, bounds[0] - LEAD_S), bounds[1] + TAIL_S
        cut = made.samples[round(start * MODEL_RATE) : round(end * MODEL_RATE)]
        return cut, _shifted(symbols, -start, cut.size / MODEL_RATE)


def offline_voice() -> OfflineVoice:
    """The best engine that is installed whole; ProviderError when there is none."""
    phonemiser = Phonemiser()
    engine: Engine
    try:
        engine = Kokoro()
    except EngineMissing as missing:
        log.warning("voice falls back to hibari: %s", missing)
        engine = _hibari()
    return OfflineVoice(engine, phonemiser)


def _hibari() -> Hibari:
    try:
        return Hibari()
    except EngineMissing as missing:
        raise ProviderError(
            "offline voice",
            f"{missing}; install the voices again with `pip install --force-reinstall hibari-tts`.",
        ) from missing


def _is_heard(chunk: Chunk) -> bool:
    return any(symbol not in PAUSES for symbol in chunk.phonemes)


def _sounds(chunks: list[Chunk], accent: str, own_name: str, delivery: Delivery) -> list[str]:
    """The phonemes of every chunk as this character says them; names keep their own sound."""
    sounds = [
        chunk.phonemes
        if chunk.is_name or own_name.casefold() in chunk.text.casefold()
        else accented(chunk.phonemes, accent)
        for chunk in chunks
    ]
    if delivery.exclaims and sounds[-1].endswith(".") and not sounds[-1].endswith(".."):
        sounds[-1] = sounds[-1][:-1] + "!"
    return sounds


def _parts(sounds: list[str]) -> list[Part]:
    """Join the chunks with spaces; a new part where the model's limit would be passed."""
    parts: list[Part] = []
    symbols: str = ""
    owners: list[int] = []
    for number, phonemes in enumerate(sounds):
        if len(phonemes) > MAX_SYMBOLS:
            raise UserError("A word of the line is too long to be said; shorten it.")
        if not phonemes:
            continue
        if len(symbols) + len(phonemes) + 1 > MAX_SYMBOLS:
            parts.append(Part(symbols, tuple(owners)))
            symbols, owners = "", []
        piece = f" {phonemes}" if symbols else phonemes
        symbols, owners = symbols + piece, [*owners, *([number] * len(piece))]
    return [*parts, Part(symbols, tuple(owners))]


def _timed(part: Part, units: tuple[int, ...], span: tuple[float, float]) -> list[Timed]:
    """Times of the symbols; the first and the last reach to the ends of the sound."""
    ends = np.cumsum(units)[:-1] * UNIT_S - LATE_S  # the first is the pad's
    ends[0], ends[-1] = min(ends[0], span[0]), max(ends[-1], span[1])
    edges = pairwise(ends.tolist())
    return [
        Timed(symbol, start, end, chunk)
        for symbol, chunk, (start, end) in zip(part.symbols, part.chunks, edges, strict=True)
    ]


def _until_silence(symbols: list[Timed], heard: np.ndarray) -> list[Timed]:
    """End the sounds before a pause where they fall silent: the models count the pause to them."""
    following = [timed.symbol for timed in symbols[1:]] + ["."]
    return [
        Timed(t.symbol, t.start, _sound_end(t, heard), t.chunk)
        if after in PAUSES and after != " "
        else t
        for t, after in zip(symbols, following, strict=True)
    ]


def _sound_end(timed: Timed, heard: np.ndarray) -> float:
    shortest = min(timed.start + 2 * UNIT_S, timed.end)
    return max(sound.last_sound(heard, timed.start, timed.end), shortest)


def _shifted(symbols: list[Timed], by: float, length: float) -> list[Timed]:
    def inside(time: float) -> float:
        return min(max(time + by, 0.0), length)

    return [Timed(s.symbol, inside(s.start), inside(s.end), s.chunk) for s in symbols]


def _speech(
    samples: sound.Samples,
    words: list[str],
    spoken: list[str],
    matches: list[Match],
    symbols: list[Timed],
) -> Speech:
    phonemes = tuple(p for p in alignment.phoneme_times(symbols) if p.end > p.start)
    end = max(phoneme.end for phoneme in phonemes)
    peak = float(np.abs(samples).max())
    return Speech(
        samples=samples / max(1.0, peak / 0.99),
        sample_rate=SAMPLE_RATE,
        words=alignment.word_times(words, spoken, matches, symbols, end),
        phonemes=phonemes,
    )
