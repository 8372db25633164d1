"""Our own messages, found again by the mark in their footer after a bot that died too soon."""

from __future__ import annotations

import discord

LOOK_BACK = 50
"""Messages in which one is looked for that was sent just before the bot ended."""


async def sent_before(
    channel: discord.abc.Messageable, me: discord.abc.User | None, mark: str
) -> discord.Message | None:
    """Our message with this mark, sent before the bot could note it."""
    async for message in channel.history(limit=LOOK_BACK):
        if message.author == me and mark in {embed.footer.text for embed in message.embeds}:
            return message
    return None
