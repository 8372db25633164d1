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
from discord.utils import MISSING

from cogs._history import sent_before
from cogs._training_words import end_text, run_embed, run_mark
from cogs._troubles import troubles_logged
from cogs._votes import UNKNOWN_MESSAGE
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


Plotted = tuple[list[int], int | None]
"""The steps that were validated, and the one that is in use."""


@dataclass
class Shown:
    """What the message of a run says, as far as this bot knows."""

    state: TrainingState | None = None
    embed: discord.Embed | None = None
    edited_at: float = float("-inf")
    has_plot: bool = False
    plotted: Plotted | None = None
    """What the newest plot was drawn for, whether it is in the message or not."""
    is_plot_shown: bool = True


class LiveRuns:
    """Knows the message of each run; its row says where it is, also after a restart."""

    def __init__(self, bot: StudioBot, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot = bot
        self._clock = clock
        self._shown: dict[int, Shown] = {}
        self._lock = asyncio.Lock()
        self._plotting: set[int] = set()

    @property
    def _training(self) -> Training:
        return self._bot.studio.training

    async def repair(self) -> None:
        """After an absence: the run under way has a message, and ends are told."""
        run = (await self._training.status()).run
        living = [run] if run is not None and run.state in LIVING else []
        if living and living[0].message_id is None:
            await self.begin(await self._bot.drafts.channel(), living[0])
        for shown in self._shown.values():
            if not shown.is_plot_shown:
                shown.plotted = None
        ended = await self._training.untold()
        await self.tell_ends()
        for each in (*ended, *living):
            self._bot.on_training_event(each.id)  # a plot may take long, and nobody waits for it

    async def begin(self, channel: discord.abc.Messageable, run: TrainingRun) -> None:
        """Send the live message of a run."""
        async with self._lock:
            run = await self._training.get(run.id)
            if run.message_id is not None:
                return
            # The message is a courtesy; the training goes on without it.
            with troubles_logged(log, f"run={run.id} live message:"):
                message = await sent_before(channel, self._bot.user, run_mark(run))
                await self._note(run, message or await self._send(channel, run))
        await self.show(run.id)

    async def show(self, run_id: int) -> None:
        """Bring the message up to date: at once what matters, the rest every few seconds."""
        async with self._lock:
            run = await self._training.get(run_id)
            shown = self._shown.setdefault(run_id, Shown())
            is_due = self._clock() - shown.edited_at >= EVERY_S
            if run.message_id is None or not (is_due or run.state is not shown.state):
                return
            embed = run_embed(run, PLOT if shown.has_plot else None)
            if embed != shown.embed:  # edits of old messages are few
                shown.edited_at, shown.state = self._clock(), run.state
                with troubles_logged(log, f"run={run_id} live message:"):
                    await self._edit(run, embed)

    async def plot(self, run_id: int) -> None:
        """Renew the plot at validations and promotions; before there is little to see.

        No message waits for it: the workers may be busy with a reel.
        """
        if run_id in self._plotting:
            return
        self._plotting.add(run_id)
        try:
            while await self._plot(run_id):
                pass  # something has come in between
        finally:
            self._plotting.discard(run_id)

    async def _plot(self, run_id: int) -> bool:
        """Whether a newer one is in the message now."""
        run, shown = await self._training.get(run_id), self._shown.get(run_id)
        steps = [validation.step for validation in await self._training.validations(run_id)]
        wanted = (steps, await self._promoted(run))
        if shown is None or not steps or wanted == shown.plotted:
            return False
        shown.plotted, shown.is_plot_shown = wanted, False
        plot = await self._bot.studio.figures.loss(run, promoted=wanted[1])
        if plot is not None:
            async with self._lock:
                with troubles_logged(log, f"run={run_id} plot:"):
                    run = await self._training.get(run_id)
                    await self._edit(run, run_embed(run, PLOT), plot)
                    self._shown[run_id].plotted = wanted
                    self._shown[run_id].is_plot_shown = True
        return self._shown[run_id].is_plot_shown

    async def tell_ends(self) -> None:
        """Say, once, how a run has ended."""
        for run in await self._training.untold():
            await self.show(run.id)
            async with self._lock:
                with troubles_logged(log, f"run={run.id} its end is not told yet:"):
                    await self._tell_end(run.id)

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

    async def _edit(self, run: TrainingRun, embed: discord.Embed, plot: Path | None = None) -> None:
        assert run.channel_id is not None
        assert run.message_id is not None
        channel = self._bot.get_partial_messageable(run.channel_id)
        age = discord.utils.utcnow() - discord.utils.snowflake_time(run.message_id)
        if run.state is TrainingState.RUNNING and age.total_seconds() > TOO_OLD_S:
            await self._again(channel, run, plot)
            return
        files = MISSING if plot is None else [discord.File(plot, filename=PLOT)]
        message = channel.get_partial_message(run.message_id)
        try:
            await message.edit(embed=embed, attachments=files)
        except (discord.NotFound, discord.Forbidden) as error:
            is_there = error.code == UNKNOWN_MESSAGE
            await self._again(channel if is_there else await self._bot.drafts.channel(), run, plot)
        shown = self._shown[run.id]
        shown.has_plot = shown.has_plot or plot is not None
        shown.embed = embed  # also where there is none any more: an end is not sent again

    async def _again(
        self, channel: discord.abc.Messageable, run: TrainingRun, plot: Path | None
    ) -> None:
        """A new message; nobody looks at an old or a deleted one."""
        if run.state in LIVING:
            await self._note(run, await self._send(channel, run, plot))

    async def _promoted(self, run: TrainingRun) -> int | None:
        """The step of this run whose weights are in use."""
        models = (await self._training.status()).promotions
        return next((model.step for model in models if model.run_id == run.id), None)

    async def _send(
        self, channel: discord.abc.Messageable, run: TrainingRun, plot: Path | None = None
    ) -> discord.Message:
        embed = run_embed(run, None if plot is None else PLOT)
        message = await channel.send(
            embed=embed,
            files=[] if plot is None else [discord.File(plot, filename=PLOT)],
            # A repeat within minutes returns the first message instead of a second one.
            nonce=f"live/{run.message_id or run.id}",
        )
        self._shown[run.id] = Shown(run.state, embed, self._clock(), has_plot=plot is not None)
        return message

    async def _note(self, run: TrainingRun, message: discord.Message) -> None:
        await self._training.live_message(run.id, message.channel.id, message.id)
