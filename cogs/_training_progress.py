"""One live message per training, edited in place; a new one when the old cannot be edited."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import discord

from cogs._history import sent_before
from cogs._training_words import end_text, run_embed, run_mark
from cogs._votes import UNKNOWN_MESSAGE, UNREACHABLE
from pipeline.errors import ProviderError, UserError
from storage.errors import StorageError
from storage.states import TrainingState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.training import Training
    from storage.records import TrainingRun

log = logging.getLogger(__name__)

EVERY_S = 5.0
"""Between two edits of one message, of the five in five seconds that a channel allows."""
TOO_OLD_S = 50 * 60
"""Edits of messages older than an hour are limited (code 30046), so a new one is sent before."""
PLOT = "loss.png"
LIVING = (TrainingState.RUNNING, TrainingState.PAUSED)


@dataclass
class Shown:
    """What the message of a run says, as far as this bot knows."""

    state: TrainingState | None = None
    validations: int = -1
    promoted: int | None = None
    has_plot: bool = False
    edited_at: float = float("-inf")


class LiveRuns:
    """Knows the message of each run; its row says where it is, also after a restart."""

    def __init__(self, bot: StudioBot, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot = bot
        self._clock = clock
        self._shown: dict[int, Shown] = {}
        self._lock = asyncio.Lock()

    @property
    def _training(self) -> Training:
        return self._bot.studio.training

    async def repair(self) -> None:
        """After an absence: the run under way has a message, and ends are told."""
        run = (await self._training.status()).run
        if run is not None and run.state in LIVING:
            if run.message_id is None:
                await self.begin(await self._bot.drafts.channel(), run)
            else:
                await self.show(run.id)
        await self.tell_ends()

    async def begin(self, channel: discord.abc.Messageable, run: TrainingRun) -> None:
        """Send the live message of a run."""
        async with self._lock:
            run = await self._training.get(run.id)
            if run.message_id is not None:
                return
            try:
                message = await sent_before(channel, self._bot.user, run_mark(run))
                message = message or await self._send(channel, run, None)
                await self._note(run, message)
            except UNREACHABLE as error:
                # The message is a courtesy; the training goes on without it.
                log.warning("run=%d live message: %s", run.id, error)
        await self.show(run.id)

    async def show(self, run_id: int) -> None:
        """Bring the message up to date: at once what matters, the rest every few seconds."""
        async with self._lock:
            run = await self._training.get(run_id)
            if run.message_id is None:
                return
            shown = self._shown.get(run_id, Shown())
            validations = len(await self._training.validations(run_id))
            promoted = await self._promoted(run)
            is_plot_old = (validations, promoted) != (shown.validations, shown.promoted)
            is_due = self._clock() - shown.edited_at >= EVERY_S
            if not (is_due or is_plot_old or run.state is not shown.state):
                return
            plot = await self._plot_of(run) if is_plot_old else None
            has_plot = shown.has_plot or plot is not None
            self._shown[run_id] = Shown(run.state, validations, promoted, has_plot, self._clock())
            try:
                await self._edit(run, plot, has_plot=has_plot)
            except (UserError, *UNREACHABLE) as error:
                log.warning("run=%d live message: %s", run_id, error)

    async def tell_ends(self) -> None:
        """Say, once, how a run has ended."""
        for run in await self._training.untold():
            await self.show(run.id)
            async with self._lock:
                try:
                    await self._tell_end(run.id)
                except (UserError, ProviderError, StorageError, *UNREACHABLE) as error:
                    log.warning("run=%d its end is not told yet: %s", run.id, error)

    async def _tell_end(self, run_id: int) -> None:
        run = await self._training.get(run_id)
        if run.state in LIVING or run.told_at is not None:
            return
        channel, text = await self._bot.drafts.channel(), end_text(run)
        async for message in channel.history(limit=20):
            if message.author == self._bot.user and message.content == text:
                break
        else:
            await channel.send(text, nonce=f"ended/{run.id}/{run.step}")
        await self._training.told(run.id)

    async def _edit(self, run: TrainingRun, plot: Path | None, *, has_plot: bool) -> None:
        assert run.channel_id is not None
        assert run.message_id is not None
        channel = self._bot.get_partial_messageable(run.channel_id)
        age = discord.utils.utcnow() - discord.utils.snowflake_time(run.message_id)
        if run.state in LIVING and age.total_seconds() > TOO_OLD_S:
            await self._again(channel, run)
            return
        embed = run_embed(run, PLOT if has_plot else None)
        message = channel.get_partial_message(run.message_id)
        try:
            if plot is None:
                await message.edit(embed=embed)
            else:
                await message.edit(embed=embed, attachments=[discord.File(plot, filename=PLOT)])
        except (discord.NotFound, discord.Forbidden) as error:
            is_there = error.code == UNKNOWN_MESSAGE
            await self._again(channel if is_there else await self._bot.drafts.channel(), run)

    async def _again(self, channel: discord.abc.Messageable, run: TrainingRun) -> None:
        """A new message, with the newest plot; nobody looks at an old or a deleted one."""
        if run.state in LIVING:
            await self._note(run, await self._send(channel, run, await self._plot_of(run)))

    async def _plot_of(self, run: TrainingRun) -> Path | None:
        """Drawn anew at validations only; before the first one there is little to see."""
        if not await self._training.validations(run.id):
            return None
        return await self._bot.studio.figures.loss(run, promoted=await self._promoted(run))

    async def _promoted(self, run: TrainingRun) -> int | None:
        """The step of this run whose weights are in use."""
        models = (await self._training.status()).promotions
        return next((model.step for model in models if model.run_id == run.id), None)

    async def _send(
        self, channel: discord.abc.Messageable, run: TrainingRun, plot: Path | None
    ) -> discord.Message:
        return await channel.send(
            embed=run_embed(run, None if plot is None else PLOT),
            files=[] if plot is None else [discord.File(plot, filename=PLOT)],
            # A repeat within minutes returns the first message instead of a second one.
            nonce=f"live/{run.message_id or run.id}",
        )

    async def _note(self, run: TrainingRun, message: discord.Message) -> None:
        await self._training.live_message(run.id, message.channel.id, message.id)
