"""What the loopback Instagram keeps."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Post:
    """What the public sees."""

    id: str
    permalink: str
    sha256: str
    caption: str
    is_ai_generated: bool
    thumb_offset_ms: int | None
    timestamp: datetime
    container_id: str


@dataclass
class Container:
    id: str
    caption: str
    is_ai_generated: bool
    thumb_offset_ms: int | None
    created_at: datetime
    data: bytearray = field(default_factory=bytearray)
    uploaded_at: datetime | None = None
    error: str = ""
    expired: bool = False
    lost: bool = False
    media_id: str = ""


@dataclass(frozen=True)
class Request:
    """A call as it came in, by name.

    create, upload, status, publish, look_up, permalink, quota; refresh, exchange, debug_token;
    me, accounts; unknown. `is_authorized`: it had an Authorization header.
    """

    call: str
    method: str
    url: str
    parameters: dict[str, str]
    is_authorized: bool = False
