"""What a run tells while it lasts: one JSON object per line in `events.jsonl` of its folder.

Whoever watches (the bot, a terminal) tails the file; nothing else leaves the process.
"""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EVENTS_FILE = "events.jsonl"


class EventKind(StrEnum):
    STARTED = "started"  # `step` of `steps` are done already; `note` names the device
    CLASS_IMAGE = "class_image"  # `made` of `wanted`
    PREPARING = "preparing"  # `note` says what: pictures are encoded, say
    STEP = "step"  # not every one: a few each second
    CHECKPOINT = "checkpoint"  # `folder` is complete and synced
    VALIDATION = "validation"  # `folder` holds the pictures and grid.png; `loss` is fixed-noise
    WARNING = "warning"  # `note` is a sentence: a damaged checkpoint was skipped, say
    STOPPED = "stopped"  # by a signal, after a checkpoint at `step`
    FINISHED = "finished"  # the result is in the run's folder
    FAILED = "failed"  # `error` is a sentence


class Event(BaseModel):
    """Times are seconds since 1970; `folder` is relative to the run's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EventKind
    at: float = Field(default_factory=time.time)
    step: int = 0
    steps: int = 0
    loss: Annotated[float, Field(allow_inf_nan=False)] | None = None
    learning_rate: Annotated[float, Field(allow_inf_nan=False)] | None = None
    seconds_left: Annotated[float, Field(allow_inf_nan=False)] | None = None
    made: int = 0
    wanted: int = 0
    folder: str = ""
    note: str = ""
    error: str = ""


class EventLog:
    """Appends; a line that a full disk cuts short costs only itself."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_FILE

    def tell(self, event: Event) -> None:
        with self._path.open("a+b") as file:
            file.seek(0, 2)
            begun = b""
            if file.tell() > 0:
                file.seek(-1, 2)
                begun = b"" if file.read(1) == b"\n" else b"\n"
            file.write(begun + event.model_dump_json(exclude_defaults=False).encode() + b"\n")


class EventTail:
    """Reads what was told since the last look; `offset` is where that look ended."""

    def __init__(self, folder: Path, offset: int = 0) -> None:
        self._path = folder / EVENTS_FILE
        self.offset = offset

    def read(self) -> list[Event]:
        """Whole lines only; those that are no event are skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [event for line in whole.splitlines() if (event := _event(line)) is not None]


def _event(line: bytes) -> Event | None:
    try:
        return Event.model_validate_json(line)
    except ValidationError:
        return None
