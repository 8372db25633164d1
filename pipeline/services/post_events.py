"""What people are told about posts and slots."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class PostEventKind(StrEnum):
    PUBLISHED = "published"
    FAILED = "failed"
    UNKNOWN = "unknown"  # people are asked: /publish confirm or /publish retry
    LOCKED = "locked"  # token, permission, account or a file: people must act, the post waits
    BLOCKED = "blocked"  # an approved reel may not go out; the text says why
    SPOILED = "spoiled"
    EMPTY = "empty"  # a slot found nothing approved
    MISSED = "missed"
    PAUSED = "paused"  # a slot passed while publishing was paused
    WAITING = "waiting"  # a slot waits because approvals could not be read


@dataclass(frozen=True)
class PostEvent:
    kind: PostEventKind
    text: str
    episode_id: int | None = None
    permalink: str = ""


OnEvent = Callable[[PostEvent], None]
