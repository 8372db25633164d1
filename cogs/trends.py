"""/trends: ask the sources for topics, look at what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from cogs._checks import anyone_here, approvers_only
from cogs._embeds import moment, plain, trends_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.client import StudioBot
    from pipeline.engine import JobEvent
    from storage.records import Trend, TrendSource

    Context = commands.Context[StudioBot]


LONGEST = 1900
MOST_SOURCES = 5


def list_text(found: Sequence[Trend], failing: Sequence[TrendSource]) -> str:
    """Topics, then the sources that do not answer; whole lines, as many as a message takes."""
    below = "\n".join(source_lines(failing))
    lines = trends_text(found).splitlines()
    while len(lines) > 1 and sum(map(len, lines)) + len(lines) + len(below) > LONGEST:
        lines.pop()
    return "\n".join([*lines, below]).strip()


def source_lines(failing: Sequence[TrendSource]) -> list[str]:
    """A line each: why it does not answer, and when it is asked again."""
    lines = [
        f"⚠️ {plain(source.name, 60)}: {plain(source.error, 120)} "
        f"({_times(source.failures)}) · {_asked_again(source.not_before)}"
        for source in failing[:MOST_SOURCES]
    ]
    if len(failing) > MOST_SOURCES:
        lines.append(f"⚠️ {len(failing) - MOST_SOURCES} more sources do not answer.")
    return lines


def _times(failures: int) -> str:
    return "once" if failures == 1 else f"{failures} times in a row"


def _asked_again(at: datetime | None) -> str:
    return "asked again with the next fetch" if at is None else f"rests until {moment(at)}"


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
        job = await self.bot.studio.trends.fetch(insist=True)
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
        await ctx.send(await self._list(days, limit), ephemeral=True)

    @commands.Cog.listener()
    async def on_studio_job(self, event: JobEvent) -> None:
        """Answer everybody who waits for this fetch."""
        if event.kind not in ("succeeded", "failed", "cancelled"):
            return
        for message, days, limit in self._waiting.pop(event.job.id, []):
            if event.kind == "succeeded":
                await message.edit(content=await self._list(days, limit))
            else:
                await message.edit(content=f"No topics: {plain(event.error or event.kind)}")

    async def _list(self, days: int, limit: int) -> str:
        trends = self.bot.studio.trends
        return list_text(await trends.listed(days=days, limit=limit), await trends.failing())


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Trends(bot))
