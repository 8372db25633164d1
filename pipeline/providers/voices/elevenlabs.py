"""ElevenLabs through its SDK: a line with the times of its characters, and the account's plan.

The SDK's own retries are off: each of them would be another paid call that nobody has counted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import numpy as np
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.parse_error import ParsingError
from elevenlabs.core.request_options import RequestOptions
from elevenlabs.types.voice_settings import VoiceSettings
from pydantic import BaseModel, ValidationError

from pipeline.addresses import checked_setting
from pipeline.config import VoicesConfig
from pipeline.errors import ProviderError, UserError
from pipeline.providers.base import Speech
from pipeline.providers.voices import failures, sound
from pipeline.providers.voices.costs import model_of
from pipeline.providers.voices.decoding import decoded
from pipeline.providers.voices.ids import voice_id, voice_variable
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.providers.voices.spoken import caption_words, spoken_form, written_form
from pipeline.providers.voices.timing import CharacterTimes, Span, phonemes_in, spans_of, words_in
from pipeline.sections import Emotion
from pipeline.shows import Character

SAMPLE_RATE = 48_000
"""Of all speech: the rate of the reel's sound."""
OUTPUT_FORMAT = "mp3_44100_128"
"""The best that every plan may ask for."""
TIMEOUT_S = 60.0
VERSION = 1
"""Counts changes to how we ask, so that lines kept from before are made again."""
ONCE: RequestOptions = {"max_retries": 0}
FAILURES = (
    *(ApiError, ParsingError, httpx.HTTPError),
    # The SDK builds its objects unchecked, so these come out of a strange answer.
    *(ValueError, TypeError, AttributeError, KeyError),
)
NEVER_SENT = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
    *(httpx.UnsupportedProtocol, httpx.ProxyError),
)

Answer = TypeVar("Answer")


class _Alignment(BaseModel):
    characters: tuple[str, ...]
    character_start_times_seconds: tuple[float, ...]
    character_end_times_seconds: tuple[float, ...]


class ElevenLabsVoice:
    """Safe to use from several threads; `close()` ends its connections."""

    name = "elevenlabs"

    def __init__(
        self, config: VoicesConfig, phonemiser: Phonemiser, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.parallel = config.concurrency
        self._secret = _key_of(config)
        url = config.base_url
        base_url = checked_setting(url, "ELEVENLABS_BASE_URL") if url else None
        self._model = model_of(config)
        self._config = config
        self._phonemiser = phonemiser
        self._lock = threading.Lock()
        self._plan = ""
        # trust_env off: a proxy or .netrc of the machine must not see or replace the key.
        self._http = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False)
        self._client = ElevenLabs(
            api_key=self._secret,
            base_url=base_url,
            timeout=timeout_s,
            httpx_client=self._http,
        )

    def close(self) -> None:
        self._http.close()

    @property
    def plan(self) -> str:
        """The tier of the subscription; UserError when the key may not read it."""
        with self._lock:
            if not self._plan:
                subscription = self._asked(
                    lambda: self._client.user.subscription.get(request_options=ONCE),
                    asking_for="`user_read`",
                )
                self._plan = _text(subscription, "tier")
            return self._plan

    def key(self, text: str, character: Character, emotion: Emotion) -> str:
        what = {
            "version": VERSION,
            "provider": self.name,
            "model": self._model,
            "voice": voice_id(self._config, character),
            "settings": character.elevenlabs.settings(emotion).model_dump(),
            "format": OUTPUT_FORMAT,
            "text": " ".join(caption_words(text)),
        }
        canonical = json.dumps(what, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def speak(self, text: str, character: Character, emotion: Emotion) -> Speech:
        words = caption_words(text)
        forms = [written_form(word) for word in words]
        if not any(symbol.isalnum() for form in forms for symbol in form):
            raise UserError(f"The line {text!r} has nothing to say; write a word in it.")
        # All that can fail or takes long comes first: what was paid for is kept at once.
        plan = self.plan
        sounds = [self._phonemes(word) for word, form in zip(words, forms, strict=True) if form]
        sent = " ".join(form for form in forms if form)
        response = self._said(sent, character, emotion)
        samples = _samples(_text(response.data, "audio_base_64"))
        spans = _spans(forms, samples, _times(response.data))
        return Speech(
            samples=samples,
            sample_rate=SAMPLE_RATE,
            words=words_in(words, forms, spans),
            phonemes=phonemes_in(sounds, spans),
            chars_billed=_chars_billed(response.headers, sent),
            plan=plan,
            request_id=response.headers.get("request-id", ""),
        )

    def _said(self, text: str, character: Character, emotion: Emotion) -> Any:
        settings = character.elevenlabs.settings(emotion).model_dump()
        return self._asked(
            lambda: self._client.text_to_speech.with_raw_response.convert_with_timestamps(
                voice_id(self._config, character),
                text=text,
                model_id=self._model,
                output_format=OUTPUT_FORMAT,
                voice_settings=VoiceSettings(**settings),
                request_options=ONCE,
            ),
            asking_for="`text_to_speech`",
            voice_variable=voice_variable(character),
        )

    def _asked(
        self, call: Callable[[], Answer], *, asking_for: str, voice_variable: str = ""
    ) -> Answer:
        try:
            return call()
        except FAILURES as error:
            raise self._translated(error, asking_for, voice_variable) from error

    def _translated(
        self, error: Exception, asking_for: str, voice_variable: str
    ) -> UserError | ProviderError:
        match error:
            case ApiError():
                return failures.refused(
                    error.status_code or 0,
                    error.body,
                    error.headers or {},
                    secret=self._secret,
                    asking_for=asking_for,
                    voice_variable=voice_variable,
                )
            case httpx.TransportError() if isinstance(error, NEVER_SENT):
                return failures.unreachable()
            case httpx.TransportError():
                return failures.lost(timed_out=isinstance(error, httpx.TimeoutException))
        return failures.unreadable()

    def _phonemes(self, word: str) -> str:
        """For the mouths, as English is read; empty for what our reader cannot say."""
        try:
            spoken = spoken_form(word)
        except UserError:
            return ""
        return " ".join(chunk.phonemes for chunk in self._phonemiser.read(spoken))


def _key_of(config: VoicesConfig) -> str:
    key = config.api_key.get_secret_value().strip() if config.api_key else ""
    if not key:
        raise UserError("Set ELEVENLABS_API_KEY, or VOICE=offline to work without it.")
    if not (key.isascii() and key.isprintable()):
        # A header cannot carry it, and the error that says so would show it.
        raise UserError("ELEVENLABS_API_KEY holds a character that no key has; copy it once more.")
    return key


def _text(answer: object, field: str) -> str:
    value = getattr(answer, field, None)
    if not isinstance(value, str) or not value:
        raise failures.unreadable()
    return value


def _samples(audio: str) -> sound.Samples:
    try:
        samples = decoded(base64.b64decode(audio, validate=True), SAMPLE_RATE)
    except ValueError as error:
        raise failures.unreadable() from error
    peak = float(np.abs(samples).max())
    return samples / np.float32(max(1.0, peak / 0.99))


def _times(answer: object) -> CharacterTimes | None:
    """Of the text as it was sent (the other alignment is of the text as it was read out)."""
    given = getattr(answer, "alignment", None)
    try:
        timed = _Alignment.model_validate(given, from_attributes=True)
    except ValidationError:
        return None
    return CharacterTimes(
        timed.characters, timed.character_start_times_seconds, timed.character_end_times_seconds
    )


def _spans(forms: list[str], samples: sound.Samples, times: CharacterTimes | None) -> list[Span]:
    length = samples.size / SAMPLE_RATE
    heard = sound.span(sound.is_sound(samples, SAMPLE_RATE)) or (0.0, length)
    return spans_of(forms, times, Span(heard[0], min(heard[1], length)), length)


def _chars_billed(headers: Mapping[str, str], text: str) -> int:
    cost = headers.get("character-cost", "")
    return int(cost) if cost.isdecimal() and len(cost) < 10 else len(text)
