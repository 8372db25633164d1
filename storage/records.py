"""What rows look like outside the database: frozen, typed, times aware and in UTC."""

import json
import sqlite3
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from storage.states import EpisodeState, JobState, TrainingState


@dataclass(frozen=True)
class Episode:
    id: int
    topic: str
    source: str
    state: EpisodeState
    revision: int
    best_before: datetime | None
    requested_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Revision:
    """`sections` holds the JSON of those that are made, by name."""

    episode_id: int
    number: int
    fingerprint: str | None
    created_at: datetime
    sections: Mapping[str, str]


@dataclass(frozen=True)
class Transition:
    id: int
    episode_id: int
    revision: int
    at: datetime
    who: str
    from_state: EpisodeState
    to_state: EpisodeState
    reason: str


@dataclass(frozen=True)
class Job:
    """`facts` is a JSON object; a job without an episode belongs to the whole channel.

    `waits` counts the attempts that ended because the budget was used up.
    """

    id: int
    episode_id: int | None
    revision: int | None
    stage: str
    until_stage: str
    state: JobState
    attempt: int
    max_attempts: int
    run_after: datetime
    facts: str
    fraction: float
    note: str
    error: str
    error_kind: str
    cancel_asked: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waits: int


@dataclass(frozen=True)
class NewTrend:
    """A topic to store; `refused_because` is the sensitive-topic filter's reason."""

    name: str
    score: float
    timestamp: datetime
    source: str
    region: str = ""
    headlines: tuple[str, ...] = ()
    refused_because: str | None = None


@dataclass(frozen=True)
class Trend:
    id: int
    name: str
    score: float
    timestamp: datetime
    source: str
    region: str
    day: str
    headlines: tuple[str, ...]
    refused_because: str | None
    used_in_episode: int | None


@dataclass(frozen=True)
class TrendSource:
    """How a source of trends has done; `failures` counts those in a row."""

    name: str
    failures: int
    not_before: datetime | None
    has_named: bool
    error: str
    answered_at: datetime | None


@dataclass(frozen=True)
class NewImage:
    """`path` is relative to DATA_DIR; `source` is `rig`, `photo` or `model`."""

    character: str
    emotion: str
    path: str
    sha256: str
    width: int
    height: int
    source: str
    promotion_id: int | None = None


@dataclass(frozen=True)
class LibraryImage:
    id: int
    character: str
    emotion: str
    path: str
    sha256: str
    width: int
    height: int
    source: str
    usage_count: int
    last_used_at: datetime | None
    created_at: datetime
    promotion_id: int | None = None


@dataclass(frozen=True)
class TrainingImage:
    """A picture that a character is trained with; `average_hash` is 16 hexadecimal digits."""

    id: int
    character: str
    sha256: str
    source_sha256: str
    path: str
    width: int
    height: int
    average_hash: str
    sharpness: float
    remarks: tuple[str, ...]
    uploaded_by: str
    created_at: datetime


@dataclass(frozen=True)
class TrainingUpload:
    """Files that were sent together; `result` is JSON, empty until their job has succeeded."""

    job_id: int
    character: str
    uploaded_by: str
    result: str
    channel_id: int | None
    message_id: int | None
    told_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class TrainingRun:
    """`base` is what people chose; `event_offset` how much of the run's events is stored here.

    `note` says what it does just now, `warning` what people should know, `error` why it failed.
    """

    id: int
    character: str
    name: str
    base: str
    state: TrainingState
    step: int
    steps: int
    loss: float | None
    seconds_left: float | None
    note: str
    error: str
    restarts: int
    event_offset: int
    requested_by: str
    channel_id: int | None
    message_id: int | None
    told_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    warning: str = ""


@dataclass(frozen=True)
class Validation:
    """A checkpoint that people judge; `folder` is relative to DATA_DIR."""

    run_id: int
    step: int
    folder: str
    loss: float | None
    channel_id: int | None
    message_id: int | None
    ended: str
    created_at: datetime


@dataclass(frozen=True)
class Promotion:
    """A model in use, or one that was; `path` is relative to DATA_DIR."""

    id: int
    character: str
    run_id: int
    step: int
    path: str
    sha256: str
    who: str
    at: datetime
    ended_at: datetime | None
    ended_by: str


@dataclass(frozen=True)
class GenerationMetrics:
    """What one revision cost to make; `episode` is its id."""

    id: int
    episode: int
    revision: int
    timestamp: datetime
    seconds_trends: float | None
    seconds_script: float | None
    seconds_audio: float | None
    seconds_images: float | None
    seconds_video: float | None
    seconds_total: float | None
    peak_rss_mb: float | None
    cost_usd: float
    chars_tts: int
    tokens_in: int
    tokens_out: int
    result: str


@dataclass(frozen=True)
class Message:
    """A Discord message of ours; `fingerprint` is what a draft shows."""

    message_id: int
    channel_id: int
    kind: str
    episode_id: int
    revision: int
    fingerprint: str
    created_at: datetime
    closed_at: datetime | None


R = TypeVar("R")


def from_row(record: type[R], row: sqlite3.Row) -> R:
    """Build a record from the columns that carry the names of its fields."""
    return record(
        **{
            name: None if row[name] is None else convert(row[name])
            for name, convert in _converters(cast(Hashable, record)).items()
        }
    )


def to_text(moment: datetime) -> str:
    """ISO 8601 in UTC, always equally long, so that texts compare as times do."""
    if moment.tzinfo is None:
        raise ValueError("a stored time needs a time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@cache
def _converters(record: Any) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(record)
    return {field.name: _converter(hints[field.name]) for field in fields(record)}


def _converter(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) is UnionType:
        (hint,) = (option for option in get_args(hint) if option is not NoneType)
    if hint is datetime:
        return datetime.fromisoformat
    if get_origin(hint) is tuple:
        return lambda text: tuple(json.loads(text))
    if hint is bool or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return hint
    return lambda value: value
