"""Speech as a 16-bit mono WAV file, and back."""

from __future__ import annotations

import io
import wave

import numpy as np

from pipeline.providers.voices.sound import Samples


def wav_bytes(samples: Samples, rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def read_wav(data: bytes) -> Samples:
    """The samples of a file that `wav_bytes` made."""
    with wave.open(io.BytesIO(data)) as file:
        frames = file.readframes(file.getnframes())
    return np.frombuffer(frames, "<i2").astype(np.float32) / np.float32(32767)
