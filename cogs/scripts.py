"""/script: write one, read it, change a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discord import app_commands
from discord.ext import commands

from cogs import _choices
from cogs._checks import anyone_here, approvers_only
from cogs._embeds import script_embed
from pipeline.errors import UserError
from pipeline.sections import Emotion

if TYPE_CHECKING:
    from bot.client import StudioBot

    Context = commands.Context[StudioBot]

EMOTIONS = [app_commands.Choice(name=emotion.value, value=emotion.value) for emotion in Emotion]


class Scripts(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    @commands.hybrid_group(name="script", description="The words of an episode.")
    @anyone_here()
    async def script(self, ctx: Context) -> None:
        await ctx.send("Use `/script write`, `/script show` or `/script edit`.", ephemeral=True)

    @script.command(name="write", description="Write a script and stop there.")
    @app_commands.describe(topic="what it is about; empty takes the best trend of today")
    @app_commands.autocomplete(topic=_choices.topics)
    @approvers_only()
    async def write(self, ctx: Context, *, topic: str | None = None) -> None:
        await ctx.defer()
        episode = await self.bot.studio.episodes.make(topic, str(ctx.author), until="script")
        await self.bot.progress.start(ctx, episode)

    @script.command(name="show", description="Read a script.")
    @app_commands.autocomplete(episode=_choices.episodes)
    @anyone_here()
    async def show(self, ctx: Context, episode: int) -> None:
        await ctx.defer(ephemeral=True)
        view = await self.bot.studio.episodes.view(episode)
        await ctx.send(embed=script_embed(view), ephemeral=True)

    @script.command(name="edit", description="Change a line; the reel is made again from there.")
    @app_commands.describe(line="its number", text="the new words", emotion="empty keeps it")
    @app_commands.autocomplete(episode=_choices.episodes)
    @app_commands.choices(emotion=EMOTIONS)
    @approvers_only()
    async def edit(
        self, ctx: Context, episode: int, line: int, text: str, emotion: str | None = None
    ) -> None:
        await ctx.defer()
        changed = await self.bot.studio.episodes.edit_line(
            episode, line, text, _emotion(emotion), str(ctx.author)
        )
        await self.bot.progress.start(ctx, changed)


def _emotion(word: str | None) -> Emotion | None:
    if word is None:
        return None
    try:
        return Emotion(word.lower())
    except ValueError:
        names = ", ".join(emotion.value for emotion in Emotion)
        raise UserError(f"{word[:40]} is not an emotion; choose one of {names}.") from None


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Scripts(bot))
