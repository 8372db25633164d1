"""Who may do it. Looking needs no role; what changes a reel, an approval or the schedule does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import discord
from discord.ext import commands

if TYPE_CHECKING:
    from bot.client import StudioBot

    Context = commands.Context[StudioBot]


def has_role(member: object, role_id: int) -> bool:
    """A member of a guild who carries the role; bots never do."""
    if not isinstance(member, discord.Member) or member.bot:
        return False
    return any(role.id == role_id for role in member.roles)


async def in_our_guild(context: Context) -> bool:
    """Only the configured guild; a second one that invited the bot sees nothing."""
    if context.guild is None or context.guild.id != context.bot.studio.guild_id:
        raise commands.CheckFailure("This bot works in one server only, and this is not it.")
    return True


def approvers_only() -> Callable[[Any], Any]:
    """Refuse members without the approver role, with the sentence that names it."""

    async def check(context: Context) -> bool:
        await in_our_guild(context)
        if not has_role(context.author, context.bot.studio.approver_role_id):
            raise commands.CheckFailure(
                f"This needs the role <@&{context.bot.studio.approver_role_id}>;"
                " ask somebody who has it."
            )
        return True

    return commands.check(check)


def anyone_here() -> Callable[[Any], Any]:
    """Everybody in our guild."""
    return commands.check(in_our_guild)
