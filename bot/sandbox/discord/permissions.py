"""Permissions as Discord computes them: roles, then the channel's overwrites."""

from enum import IntFlag
from typing import TYPE_CHECKING

from bot.sandbox.discord.errors import refusal

if TYPE_CHECKING:
    from bot.sandbox.discord.state import Channel, Member


class Permission(IntFlag):
    ADMINISTRATOR = 1 << 3
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31


NONE = Permission(0)
ALL = Permission((1 << 53) - 1)
# What @everyone may do in a new guild, as far as the sandbox looks at it.
DEFAULT = (
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.MENTION_EVERYONE
    | Permission.USE_APPLICATION_COMMANDS
)


def guild_permissions(member: "Member") -> Permission:
    guild = member.guild
    granted = guild.everyone.permissions
    for role_id in member.role_ids:
        granted |= guild.roles[role_id].permissions
    is_all = member.id == guild.owner_id or granted & Permission.ADMINISTRATOR
    return ALL if is_all else granted


def permissions_in(member: "Member", channel: "Channel") -> Permission:
    granted = guild_permissions(member)
    if granted == ALL:
        return ALL
    layers = [{member.guild.id}, member.role_ids, {member.id}]
    for ids in layers:
        allow = deny = NONE
        for overwrite_id in ids & channel.overwrites.keys():
            allow |= channel.overwrites[overwrite_id][0]
            deny |= channel.overwrites[overwrite_id][1]
        granted = (granted & ~deny) | allow
    return granted if granted & Permission.VIEW_CHANNEL else NONE


def demand(member: "Member | None", channel: "Channel", needed: Permission = NONE) -> None:
    """Raises 50001 when the channel is out of sight, 50013 when something else is missing."""
    if channel.guild is None:
        return
    granted = permissions_in(member, channel) if member else NONE
    if not granted & Permission.VIEW_CHANNEL:
        raise refusal(50001)
    if needed & ~granted:
        raise refusal(50013)
