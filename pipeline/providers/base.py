"""The boundaries to the outside, one method wide where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.sections import (
    Brief,
    Emotion,
    Library,
    Line,
    Memory,
    Phoneme,
    Script,
    Selection,
    TrendItem,
    Word,
)
from pipeline.shows import Character, Show


class TrendSource(Protocol):
    """Where topics come from. Raises ProviderError when it cannot answer."""

    name: str

    def fetch(self, limit: int) -> list[TrendItem]: ...


class Writer(Protocol):
    """Turns a topic into a script that passes every check of pipeline/checks.py."""

    name: str

    def write(self, brief: Brief, memory: Memory, show: Show) -> Script: ...


@dataclass(frozen=True)
class Speech:
    """One spoken line: mono float32 samples in [-1, 1]; times in seconds from its own start."""

    samples: NDArray[np.float32]
    sample_rate: int
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    chars_billed: int = 0


class Voice(Protocol):
    """Speaks a line. `key` is a hash of everything the audio depends on, so that it is kept."""

    name: str

    def key(self, text: str, character: Character, emotion: Emotion) -> str: ...

    def speak(self, text: str, character: Character, emotion: Emotion) -> Speech: ...


class Pictures(Protocol):
    """Finds a picture for every line."""

    name: str

    def choose(self, lines: Sequence[Line], library: Library) -> list[Selection]: ...
