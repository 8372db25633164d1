"""/status and /help: how the channel is doing, and what one can say to the bot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from cogs._checks import anyone_here
from cogs._costs import spent_lines
from cogs._embeds import LEGEND, jobs_text, moment, plain
from cogs._training_words import LEGEND as CHECKPOINT_LEGEND
from cogs._training_words import living_lines
from storage.states import EpisodeState

if TYPE_CHECKING:
    from bot.client import StudioBot

    Context = commands.Context[StudioBot]


class Overview(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    @commands.hybrid_command(name="status", description="How the channel is doing.")
    @anyone_here()
    async def status(self, ctx: Context) -> None:
        await ctx.defer(ephemeral=True)
        studio = self.bot.studio
        newest = await studio.episodes.newest(limit=1000)
        counts = [
            f"{sum(e.state is state for e in newest)} {state.value.replace('_', ' ')}"
            for state in EpisodeState
        ]
        slots = self.bot.next_slots(1)
        paused = await studio.publishing.is_paused()
        waiting = await studio.publishing.needing_people()
        backlog = await studio.backlog.level(self.bot.slots_between)
        lines = [
            *self.bot.said_at_start,
            f"Episodes: {', '.join(counts)}.",
            "**Posting is paused.**" if paused else f"Next slot: {moment(slots[0].at)}.",
            *([f"Backlog: {backlog}."] if backlog.slots else []),
            *(f"⚠️ Episode {post.episode_id}: {plain(post.error, 300)}" for post in waiting[:3]),
            *spent_lines(await studio.spending.overview()),
            jobs_text(await studio.episodes.open_jobs()),
            *living_lines((await studio.training.status()).run),
        ]
        await ctx.send("\n".join(lines)[:1900], ephemeral=True)

    @commands.hybrid_command(name="help", description="What one can say to the bot.")
    @anyone_here()
    async def help(self, ctx: Context) -> None:
        await ctx.defer(ephemeral=True)
        listed = sorted(
            (command.qualified_name, command.description)
            for command in self.bot.walk_commands()
            if not isinstance(command, commands.Group)
        )
        lines = [f"`/{name}` {description}" for name, description in listed]
        legends = (f"On a draft: {LEGEND}", f"On a checkpoint: {CHECKPOINT_LEGEND}")
        # An embed holds twice as much as a message.
        embed = discord.Embed(description="\n".join([*lines, "", *legends])[:4096])
        await ctx.send(embed=embed, ephemeral=True)


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Overview(bot))
