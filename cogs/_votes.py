"""Reactions on our messages: which emoji means what, whose count, and ours that come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
import discord

from cogs._checks import has_role
from pipeline.errors import ProviderError
from pipeline.services.reviews import Votes
from storage.records import Message

MOST_READS = 10
UNKNOWN_MESSAGE = 10008
NO_MEMBER = (10007, 10013)
"""Discord's codes for an unknown member and user. Any other 404 says nothing about votes."""
UNREACHABLE = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)
Emoji = discord.PartialEmoji | discord.Emoji | str
KINDS = (discord.ReactionType.normal, discord.ReactionType.burst)


class Sign(StrEnum):
    """What a reaction on a draft or on a checkpoint asks for."""

    APPROVE = "✅"
    REJECT = "❌"
    AGAIN = "🔁"


def sign_of(emoji: Emoji) -> Sign | None:
    """None for any other emoji; a variation selector makes no difference."""
    return next((sign for sign in Sign if is_same(sign.value, emoji)), None)


def is_same(one: Emoji, other: Emoji) -> bool:
    """Clients send emoji with and without variation selectors."""
    return str(one).replace("\ufe0f", "") == str(other).replace("\ufe0f", "")


async def seed(message: discord.Message, emojis: Iterable[str]) -> None:
    """One click is enough to decide: our own reactions are there first."""
    seeded = [reaction.emoji for reaction in message.reactions if reaction.me]
    for emoji in emojis:
        if not any(is_same(emoji, other) for other in seeded):
            await message.add_reaction(emoji)


@dataclass(frozen=True)
class Given:
    """A message as it stands now, and who with the role has put which emoji on it."""

    message: discord.Message
    by: dict[str, frozenset[int]]


class DiscordVotes:
    """Reads votes over REST, so that it works in the bot and without a gateway."""

    def __init__(self, client: discord.Client, *, guild_id: int, role_id: int) -> None:
        self._client = client
        self._guild_id = guild_id
        self._role_id = role_id
        self._changes: Counter[int] = Counter()

    def heard(self, message_id: int) -> None:
        """A reaction has changed: what is being read of this message just now is old."""
        self._changes[message_id] += 1

    async def votes(self, draft: Message) -> Votes | None:
        """Who with the role has ✅ or ❌ on the draft now; None when the message is gone."""
        signs = (Sign.APPROVE, Sign.REJECT)
        given = await self.given(draft.channel_id, draft.message_id, signs)
        if given is None:
            return None
        return Votes(approve=given.by[Sign.APPROVE], reject=given.by[Sign.REJECT])

    async def given(self, channel_id: int, message_id: int, emojis: Sequence[str]) -> Given | None:
        """The reactions of people with the role; None when the message is gone.

        Read again when something changed meanwhile: old votes would undo what was just said.
        """
        for _ in range(MOST_READS):
            before = self._changes[message_id]
            given = await self._read(channel_id, message_id, emojis)
            if given is None or self._changes[message_id] == before:
                return given
        raise ProviderError("Discord", "the reactions change faster than they can be read", True)

    async def _read(self, channel_id: int, message_id: int, emojis: Sequence[str]) -> Given | None:
        try:
            channel = await self._channel(channel_id)
            message = await channel.fetch_message(message_id)
            users = {emoji: await _users(message, emoji) for emoji in emojis}
            may = {user: await self.is_approver(user) for ids in users.values() for user in ids}
        except UNREACHABLE as error:
            if _code(error) == UNKNOWN_MESSAGE:
                return None
            raise _unread(error) from error
        by = {emoji: frozenset(user for user in ids if may[user]) for emoji, ids in users.items()}
        return Given(message, by)

    async def is_approver(self, user_id: int) -> bool:
        """Whether a member carries the role now; somebody who left does not."""
        try:
            guild = await self._guild()
            member = await guild.fetch_member(user_id)
        except UNREACHABLE as error:
            if _code(error) in NO_MEMBER:
                return False
            raise _unread(error) from error
        return has_role(member, self._role_id)

    async def name(self, user_id: int) -> str:
        """How a person is called; the number when Discord does not say."""
        try:
            return str(self._client.get_user(user_id) or await self._client.fetch_user(user_id))
        except UNREACHABLE:
            return str(user_id)

    async def approver_with(self, message: discord.Message, emoji: str) -> discord.abc.User | None:
        """Somebody with the role who has put this reaction on the message, as it was fetched."""
        for user in [user async for user in _people(message, emoji)]:
            if await self.is_approver(user.id):
                return user
        return None

    async def _guild(self) -> discord.Guild:
        return self._client.get_guild(self._guild_id) or await self._client.fetch_guild(
            self._guild_id
        )

    async def _channel(self, channel_id: int) -> discord.abc.Messageable:
        channel = self._client.get_channel(channel_id) or await self._client.fetch_channel(
            channel_id
        )
        assert isinstance(channel, discord.abc.Messageable)
        return channel


async def _users(message: discord.Message, emoji: str) -> set[int]:
    return {user.id async for user in _people(message, emoji)}


async def _people(message: discord.Message, emoji: str) -> AsyncIterator[discord.abc.User]:
    """People with this reaction, normal or super; bots, ours included, never count."""
    for reaction in message.reactions:
        others = reaction.count - reaction.me
        if others > 0 and is_same(reaction.emoji, emoji):
            for kind in KINDS:
                async for user in reaction.users(type=kind):
                    if not user.bot:
                        yield user


def _code(error: Exception) -> int | None:
    return error.code if isinstance(error, discord.HTTPException) else None


def _unread(error: Exception) -> ProviderError:
    return ProviderError("Discord", f"the reactions cannot be read ({error})", True)
