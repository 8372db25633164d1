"""The boundaries to the outside, one method wide where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.facts import Library, Memory, Topics
from pipeline.sections import (
    Brief,
    Emotion,
    Line,
    Phoneme,
    Pitches,
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


class Stop(StrEnum):
    """Why a language model ended its answer."""

    END = "end"
    LENGTH = "length"
    REFUSAL = "refusal"


MOST_TOKENS_COUNTED = 10**9
"""Of one answer: a service that tells more than this is not believed, and no row could hold it."""


@dataclass(frozen=True)
class Reply:
    """What a language model answered: JSON text when all went well."""

    text: str
    stop: Stop
    tokens_in: int
    tokens_out: int
    model: str
    request_id: str = ""


@dataclass(frozen=True)
class Turn:
    """`role` is `user` or `assistant`."""

    role: str
    text: str


class LanguageModel(Protocol):
    """One call to a chat model with structured output; raises ProviderError, never retries."""

    name: str
    model: str

    def ask(
        self, system: str, turns: Sequence[Turn], *, schema: dict[str, Any], max_tokens: int
    ) -> Reply:
        """`schema` is a JSON schema that the answer must fit."""


class Writer(Protocol):
    """Turns a topic into a script that passes every check of pipeline/checks.py."""

    name: str

    def write(self, brief: Brief, memory: Memory, show: Show) -> Script: ...

    def pitch(self, topics: Topics, memory: Memory, show: Show) -> Pitches: ...


@dataclass(frozen=True)
class Speech:
    """One spoken line: mono float32 samples in [-1, 1]; times in seconds from its own start."""

    samples: NDArray[np.float32]
    sample_rate: int
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    chars_billed: int = 0
    plan: str = ""
    request_id: str = ""


class Voice(Protocol):
    """Speaks a line. `key` is a hash of everything the audio depends on, so that it is kept.

    `parallel` is how many lines it may speak at the same time, from as many threads.
    """

    name: str
    parallel: int

    @property
    def plan(self) -> str:
        """Of the account, asked for once; empty where there is none."""

    def key(self, text: str, character: Character, emotion: Emotion) -> str: ...

    def speak(self, text: str, character: Character, emotion: Emotion) -> Speech:
        """UserError and NotBilled: it cost nothing; another ProviderError leaves that open."""

    def close(self) -> None: ...


class Pictures(Protocol):
    """Finds a picture for every line."""

    name: str

    def choose(self, lines: Sequence[Line], library: Library) -> list[Selection]: ...
