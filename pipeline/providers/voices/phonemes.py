"""Text to phonemes: hibari's English reader behind an interface of our own.

It is an inner module of a young package, so the version is pinned, only this module knows it,
and a contract test says what we rely on. The alphabet is misaki's, which Kokoro speaks too.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.errors import ProviderError

PAUSES = frozenset(';:,.!?—…"“”() ')
"""Symbols of the alphabet that are not sounds."""


@dataclass(frozen=True)
class Chunk:
    """A run of text without spaces, as the reader spells it out, and how it sounds."""

    text: str
    phonemes: str
    is_name: bool


def hibari_folder() -> Path:
    """Where hibari is installed; ProviderError when it is not."""
    found = importlib.util.find_spec("hibari")
    if found is None or not found.submodule_search_locations:
        raise ProviderError(
            "offline voice",
            "the package hibari-tts is missing; install it with `pip install hibari-tts==0.2.1`.",
        )
    return Path(next(iter(found.submodule_search_locations)))


class Phonemiser:
    """Reads English; loading takes most of a second, so it waits for the first text.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._folder = hibari_folder()
        self._lock = threading.Lock()  # the reader has one state for all texts
        self.fingerprint = f"hibari-g2p {version('hibari-tts')}"

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Symbol -> the id that both models know it by."""
        path = self._folder / "assets" / "vocab.json"
        vocabulary: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
        return vocabulary

    @cached_property
    def _reader(self) -> Any:
        try:
            return importlib.import_module("hibari.g2p").G2P()
        except (ImportError, AttributeError, OSError, ValueError) as error:
            raise ProviderError(
                "offline voice",
                "the package hibari-tts is damaged; install it again with "
                "`pip install --force-reinstall hibari-tts==0.2.1`.",
            ) from error

    def read(self, text: str) -> list[Chunk]:
        """Spell the text out (numbers, prices, dates) and give the sound of every chunk."""
        with self._lock:
            return [self._repaired(chunk) for chunk in self._chunks(text)]

    def _repaired(self, chunk: Chunk) -> Chunk:
        """Read alone what the reader swallowed (a letter or number between some neighbours)."""
        if chunk.phonemes or not any(character.isalnum() for character in chunk.text):
            return chunk
        alone = " ".join(part.phonemes for part in self._chunks(chunk.text))
        return replace(chunk, phonemes=alone.strip())

    def _chunks(self, text: str) -> list[Chunk]:
        reader = self._reader
        normalise = importlib.import_module("hibari.g2p.normalize").normalize
        chunks: list[Chunk] = []
        pending: list[Any] = []
        for token in reader.phonemize_tokens(reader.tokenize(normalise(text))):
            pending.append(token)
            if token.whitespace:
                chunks.append(self._chunk(pending))
                pending = []
        return [*chunks, self._chunk(pending)] if pending else chunks

    def _chunk(self, tokens: list[Any]) -> Chunk:
        phonemes = "".join(token.phonemes or "" for token in tokens)
        return Chunk(
            text="".join(token.text for token in tokens),
            phonemes="".join(symbol for symbol in phonemes if symbol in self.vocabulary),
            is_name=any(str(token.tag).startswith("NNP") for token in tokens),
        )


@cache
def shared_phonemiser() -> Phonemiser:
    """For voices that come and go: a worker that stays loads it once."""
    return Phonemiser()
