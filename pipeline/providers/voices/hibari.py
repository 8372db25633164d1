"""hibari's one voice, the fall-back engine: small and fast, both characters by tape alone."""

from __future__ import annotations

import hashlib
import importlib
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipeline.providers.voices.engine import Recipe, Utterance, read_bytes, session
from pipeline.providers.voices.phonemes import hibari_folder
from pipeline.shows import VoiceStyle

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DURATIONS = "/Cast_32_output_0"
SEED = 7
"""Of the noise in the consonants: the same text gives the same samples."""


class Hibari:
    """The voice `heart`, which lies inside the package; the others would be downloaded."""

    name = "hibari"

    def __init__(self) -> None:
        self._path = hibari_folder() / "assets" / "hibari.onnx"
        self.fingerprint = hashlib.sha256(read_bytes([self._path])).hexdigest()

    def recipe(self, style: VoiceStyle) -> Recipe:
        """Without accent: on top of the strong tape shift it costs too many words."""
        return Recipe(speed=style.fallback_speed, tape=style.fallback_tape, accent="none")

    def synthesise(self, ids: list[int], style: VoiceStyle, speed: float) -> Utterance:
        *spectra, units = self._session.run(
            None,
            {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)},
        )
        dsp = importlib.import_module("hibari.dsp")
        rng = np.random.default_rng(SEED)
        samples = dsp.synth(*(spectrum[0] for spectrum in spectra), rng)
        return Utterance(np.asarray(samples, np.float32), tuple(units.reshape(-1).tolist()))

    @cached_property
    def _session(self) -> InferenceSession:
        return session(read_bytes([self._path]), DURATIONS, threads=1)
