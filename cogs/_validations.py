"""Checkpoints in the approval channel: pictures to judge them by, votes, and what they bring."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import discord

from cogs._embeds import told
from cogs._history import sent_before
from cogs._training_words import (
    checkpoint_embed,
    checkpoint_headline,
    checkpoint_mark,
)
from cogs._troubles import REFUSALS, troubles_logged
from cogs._votes import Emoji, Given, is_same, seed
from storage.states import TrainingState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.training import Standing, Training
    from storage.records import Promotion, TrainingRun, Validation

log = logging.getLogger(__name__)

GRID = "grid.png"
TRY_AGAIN_S = 30.0
LOOKED_AT = 3
"""So many of the newest runs are voted on by reaction; looking at all there ever were is slow."""


class Verdict(StrEnum):
    """What a reaction on a checkpoint asks for."""

    PROMOTE = "✅"
    STOP = "❌"
    PAUSE = "⏸️"


class ValidationDesk:
    """Keeps the messages of checkpoints in step with the database; one thing at a time."""

    def __init__(self, bot: StudioBot) -> None:
        self._bot = bot
        self._lock = asyncio.Lock()
        self._settled: set[tuple[int, int]] = set()
        """Ended ones whose message says so."""
        self._warned: set[int] = set()
        """Members without the role, who have been told."""
        self._said: dict[tuple[int, int], str] = {}
        self._tried_at: dict[tuple[int, int], float] = {}
        """When those were posted last, or could not be: events come twice a second."""

    @property
    def _training(self) -> Training:
        return self._bot.studio.training

    async def repair(self) -> None:
        """After an absence: reactions read back, missing messages posted, ended ones marked."""
        status = await self._training.status()
        recent = {run.id: run for run in (*status.runs[:LOOKED_AT], status.run) if run is not None}
        for validation in await self._training.open_validations():
            act = self._bring_up_to_date if validation.run_id in recent else self._close
            await self._one(validation, act)
        for run in recent.values():
            await self._show_ended(run)

    async def post_missing(self) -> None:
        """Post every checkpoint that has no message."""
        for validation in await self._training.open_validations():
            key = (validation.run_id, validation.step)
            is_due = time.monotonic() - self._tried_at.get(key, -math.inf) > TRY_AGAIN_S
            if validation.message_id is None and is_due:
                self._tried_at[key] = time.monotonic()
                await self._one(validation, self._bring_up_to_date)

    async def reacted(self, message_id: int) -> None:
        """Somebody's reaction has come or gone: what the message says now is what stands."""
        async with self._lock:
            validation = await self._training.find_validation(message_id)
            if validation is not None:
                with _troubles(validation):
                    await self._bring_up_to_date(validation)

    async def deleted(self, message_id: int) -> None:
        async with self._lock:
            validation = await self._training.find_validation(message_id)
            if validation is not None:
                await self._gone(validation)

    async def refuse(self, member: discord.abc.User) -> None:
        """Tell a member without the role, once, why nothing happens."""
        if member.id in self._warned:
            return
        self._warned.add(member.id)
        role = self._bot.studio.approver_role_id
        await self._bot.drafts.tell(
            f"{member.mention}: checkpoints need the role <@&{role}>; ask somebody who has it."
        )

    async def vote(self, run_id: int, step: int, user_id: int) -> Standing:
        """A vote by command, shown in the messages of the run."""
        async with self._lock, self._shown_after(run_id):
            return await self._training.vote(run_id, step, user_id)

    async def back(self, character: str, who: str) -> Promotion | None:
        """The way back by command, shown in the messages of both models."""
        async with self._lock, self._shown_after():
            return await self._training.back(character, who)

    # One message

    async def _one(
        self, validation: Validation, act: Callable[[Validation], Awaitable[None]]
    ) -> None:
        """With it as it is now; between two of them a click gets its turn."""
        async with self._lock:
            with _troubles(validation):
                run_id, step = validation.run_id, validation.step
                await act((await self._training.vote_standing(run_id, step)).validation)

    async def _bring_up_to_date(self, validation: Validation) -> None:
        if validation.message_id is None:
            if validation.ended:
                return
            validation = await self._post(validation)
        assert validation.channel_id is not None
        assert validation.message_id is not None
        given = await self._bot.votes.given(
            validation.channel_id, validation.message_id, tuple(Verdict)
        )
        if given is None:
            await self._gone(validation)
            return
        await self._heed(validation, given)  # first: to promote may mean to hash gigabytes
        if not validation.ended:
            await self._count(validation, given)
            await seed(given.message, tuple(Verdict))  # last: it takes seconds

    async def _count(self, validation: Validation, given: Given) -> None:
        """The ✅ as they stand; enough of them promote the checkpoint."""
        async with self._shown_after():
            try:
                standing = await self._training.sync_votes(
                    validation.run_id, validation.step, given.by[Verdict.PROMOTE]
                )
            except REFUSALS as error:
                await self._say_once(validation, str(error))
            else:
                await self._edit(standing, given.message)

    async def _heed(self, validation: Validation, given: Given) -> None:
        """Do what ❌ and ⏸️ ask for; one member is enough."""
        key = (validation.run_id, validation.step)
        for verdict in (Verdict.STOP, Verdict.PAUSE):
            users = given.by[verdict]
            if new := await self._bot.studio.wishes.new(*key, verdict, users):
                act = await self._act(verdict, validation.run_id, by=min(new))
                if why := await self._bot.studio.wishes.heed(*key, verdict, users, act):
                    await self._bot.drafts.tell(told(why))

    async def _act(
        self, verdict: Verdict, run_id: int, *, by: int
    ) -> Callable[[], Awaitable[TrainingRun]]:
        """What is to be done; everything slow is behind us then."""
        who = await self._bot.votes.name(by)
        if verdict is Verdict.STOP:
            return lambda: self._training.stop(who, run_id=run_id)
        return lambda: self._training.pause(who, run_id=run_id)

    async def _post(self, validation: Validation) -> Validation:
        channel = await self._bot.drafts.channel()
        run = await self._training.get(validation.run_id)
        mark = checkpoint_mark(run, validation)
        found = await sent_before(channel, self._bot.user, mark)
        message = found or await self._send(channel, run, validation)
        await self._training.shown(run.id, validation.step, channel.id, message.id)
        shown = await self._training.find_validation(message.id)
        assert shown is not None
        return shown

    async def _send(
        self, channel: discord.TextChannel, run: TrainingRun, validation: Validation
    ) -> discord.Message:
        standing = await self._training.vote_standing(run.id, validation.step)
        before = [v for v in await self._training.validations(run.id) if v.step < validation.step]
        grid = self._bot.studio.folder.path / validation.folder / GRID
        why = await asyncio.to_thread(_why_not, grid, channel.guild.filesize_limit)
        embed = checkpoint_embed(run, validation, before, GRID, why)
        return await channel.send(
            content=checkpoint_headline(run, standing, is_in_use=False),
            embed=embed,
            files=[] if why else [discord.File(grid, filename=GRID)],
            # A repeat within minutes returns the first message instead of a second one.
            nonce=f"run/{run.id}/{validation.step}",
        )

    async def _close(self, validation: Validation) -> None:
        """What nobody has wanted for so long is still there for a command."""
        key = (validation.run_id, validation.step)
        await self._training.closed(*key, "Newer trainings have begun.")
        if validation.message_id is not None:
            standing = await self._training.vote_standing(*key)
            await self._edit(standing, await self._fetch(validation))

    async def _gone(self, validation: Validation) -> None:
        await self._training.closed(validation.run_id, validation.step, "Its message was deleted.")

    # What messages say

    @asynccontextmanager
    async def _shown_after(self, *run_ids: int) -> AsyncIterator[None]:
        """Whatever comes into use within, or goes: messages of these and those runs say so."""
        before = await self._in_use()
        yield
        changed = before ^ await self._in_use()
        for run_id in {*run_ids, *(run_id for run_id, _ in changed)}:
            self._settled = {key for key in self._settled if key[0] != run_id}
            for validation in await self._training.validations(run_id):
                await self._show(validation)
            self._bot.on_training_event(run_id)  # its plot marks the step in use

    async def _in_use(self) -> set[tuple[int, int]]:
        """(training, step) of each model that draws."""
        models = (await self._training.status()).promotions
        return {(model.run_id, model.step) for model in models}

    async def _show_ended(self, run: TrainingRun) -> None:
        """While a run is under way, ❌ and ⏸️ count on these, too."""
        for validation in await self._training.validations(run.id):
            if validation.ended and validation.message_id is not None:
                if run.state is TrainingState.RUNNING:
                    await self._one(validation, self._bring_up_to_date)
                await self._one(validation, self._show)

    async def _show(self, validation: Validation) -> None:
        key = (validation.run_id, validation.step)
        if validation.message_id is None or key in self._settled:
            return
        with _troubles(validation):
            standing = await self._training.vote_standing(*key)
            await self._edit(standing, await self._fetch(validation))
            if validation.ended:
                self._settled.add(key)

    async def _edit(self, standing: Standing, message: discord.Message | None) -> None:
        if message is None:
            return
        validation = standing.validation
        run = await self._training.get(validation.run_id)
        is_in_use = (run.id, validation.step) in await self._in_use()
        text = checkpoint_headline(run, standing, is_in_use=is_in_use)
        if message.content != text:  # edits of old messages are few
            with suppress(discord.NotFound):
                await message.edit(content=text)

    async def _fetch(self, validation: Validation) -> discord.Message | None:
        assert validation.channel_id is not None
        assert validation.message_id is not None
        channel = self._bot.get_partial_messageable(validation.channel_id)
        try:
            return await channel.fetch_message(validation.message_id)
        except discord.NotFound:
            return None

    async def _say_once(self, validation: Validation, text: str) -> None:
        """A checkpoint that cannot be promoted is met again at every look."""
        key = (validation.run_id, validation.step)
        if self._said.get(key) != text:
            self._said[key] = text
            await self._bot.drafts.tell(told(text))


def is_verdict(emoji: Emoji) -> bool:
    return any(is_same(verdict.value, emoji) for verdict in Verdict)


def _why_not(file: Path, limit_bytes: int) -> str:
    """Why a file cannot be sent; empty when it can."""
    try:
        size = file.stat().st_size
    except OSError:
        return "are not there any more"
    return "" if size <= limit_bytes else "are too large for this server"


def _troubles(validation: Validation) -> AbstractContextManager[None]:
    return troubles_logged(log, f"run={validation.run_id} step={validation.step}")
