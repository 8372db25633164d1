"""/trends: ask the sources for topics, look at what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from cogs._checks import anyone_here, approvers_only
from cogs._embeds import plain, trends_text

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.engine import JobEvent

    Context = commands.Context[StudioBot]


class Trends(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot
        self._waiting: dict[int, list[tuple[discord.Message, int, int]]] = {}

    @commands.hybrid_group(name="trends", description="Topics people talk about.")
    @anyone_here()
    async def trends(self, ctx: Context) -> None:
        await ctx.send("Use `/trends fetch` or `/trends list`.", ephemeral=True)

    @trends.command(name="fetch", description="Ask the sources for topics now.")
    @app_commands.describe(days="how far back the answer looks", limit="how many it shows")
    @approvers_only()
    async def fetch(
        self,
        ctx: Context,
        days: commands.Range[int, 1, 30] = 7,
        limit: commands.Range[int, 1, 25] = 10,
    ) -> None:
        await ctx.defer()
        # The message first: a fetch may have ended before Discord has answered.
        message = await ctx.send("Asking the sources…")
        job = await self.bot.studio.trends.fetch()
        self._waiting.setdefault(job.id, []).append((message, days, limit))

    @trends.command(name="list", description="The topics that are stored.")
    @app_commands.describe(days="how far back to look", limit="how many to show")
    @anyone_here()
    async def listed(
        self,
        ctx: Context,
        days: commands.Range[int, 1, 30] = 7,
        limit: commands.Range[int, 1, 25] = 10,
    ) -> None:
        await ctx.defer(ephemeral=True)
        found = await self.bot.studio.trends.listed(days=days, limit=limit)
        await ctx.send(trends_text(found), ephemeral=True)

    @commands.Cog.listener()
    async def on_studio_job(self, event: JobEvent) -> None:
        """Answer everybody who waits for this fetch."""
        if event.kind not in ("succeeded", "failed", "cancelled"):
            return
        for message, days, limit in self._waiting.pop(event.job.id, []):
            if event.kind == "succeeded":
                found = await self.bot.studio.trends.listed(days=days, limit=limit)
                await message.edit(content=trends_text(found))
            else:
                await message.edit(content=f"No topics: {plain(event.error or event.kind)}")


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Trends(bot))
