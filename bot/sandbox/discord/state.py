"""What exists on the sandbox's Discord: records that live in memory, and the clock they age by."""

import time
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.discord.permissions import Permission

EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15
DISCORD_EPOCH_MS = 1420070400000


class Clock:
    """Real time plus what tests have advanced it by, so that things age without waiting."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self._last_id = 0

    def now_s(self) -> float:
        return time.time() + self.offset_s

    def snowflake(self) -> int:
        fresh = (int(self.now_s() * 1000) - DISCORD_EPOCH_MS) << 22
        self._last_id = max(fresh, self._last_id + 1)
        return self._last_id


@dataclass(eq=False)
class User:
    id: int
    name: str
    bot: bool = False
    accepts_dms: bool = True
    has_nitro: bool = False

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"


@dataclass(eq=False)
class Role:
    id: int
    name: str
    permissions: Permission
    position: int
    mentionable: bool = False
    managed: bool = False

    @property
    def mention(self) -> str:
        return f"<@&{self.id}>"


@dataclass(eq=False)
class Member:
    user: User
    guild: "Guild" = field(repr=False)
    joined_s: float
    role_ids: set[int] = field(default_factory=set)

    @property
    def id(self) -> int:
        return self.user.id

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def mention(self) -> str:
        return self.user.mention


@dataclass(eq=False)
class Channel:
    """A text channel of a guild, or a direct-message channel with `recipient`."""

    id: int
    name: str
    guild: "Guild | None" = field(default=None, repr=False)
    recipient: User | None = None
    # by id of a role or member: what is allowed and what is denied here
    overwrites: dict[int, tuple[Permission, Permission]] = field(default_factory=dict)

    @property
    def mention(self) -> str:
        return f"<#{self.id}>"


@dataclass(eq=False)
class Guild:
    id: int
    name: str
    owner_id: int
    boost_tier: int = 0
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)

    @property
    def everyone(self) -> Role:
        return self.roles[self.id]


@dataclass(frozen=True)
class Attachment:
    id: int
    channel_id: int
    filename: str
    content_type: str
    data: bytes = field(repr=False)
    description: str | None = None
    is_ephemeral: bool = False


@dataclass
class Reaction:
    """Who used one emoji, by kind; the lists keep the order of use."""

    emoji: str
    normal: list[User] = field(default_factory=list)
    burst: list[User] = field(default_factory=list)

    def kind(self, *, burst: bool) -> list[User]:
        return self.burst if burst else self.normal


@dataclass(frozen=True)
class Pings:
    """Who got a notification: what a message says, less what its allowed_mentions forbid."""

    user_ids: frozenset[int] = frozenset()
    role_ids: frozenset[int] = frozenset()
    everyone: bool = False

    def __bool__(self) -> bool:
        return bool(self.user_ids or self.role_ids or self.everyone)


@dataclass(eq=False)
class Message:
    id: int
    channel: Channel
    author: User
    created_s: float
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    reply_to: "Message | None" = field(default=None, repr=False)
    flags: int = 0
    nonce: str | None = None
    pings: Pings = Pings()
    interaction: dict[str, Any] | None = None
    reactions: dict[str, Reaction] = field(default_factory=dict)
    edited_s: float | None = None
    edits: int = 0
    is_deleted: bool = False

    @property
    def is_ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def is_loading(self) -> bool:
        return bool(self.flags & LOADING)
