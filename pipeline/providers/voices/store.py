"""Speech that was made once and is kept: DATA_DIR/voices/<k[:2]>/<key>.wav and .json.

The JSON is written last, so it says that the sound beside it is whole; a pair that does not
match its hash counts as absent and is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from pipeline.files import write_whole
from pipeline.providers.base import Speech
from pipeline.providers.voices.wav import read_wav, wav_bytes
from pipeline.sections import Phoneme, Section, Sha256, Word

log = logging.getLogger(__name__)


class KeptSpeech(Section):
    """What is known of a kept sound; `made_at` and `provider` matter for licences, too."""

    provider: str
    made_at: AwareDatetime
    sha256: Sha256
    sample_rate: int
    chars_billed: int
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    plan: str = ""


class SpeechStore:
    """Keeps speech by the key of its provider; several processes may share one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Keep others from speaking the same; waits for one who is about it, also elsewhere.

        The lock ends with its process. Whoever holds one may wait for others only while all
        that he holds are let go without him, as lines are that other threads are speaking.
        """
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        # A file for many keys: one per key could never be removed safely.
        with (folder / f"lock-{key[2]}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def get(self, key: str) -> Speech | None:
        path = self._path(key)
        if not path.exists():
            return None
        try:
            kept = KeptSpeech.model_validate_json(path.read_bytes())
            sound = path.with_suffix(".wav").read_bytes()
        except (OSError, ValidationError):
            kept, sound = None, b""
        if kept is None or hashlib.sha256(sound).hexdigest() != kept.sha256:
            log.warning("kept speech is damaged and is made again: key=%s", key)
            return None
        return Speech(
            samples=read_wav(sound),
            sample_rate=kept.sample_rate,
            words=kept.words,
            phonemes=kept.phonemes,
            chars_billed=kept.chars_billed,
            plan=kept.plan,
        )

    def put(self, key: str, speech: Speech, provider: str) -> Speech:
        """Keep the speech and give it back as it will be read (16 bits)."""
        sound = wav_bytes(speech.samples, speech.sample_rate)
        kept = KeptSpeech(
            provider=provider,
            made_at=datetime.now(UTC),
            sha256=hashlib.sha256(sound).hexdigest(),
            sample_rate=speech.sample_rate,
            chars_billed=speech.chars_billed,
            words=speech.words,
            phonemes=speech.phonemes,
            plan=speech.plan,
        )
        path = self._path(key)
        write_whole(path.with_suffix(".wav"), sound)
        write_whole(path, kept.model_dump_json().encode())
        return replace(speech, samples=read_wav(sound))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
