"""One interaction, as the person sees it who started it."""

import secrets
from dataclasses import dataclass, field

from bot.sandbox.discord.changes import Changes
from bot.sandbox.discord.errors import Json
from bot.sandbox.discord.state import Channel, Member, Message

ANSWER_WITHIN_S = 3.0
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9


@dataclass(eq=False)
class Interaction:
    """One use of a command, component or modal, seen from the person who started it."""

    id: int
    kind: int
    member: Member
    channel: Channel
    data: Json
    created_s: float
    changes: Changes = field(repr=False)
    origin: Message | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    callback: int | None = None
    response: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: list[Json] = field(default_factory=list)
    modal: Json | None = None

    @property
    def is_deferred(self) -> bool:
        return self.callback in (DEFER_REPLY, DEFER_UPDATE)

    @property
    def is_ephemeral(self) -> bool:
        return self.response is not None and self.response.is_ephemeral

    @property
    def messages(self) -> list[Message]:
        """The response and its followups, as far as they are filled and still there."""
        answers = [self.response] if self.response and self.response is not self.origin else []
        sent = answers + self.followups
        return [each for each in sent if not each.is_loading and not each.is_deleted]

    async def answered(self, timeout_s: float = ANSWER_WITHIN_S) -> "Interaction":
        """Waits for the callback; without one Discord says "the application did not respond"."""
        what = "an answer to the interaction"
        await self.changes.until(lambda: self.callback is not None, timeout_s, what)
        return self

    async def replied(self, timeout_s: float = 10.0) -> Message:
        """Waits until there is something to read: the reply, or what fills a deferred one."""
        what = "a reply to the interaction"
        return (await self.changes.until(lambda: self.messages, timeout_s, what))[0]
