"""ElevenLabs on loopback: as strict as the service, with its error bodies and headers.

Speech is a tone per letter with gaps between words, encoded as the MP3 that was asked for, and
timed to the character. The same request gives the same bytes.
"""

import asyncio
import base64
import functools
import io
import itertools
import threading
from dataclasses import dataclass

import av
import numpy as np
from aiohttp import web
from standins.server import Refusal, Request, Server

KEY = "sk_canary0elevenlabs0key0that0nobody0may0see"
DEEP_VOICE, HIGH_VOICE = "JBdeepVoice000000001", "FGhighVoice000000002"
CALLS_AT_ONCE = {"free": 2, "starter": 3, "creator": 5, "pro": 10, "scale": 15}
LONGEST = {
    "eleven_multilingual_v2": 10_000,
    "eleven_turbo_v2_5": 40_000,
    "eleven_flash_v2_5": 40_000,
    "eleven_v3": 5_000,
}
FORMATS = {"mp3_22050_32": 22_050, "mp3_44100_128": 44_100}
FIELDS = {"text", "model_id", "voice_settings", "seed", "previous_text", "next_text"}
RANGES = {
    "stability": (0, 1),
    "similarity_boost": (0, 1),
    "style": (0, 1),
    "speed": (0.7, 1.2),
}


@dataclass(frozen=True)
class Spoken:
    """A line that was billed."""

    voice: str
    text: str
    settings: dict[str, object]
    model: str


class Elevenlabs(Server):
    """`permissions` are those of the key; `quota` the characters that are left, `used` those that
    are gone.

    At a `tempo` of 2 every line takes half the time.
    """

    def __init__(
        self,
        *,
        key: str = KEY,
        plan: str = "pro",
        quota: int = 100_000,
        used: int = 0,
        permissions: frozenset[str] = frozenset({"text_to_speech", "user_read", "voices_read"}),
        work_s: float = 0.0,
        tempo: float = 1.0,
    ) -> None:
        super().__init__(work_s=work_s)
        self.key, self.plan, self.quota, self.permissions = key, plan, quota, permissions
        self.limit = used + quota
        self.tempo = tempo
        self.voices = {DEEP_VOICE: 120.0, HIGH_VOICE: 300.0}
        """Id -> pitch in Hz."""
        self.spoken: list[Spoken] = []
        self.change_answer = lambda answer: answer
        self.headers: dict[str, str] = {}
        """Of the next answers, instead of our own; an empty one is left out."""
        self.open = threading.Event()
        """Calls that speak are answered while it is set."""
        self.open.set()
        self._under_way = 0
        self._ids = itertools.count(1)

    def routes(self):
        return [
            ("GET", "/v1/user/subscription", "subscription", self._subscription),
            ("GET", "/v1/voices", "voices", self._voices),
            ("GET", "/v1/voices/{voice}", "voice", self._voice),
            ("POST", "/v1/text-to-speech/{voice}/with-timestamps", "speak", self._speak),
        ]

    def work_of(self, call: str) -> float:
        return self.work_s if call == "speak" else 0.0

    def texts(self) -> list[str]:
        """Of all lines that were billed, in their order."""
        return [spoken.text for spoken in self.spoken]

    async def _meet(self, http, request, handler, fault):
        if request.call != "speak":
            return await super()._meet(http, request, handler, fault)
        self._under_way += 1
        request.fields["under_way"] = self._under_way
        try:
            # Other threads set it, so it cannot be awaited.
            while not (self.open.is_set() or self._closing.is_set()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            if fault is None and request.fields["under_way"] > self._most():
                return _error_response(429, "too_many_concurrent_requests", self._too_many())
            return await super()._meet(http, request, handler, fault)
        finally:
            self._under_way -= 1

    def _most(self) -> int:
        return CALLS_AT_ONCE[self.plan]

    def _too_many(self) -> str:
        return (
            f"Too many concurrent requests. Your current subscription is associated with a "
            f"maximum of {self._most()} concurrent requests (running in parallel)."
        )

    def _subscription(self, request: Request):
        self._check_key(request, "user_read")
        return {
            "tier": self.plan,
            "character_count": self.limit - self.quota,
            "character_limit": self.limit,
            "next_character_count_reset_unix": 1_800_000_000,
            "can_extend_character_limit": False,
            "status": "active" if self.plan != "free" else "free",
        }

    def _voices(self, request: Request):
        self._check_key(request, "voices_read")
        return {"voices": [self._about(voice) for voice in self.voices]}

    def _voice(self, request: Request):
        self._check_key(request, "voices_read")
        voice = request.path.rsplit("/", 1)[1]
        if voice not in self.voices:
            message = f"A voice with the voice_id {voice} was not found."
            raise Refusal(404, {"detail": {"status": "voice_not_found", "message": message}})
        return self._about(voice)

    def _about(self, voice: str) -> dict[str, str]:
        name = f"Voice {self.voices[voice]:.0f}"
        return {"voice_id": voice, "name": name, "category": "premade"}

    def _speak(self, request: Request) -> web.Response:
        self._check_key(request, "text_to_speech")
        rate = _output_rate(request)
        text, model, settings = _checked_body(request)
        voice = request.path.split("/")[3]
        if voice not in self.voices:
            raise _refusal(404, "voice_not_found", f"A voice with ID {voice} was not found.")
        if len(text) > LONGEST[model]:
            raise _refusal(
                400,
                "max_character_limit_exceeded",
                f"This request exceeds the maximum of {LONGEST[model]} characters.",
            )
        if len(text) > self.quota:
            raise _refusal(
                401,
                "quota_exceeded",
                f"This request exceeds your quota. You have {self.quota} credits remaining, "
                f"while {len(text)} credits are required for this request.",
            )
        self.quota -= len(text)
        self.spoken.append(Spoken(voice, text, settings, model))
        return self._answer(request, text, rate, voice, settings)

    def _answer(self, request, text, rate, voice, settings) -> web.Response:
        pace = self.tempo * settings.get("speed", 1.0)
        durations = tuple(seconds / pace for seconds in _durations(text))
        audio = _mp3(durations, _is_heard(text), self.voices[voice], rate)
        answer = {
            "audio_base64": base64.b64encode(audio).decode(),
            "alignment": _alignment(text, durations, 0.0),
            # As it was read out: other characters than those that were sent.
            "normalized_alignment": _alignment(f" {text} ", (0.0, *durations, 0.0), 0.0),
        }
        headers = {
            "character-cost": str(len(text)),
            "request-id": f"request{next(self._ids):04}",
            "current-concurrent-requests": str(request.fields["under_way"]),
            "maximum-concurrent-requests": str(self._most()),
            **self.headers,
        }
        headers = {name: value for name, value in headers.items() if value}
        return web.json_response(self.change_answer(answer), headers=headers)

    def _check_key(self, request: Request, permission: str) -> None:
        if request.headers.get("xi-api-key") != self.key:
            raise _refusal(401, "invalid_api_key", "Invalid API key")
        if permission not in self.permissions:
            raise _refusal(
                401,
                "missing_permissions",
                f"The API key you used is missing the permission {permission} to execute this "
                "operation.",
            )


def _refusal(status: int, word: str, message: str) -> Refusal:
    return Refusal(status, {"detail": {"status": word, "message": message}})


def _error_response(status: int, word: str, message: str) -> web.Response:
    return web.json_response({"detail": {"status": word, "message": message}}, status=status)


def _wrong(field: str, message: str) -> Refusal:
    return Refusal(422, {"detail": [{"loc": ["body", field], "msg": message, "type": "value"}]})


def _output_rate(request: Request) -> int:
    if set(request.query) - {"output_format"}:
        raise _wrong("query", "unknown parameter")
    name = request.query.get("output_format", "mp3_44100_128")
    if name not in FORMATS:
        raise _wrong("output_format", f"{name} is no format of this plan")
    return FORMATS[name]


def _checked_body(request: Request) -> tuple[str, str, dict]:
    body = request.body
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _wrong("body", "not JSON")
    if not isinstance(body, dict) or set(body) - FIELDS:
        raise _wrong("body", "unknown fields")
    text, model = body.get("text"), body.get("model_id", "eleven_multilingual_v2")
    if not isinstance(text, str) or not text.strip():
        raise _wrong("text", "Field required")
    if model not in LONGEST:
        raise _refusal(400, "model_not_found", f"A model with model ID {model} does not exist.")
    settings = body.get("voice_settings") or {}
    if set(settings) - {*RANGES, "use_speaker_boost"}:
        raise _wrong("voice_settings", "unknown setting")
    for name, (low, high) in RANGES.items():
        if not low <= settings.get(name, low) <= high:
            raise _refusal(
                400, "invalid_voice_settings", f"{name} must be between {low} and {high}."
            )
    return text, model, settings


def _durations(text: str) -> list[float]:
    """Seconds of each character; a number is read out, which takes longer than its spelling."""
    return [_duration(text, n) for n in range(len(text))]


def _duration(text: str, n: int) -> float:
    character = text[n]
    if character.isdigit() or _is_in_number(text, n):
        return 0.25
    if character in ".!?":
        return 0.12 if n + 1 == len(text) else 0.35
    if character in ",;:—-":
        return 0.12
    return 0.05 if character == " " else 0.07


def _is_in_number(text: str, n: int) -> bool:
    return text[n] in ".," and text[n - 1 : n].isdigit() and text[n + 1 : n + 2].isdigit()


def _is_heard(text: str) -> tuple[bool, ...]:
    return tuple(
        character.isalnum() or character == "$" or _is_in_number(text, n)
        for n, character in enumerate(text)
    )


def _alignment(text: str, durations: tuple[float, ...], start: float) -> dict:
    edges = list(itertools.accumulate(durations, initial=start))
    return {
        "characters": list(text),
        "character_start_times_seconds": [round(edge, 3) for edge in edges[:-1]],
        "character_end_times_seconds": [round(edge, 3) for edge in edges[1:]],
    }


@functools.lru_cache(maxsize=256)
def _mp3(durations: tuple[float, ...], heard: tuple[bool, ...], hertz: float, rate: int) -> bytes:
    """A tone with overtones where letters are, silence elsewhere, at 128 kbit/s."""
    edges = np.round(np.cumsum((0.0, *durations)) * rate).astype(int)
    time = np.arange(edges[-1]) / rate
    voice = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in (1, 2, 3))
    gate = np.zeros(edges[-1])
    for is_heard, start, end in zip(heard, edges, edges[1:], strict=False):
        gate[start:end] = is_heard
    soft = np.hanning(rate // 100)
    samples = 0.2 * voice * np.convolve(gate, soft / soft.sum(), "same")
    return _encoded(samples.astype(np.float32), rate)


def _encoded(samples: np.ndarray, rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono", bit_rate=128_000)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()
