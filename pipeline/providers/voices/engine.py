"""What the two speech models have in common: phonemes in, samples and durations out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.providers.voices.sound import Samples
from pipeline.shows import VoiceStyle

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL_RATE = 24_000
UNIT_S = 0.025
"""Both models count durations in units of 25 ms (600 samples)."""
LATE_S = 0.05
"""By so much the sound of a symbol precedes its durations, in both models (the lag at which
loudness agrees best with vowels against stops and pauses, over eight lines and two voices)."""
PAD_ID = 0
"""Stands before and after every text, by the models' training."""


class EngineMissing(Exception):
    """The model's files are not there, or not the ones we know; the text says which."""


@dataclass(frozen=True)
class Utterance:
    """Samples at `MODEL_RATE`, and the units of every id, the two pads included."""

    samples: Samples
    units: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How a character is made with one engine; see VoiceStyle for speed, tape and accent."""

    speed: float
    tape: float
    accent: str


class Engine(Protocol):
    """A speech model; `fingerprint` names the exact weights."""

    name: str
    fingerprint: str

    def recipe(self, style: VoiceStyle) -> Recipe: ...

    def synthesise(self, ids: list[int], style: VoiceStyle, speed: float) -> Utterance: ...


def session(model: bytes, durations: str, threads: int) -> InferenceSession:
    """Load a model with the tensor `durations` (int64) as one output more."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        model + _extra_output(durations), options, providers=["CPUExecutionProvider"]
    )


def read_bytes(paths: list[Path]) -> bytes:
    """The files joined; EngineMissing when one cannot be read."""
    try:
        return b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise EngineMissing(f"{error.filename} cannot be read") from error


def _extra_output(tensor: str) -> bytes:
    """Protobuf that adds an output to an ONNX model when it is appended to the file.

    Repeated fields of messages that occur twice are merged, so a second `graph` (field 7 of
    ModelProto) with one `output` (12 of GraphProto) is enough. The type is tensor(int64).
    """
    int64 = b"\x08\x07"  # elem_type = 7
    value = _field(1, tensor.encode()) + _field(2, _field(1, int64))
    return _field(7, _field(12, value))


def _field(number: int, payload: bytes) -> bytes:
    if len(payload) > 127:
        raise ValueError("the length needs more than one byte")
    return bytes([number << 3 | 2, len(payload)]) + payload
