"""/make and /render: from a topic to a draft, with one progress message per reel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discord import app_commands
from discord.ext import commands

from cogs import _choices
from cogs._checks import anyone_here, approvers_only
from cogs._embeds import jobs_text

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.engine import JobEvent

    Context = commands.Context[StudioBot]


class Renders(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    @commands.hybrid_command(name="make", description="Make a reel: topic, words, voices, video.")
    @app_commands.describe(topic="what it is about; empty takes the best trend of today")
    @app_commands.autocomplete(topic=_choices.topics)
    @approvers_only()
    async def make(self, ctx: Context, *, topic: str | None = None) -> None:
        await ctx.defer()
        episode = await self.bot.studio.episodes.make(topic, str(ctx.author))
        await self.bot.progress.start(ctx, episode)

    @commands.hybrid_group(name="render", description="The making of a reel.")
    @anyone_here()
    async def render(self, ctx: Context) -> None:
        await ctx.send("Use `/render start`, `/render status` or `/render cancel`.", ephemeral=True)

    @render.command(name="start", description="Go on with an episode up to its draft.")
    @app_commands.autocomplete(episode=_choices.episodes)
    @approvers_only()
    async def start(self, ctx: Context, episode: int) -> None:
        await ctx.defer()
        job = await self.bot.studio.episodes.render(episode)
        if job is None:
            await ctx.send(f"Episode {episode} is finished; its draft is in the channel.")
            return
        view = await self.bot.studio.episodes.view(episode)
        await self.bot.progress.start(ctx, view.episode)

    @render.command(name="status", description="What is being made right now.")
    @anyone_here()
    async def status(self, ctx: Context) -> None:
        await ctx.defer(ephemeral=True)
        await ctx.send(jobs_text(await self.bot.studio.episodes.open_jobs()), ephemeral=True)

    @render.command(name="cancel", description="Stop a job; what is finished is kept.")
    @app_commands.autocomplete(job=_choices.jobs)
    @approvers_only()
    async def cancel(self, ctx: Context, job: int) -> None:
        await ctx.defer(ephemeral=True)
        stopped = await self.bot.studio.episodes.cancel(job)
        text = f"Job {job} is being stopped"
        if stopped.episode_id is not None:
            text += f"; `/render start {stopped.episode_id}` goes on later"
        await ctx.send(f"{text}.", ephemeral=True)

    @commands.Cog.listener()
    async def on_studio_job(self, event: JobEvent) -> None:
        """Keep the progress message true, and post the draft once there is something to judge."""
        await self.bot.progress.show(event.job)
        if event.kind == "succeeded" and event.job.stage == "preview":
            await self.bot.drafts.post_missing()


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Renders(bot))
