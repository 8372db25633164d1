"""Listens for what people think of the pictures that models draw; the desk does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from cogs._checks import has_role
from cogs._pictures import is_judgement
from pipeline.services.pictures import STAGE
from storage.jobs import OPEN

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.engine import JobEvent


class Pictures(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    # The raw events, because older messages are not cached

    @commands.Cog.listener()
    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        member = event.member
        if event.guild_id != self.bot.studio.guild_id or member is None or member.bot:
            return
        may_judge = has_role(member, self.bot.studio.approver_role_id)
        if not may_judge or not is_judgement(event.emoji):
            return
        if await self.bot.studio.pictures.find(event.message_id) is not None:
            await self.bot.pictures.reacted(event.message_id)

    @commands.Cog.listener()
    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self.bot.pictures.deleted(event.message_id)

    @commands.Cog.listener()
    async def on_studio_job(self, event: JobEvent) -> None:
        """Pictures have been drawn, or could not be."""
        if event.job.stage == STAGE and event.job.state not in OPEN:
            await self.bot.pictures.go_on()


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Pictures(bot))
