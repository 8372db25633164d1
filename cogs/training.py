"""/train: pictures of a character in, a model that draws it out; people say when and which."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from cogs import _choices
from cogs._checks import anyone_here, approvers_only, has_role
from cogs._embeds import plain
from cogs._training_words import (
    back_text,
    pictures_text,
    progress_line,
    status_text,
    vote_text,
)
from cogs._uploads import SHEET, PictureModal
from cogs._validations import is_verdict
from pipeline.errors import UserError
from pipeline.recipes import MOST_STEPS, USUAL_STEPS
from pipeline.services.uploads import STAGE as INTAKE
from storage.jobs import OPEN

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.engine import JobEvent
    from storage.records import TrainingRun

    Context = commands.Context[StudioBot]


class Training(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    @commands.hybrid_group(name="train", description="A model that draws a character.")
    @anyone_here()
    async def train(self, ctx: Context) -> None:
        await ctx.send("Use `/train upload`, `/train start` or `/train status`.", ephemeral=True)

    # Pictures

    @train.command(name="upload", description="Send pictures of a character, ten at a time.")
    @app_commands.describe(character="whom they show", picture1="without any a form asks for them")
    @app_commands.autocomplete(character=_choices.characters)
    @approvers_only()
    async def upload(
        self,
        ctx: Context,
        character: str,
        picture1: discord.Attachment | None = None,
        picture2: discord.Attachment | None = None,
        picture3: discord.Attachment | None = None,
        picture4: discord.Attachment | None = None,
        picture5: discord.Attachment | None = None,
        picture6: discord.Attachment | None = None,
        picture7: discord.Attachment | None = None,
        picture8: discord.Attachment | None = None,
        picture9: discord.Attachment | None = None,
        picture10: discord.Attachment | None = None,
    ) -> None:
        given = (
            *(picture1, picture2, picture3, picture4, picture5),
            *(picture6, picture7, picture8, picture9, picture10),
        )
        files = [picture for picture in given if picture is not None]
        name = self.bot.studio.show.character(character).name
        if files:
            await ctx.defer()
            await self.bot.uploads.receive(ctx.send, name, files, str(ctx.author))
        elif ctx.interaction is not None:
            await ctx.interaction.response.send_modal(PictureModal(self.bot, name))
        else:
            raise UserError(f"Attach pictures of {name} to the message, up to ten.")

    @train.command(name="pictures", description="The pictures a character is trained with.")
    @app_commands.autocomplete(character=_choices.characters)
    @anyone_here()
    async def pictures(self, ctx: Context, character: str) -> None:
        await ctx.defer(ephemeral=True)
        images = await self.bot.studio.uploads.of(character)
        name = self.bot.studio.show.character(character).name
        embed = discord.Embed(description=pictures_text(name, images))
        sheet = await self.bot.studio.figures.album(name, images)
        files = []
        if sheet is not None:
            embed.set_image(url=f"attachment://{SHEET}")
            files.append(discord.File(sheet, filename=SHEET))
        await ctx.send(embed=embed, files=files, ephemeral=True)

    @train.command(name="remove", description="Take a picture of a character away for good.")
    @app_commands.describe(picture="its number or the first digits of its hash")
    @app_commands.autocomplete(character=_choices.characters)
    @approvers_only()
    async def remove(self, ctx: Context, character: str, picture: str) -> None:
        await ctx.defer()
        image = await self.bot.studio.uploads.remove(character, picture, str(ctx.author))
        await ctx.send(f"Picture `{image.sha256[:8]}` of {plain(image.character)} is gone.")

    # The run

    @train.command(name="start", description="Train a model with a character's pictures.")
    @app_commands.describe(
        base="the model to begin with; empty takes the only one",
        steps=f"{USUAL_STEPS} are usual; a checkpoint is shown after every eighth of them",
    )
    @app_commands.autocomplete(character=_choices.characters, base=_choices.bases)
    @approvers_only()
    async def start(
        self,
        ctx: Context,
        character: str,
        base: str | None = None,
        steps: commands.Range[int, 1, MOST_STEPS] = USUAL_STEPS,
    ) -> None:
        await ctx.defer()
        run = await self.bot.studio.training.start(
            character, base=base, steps=steps, who=str(ctx.author)
        )
        await ctx.send(f"Training {run.id} of {plain(run.character)} begins, on {plain(run.base)}.")
        await self.bot.live_runs.begin(ctx.channel, run)

    @train.command(name="status", description="What is being trained, and what has been.")
    @anyone_here()
    async def status(self, ctx: Context) -> None:
        await ctx.defer(ephemeral=True)
        studio = self.bot.studio
        text = status_text(await studio.training.status(), await studio.uploads.counts())
        await ctx.send(text, ephemeral=True)

    @train.command(name="pause", description="Save and wait; the GPU is free meanwhile.")
    @approvers_only()
    async def pause(self, ctx: Context) -> None:
        await ctx.defer()
        await self._moved(ctx, await self.bot.studio.training.pause(str(ctx.author)), "pauses")

    @train.command(name="resume", description="Go on where it was saved.")
    @approvers_only()
    async def resume(self, ctx: Context) -> None:
        await ctx.defer()
        await self._moved(ctx, await self.bot.studio.training.resume(str(ctx.author)), "goes on")

    @train.command(name="stop", description="Save and end; what it has saved stays.")
    @approvers_only()
    async def stop(self, ctx: Context) -> None:
        await ctx.defer()
        await self._moved(ctx, await self.bot.studio.training.stop(str(ctx.author)), "stops")

    @train.command(name="promote", description="Vote that a checkpoint draws the character.")
    @app_commands.describe(
        step="of the checkpoint; empty takes the newest one", training="empty takes the newest one"
    )
    @app_commands.autocomplete(step=_choices.checkpoints)
    @approvers_only()
    async def promote(
        self, ctx: Context, step: int | None = None, training: int | None = None
    ) -> None:
        await ctx.defer()
        service = self.bot.studio.training
        run = (await service.status()).run if training is None else await service.get(training)
        validations = [] if run is None else await service.validations(run.id)
        if run is None or not validations:
            raise UserError("There is no checkpoint yet; `/train status` says how far it is.")
        wanted = validations[-1].step if step is None else step
        standing = await self.bot.validations.vote(run.id, wanted, ctx.author.id)
        await ctx.send(vote_text(run, standing))

    @train.command(name="back", description="Take the model before the one in use.")
    @app_commands.autocomplete(character=_choices.characters)
    @approvers_only()
    async def back(self, ctx: Context, character: str) -> None:
        await ctx.defer()
        model = await self.bot.validations.back(character, str(ctx.author))
        await ctx.send(back_text(self.bot.studio.show.character(character).name, model))

    @train.command(name="drawings", description="Draw what the library lacks of a character.")
    @app_commands.autocomplete(character=_choices.characters)
    @approvers_only()
    async def drawings(self, ctx: Context, character: str) -> None:
        await ctx.defer()
        name = self.bot.studio.show.character(character).name
        board = await self.bot.studio.pictures.draw(name)
        where = f"<#{self.bot.studio.approval_channel_id}>"
        await ctx.send(f"Pictures {board.id} of {name} are on the way to {where}.")

    async def _moved(self, ctx: Context, run: TrainingRun, verb: str) -> None:
        text = f"Training {run.id} of {plain(run.character)} {verb}. {progress_line(run)}"
        await ctx.send(text)

    # Verdicts by reaction; the raw events, because older messages are not cached

    @commands.Cog.listener()
    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        if not self._may_be_verdict(event):
            return
        if await self.bot.studio.training.find_validation(event.message_id) is None:
            return
        member = event.member
        if member is None or member.bot:
            return
        if has_role(member, self.bot.studio.approver_role_id):
            await self.bot.validations.reacted(event.message_id)
        else:
            await self.bot.validations.refuse(member)

    @commands.Cog.listener()
    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        # Read back: the same person may still have the other kind of the same reaction there.
        if self._may_be_verdict(event):
            await self.bot.validations.reacted(event.message_id)

    @commands.Cog.listener()
    async def on_raw_reaction_clear(self, event: discord.RawReactionClearEvent) -> None:
        await self.bot.validations.reacted(event.message_id)

    @commands.Cog.listener()
    async def on_raw_reaction_clear_emoji(self, event: discord.RawReactionClearEmojiEvent) -> None:
        await self.bot.validations.reacted(event.message_id)

    @commands.Cog.listener()
    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self.bot.validations.deleted(event.message_id)

    # What happened

    @commands.Cog.listener()
    async def on_studio_training(self, run_id: int) -> None:
        """A run has moved, or has something new to show."""
        await asyncio.gather(  # a message that Discord does not take keeps no other waiting
            self.bot.validations.post_missing(),
            self.bot.live_runs.show(run_id),
        )
        await self.bot.live_runs.tell_ends()
        await self.bot.live_runs.plot(run_id)

    @commands.Cog.listener()
    async def on_studio_job(self, event: JobEvent) -> None:
        """Pictures that were sent have been looked at."""
        if event.job.stage == INTAKE and event.job.state not in OPEN:
            await self.bot.uploads.report()

    def _may_be_verdict(self, event: discord.RawReactionActionEvent) -> bool:
        studio, me = self.bot.studio, self.bot.user
        is_ours = me is not None and event.user_id == me.id
        is_here = event.guild_id == studio.guild_id
        return is_here and not is_ours and is_verdict(event.emoji)


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Training(bot))
