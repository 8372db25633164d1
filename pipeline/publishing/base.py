"""What a platform is asked, and its errors by what can be done about them.

PublishError
  Passing        it did not happen; the same call may work later: wait, then ask again
    Limited      ... because we ask too often or post too much
    NotReady     ... because the container is still being processed
  StartOver      this container is of no use: make another
  Unseen         the platform does not find the object, which may be there all the same
  Unknown        a publish call got no clear answer: it may have happened
  Locked         token, permission or account: people must act, the work is kept
  Permanent      this file or caption is refused for good
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pipeline.errors import ProviderError


class PublishError(ProviderError):
    pass


class Passing(PublishError):
    """Wait `retry_after_s` (or a while), then make the same call again."""

    def __init__(self, provider: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(provider, message, True, retry_after_s)


class Limited(Passing):
    pass


class NotReady(Passing):
    pass


class StartOver(PublishError):
    pass


class Unseen(PublishError):
    pass


class Unknown(PublishError):
    pass


class Locked(PublishError):
    pass


class Permanent(PublishError):
    pass


class ContainerState(StrEnum):
    IN_PROGRESS = "IN_PROGRESS"
    FINISHED = "FINISHED"
    ERROR = "ERROR"
    EXPIRED = "EXPIRED"
    PUBLISHED = "PUBLISHED"


@dataclass(frozen=True)
class Slot:
    """A time to publish; `key` is its wall clock time and zone, `at` the moment in UTC."""

    key: str
    at: datetime


@dataclass(frozen=True)
class Outgoing:
    """All that goes out. `thumb_offset_ms` is the moment whose picture becomes the cover."""

    episode: int
    revision: int
    reel: Path
    cover: Path
    sha256: str
    caption: str
    ai_label: bool
    thumb_offset_ms: int = 0


@dataclass(frozen=True)
class Container:
    """What `create` made; nothing in it is public."""

    id: str
    upload_url: str


@dataclass(frozen=True)
class ContainerStatus:
    """`is_final`: the platform has refused the file itself, so another container does not help."""

    state: ContainerState
    detail: str = ""
    is_final: bool = False


@dataclass(frozen=True)
class Media:
    """Something public."""

    id: str
    permalink: str


@dataclass(frozen=True)
class Quota:
    used: int
    total: int


class Publisher(Protocol):
    """A platform. `account` is where posts appear; it is part of what people approve."""

    platform: str
    account: str

    async def keep_access(self) -> str:
        """Renew what lets us in, when that is due; a sentence when people must act soon."""
        ...

    def held_s(self) -> float:
        """Seconds until calls that can wait may be made: we have nearly asked too often."""
        ...

    async def quota(self) -> Quota: ...

    async def create(self, post: Outgoing) -> Container: ...

    async def upload(self, container: Container, path: Path, expected_sha256: str) -> None:
        """Send the file; Permanent unless the bytes that went out have the expected SHA-256."""
        ...

    async def status(self, container_id: str) -> ContainerStatus: ...

    async def publish(self, container_id: str) -> str:
        """Make it public and return the media's id; any error but Unknown means it is not."""
        ...

    async def look_up(self, caption: str, since: datetime) -> Media | None:
        """Our own post with exactly this caption, not older than `since`; else None."""
        ...

    async def permalink(self, media_id: str) -> str: ...
