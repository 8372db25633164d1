"""/script: pitch some, choose one, write one, read it, change a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from cogs import _choices
from cogs._checks import anyone_here, approvers_only, has_role
from cogs._embeds import script_embed
from pipeline.errors import UserError
from pipeline.sections import Emotion
from pipeline.services.pitching import MOST_PITCHES

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.engine import JobEvent

    Context = commands.Context[StudioBot]

COUNTS = ("No", "One", "Two", "Three", "Four", "Five")
ENDS = ("succeeded", "failed", "cancelled")
EMOTIONS = [app_commands.Choice(name=emotion.value, value=emotion.value) for emotion in Emotion]


class Scripts(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    @commands.hybrid_group(name="script", description="The words of an episode.")
    @anyone_here()
    async def script(self, ctx: Context) -> None:
        await ctx.send("Use `/script write`, `/script pitch` or `/script show`.", ephemeral=True)

    @script.command(name="pitch", description="Ask for premises to choose from.")
    @app_commands.describe(count="how many")
    @approvers_only()
    async def pitch(
        self, ctx: Context, count: commands.Range[int, 1, MOST_PITCHES] = MOST_PITCHES
    ) -> None:
        await ctx.defer()
        studio = self.bot.studio
        await studio.pitching.ask(count, str(ctx.author), asked_in=ctx.channel.id)
        said = "One pitch is" if count == 1 else f"{COUNTS[count]} pitches are"
        await ctx.send(f"{said} on the way to <#{studio.approval_channel_id}>.")

    @script.command(name="choose", description="Make a reel of a pitch.")
    @app_commands.describe(number="of the pitch", board="its pitches; empty takes the newest ones")
    @approvers_only()
    async def choose(
        self, ctx: Context, number: commands.Range[int, 1, MOST_PITCHES], board: int | None = None
    ) -> None:
        await ctx.defer()
        board_id = board or (await self.bot.studio.pitching.newest_open()).id
        chosen = await self.bot.pitches.choose(board_id, number, str(ctx.author))
        words = "is on its way" if chosen.is_new else "has been made of it already"
        await ctx.send(
            f"Pitch {number} of pitches {board_id}: episode {chosen.episode_id} {words}."
        )

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

    # Boards of pitches; the raw events, because older messages are not cached

    @commands.Cog.listener()
    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        if event.guild_id != self.bot.studio.guild_id:
            return
        if not has_role(event.member, self.bot.studio.approver_role_id):
            return
        board = await self.bot.studio.pitching.find(event.message_id)
        if board is not None:
            await self.bot.pitches.reacted(event.emoji, board, str(event.member))

    @commands.Cog.listener()
    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        board = await self.bot.studio.pitching.find(event.message_id)
        if board is not None:
            await self.bot.studio.pitching.gone(board.id)

    @commands.Cog.listener()
    async def on_studio_job(self, event: JobEvent) -> None:
        """What a board waits for has ended: the sources were asked, or the pitches are written.

        Or it has to wait for the budget.
        """
        if event.job.stage in ("trends", "pitches") and event.kind in ENDS:
            await self.bot.pitches.go_on()
        elif event.job.stage == "pitches" and event.kind == "waiting":
            await self.bot.pitches.waits(event.job)


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
