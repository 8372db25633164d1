"""One message per reel being made, edited in place; a new one when the old cannot be edited."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from cogs._embeds import STAGE_WORDS, plain, progress_text, script_embed, waits_for_budget
from cogs._votes import UNREACHABLE
from pipeline.workflow import stages_of_a_reel
from storage.states import JobState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from storage.records import Episode, Job

log = logging.getLogger(__name__)

EVERY_S = 2.0
"""Between two edits of one message: five edits in five seconds are the channel's limit."""
TOO_OLD_S = 50 * 60
"""Edits of messages older than an hour are limited (code 30046), so a new one is sent before."""


@dataclass
class Shown:
    message: discord.Message
    sent_at: float
    edited_at: float


class Progress:
    """Knows the message of each revision that is being made."""

    def __init__(self, bot: StudioBot, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot = bot
        self._clock = clock
        self._shown: dict[tuple[int, int], Shown] = {}
        self._locks: dict[tuple[int, int], asyncio.Lock] = {}

    async def start(self, ctx: commands.Context[StudioBot], episode: Episode) -> None:
        """Answer the command, then show the progress in an ordinary message.

        The answer to a slash command can be edited for 15 minutes only.
        """
        await ctx.send(f"Episode {episode.id} is on its way.")
        await self.begin(ctx.channel, episode)

    async def begin(self, channel: discord.abc.Messageable, episode: Episode) -> None:
        """Send the progress message of a revision."""
        key = (episode.id, episode.revision)
        async with self._lock(key):
            try:
                message = await channel.send(f"**Episode {episode.id}** — starting…")
            except UNREACHABLE as error:
                # Progress is a courtesy; the work has begun and goes on without it.
                log.warning("episode=%d progress message: %s", episode.id, error)
                return
            self._remember(key, message)
        # The chain may have moved on, or even ended, before its message was there.
        jobs = await self._bot.studio.episodes.jobs_of(episode.id)
        newest = [job for job in jobs if job.revision == episode.revision][-1:]
        for job in newest:
            await self.show(job)

    async def show(self, job: Job) -> None:
        """Bring the message up to date; an ended chain closes it."""
        if job.episode_id is None or job.revision is None:
            return
        key = (job.episode_id, job.revision)
        if key not in self._shown:
            return
        chain_ended = job.state in (JobState.FAILED, JobState.CANCELLED) or (
            job.state is JobState.SUCCEEDED and job.stage == job.until_stage
        )
        if not chain_ended:
            force = job.fraction == 0 or waits_for_budget(job)
            await self._edit(key, await self._text(job), force=force)
            return
        embed = None
        if job.state is JobState.SUCCEEDED and job.stage == "script":
            embed = script_embed(await self._bot.studio.episodes.view(job.episode_id))
        await self._edit(key, _last_words(job), force=True, embed=embed)
        self._shown.pop(key, None)
        self._locks.pop(key, None)

    async def _text(self, job: Job) -> str:
        view = await self._bot.studio.episodes.view(job.episode_id or 0)
        stages = stages_of_a_reel(job.until_stage)
        made = sum(stage in view.revision.sections for stage in stages)
        return progress_text(view.episode, job, made, len(stages))

    async def _edit(
        self, key: tuple[int, int], text: str, *, force: bool, embed: discord.Embed | None = None
    ) -> None:
        async with self._lock(key):
            shown = self._shown.get(key)
            now = self._clock()
            if shown is None or (not force and now - shown.edited_at < EVERY_S):
                return
            try:
                if now - shown.sent_at > TOO_OLD_S:
                    self._remember(key, await shown.message.channel.send(text))
                else:
                    shown.edited_at = now
                    await shown.message.edit(content=text, embed=embed)
            except UNREACHABLE as error:
                log.warning("episode=%d progress message: %s", key[0], error)

    def _remember(self, key: tuple[int, int], message: discord.Message) -> None:
        self._shown[key] = Shown(message, self._clock(), self._clock())

    def _lock(self, key: tuple[int, int]) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())


def _last_words(job: Job) -> str:
    if job.state is JobState.CANCELLED:
        return f"**Episode {job.episode_id}** was stopped. `/render start` goes on with it."
    if job.state is JobState.FAILED:
        return (
            f"**Episode {job.episode_id}** stopped while {STAGE_WORDS[job.stage]}: "
            f"{plain(job.error, 1500)} `/render start` tries again."
        )
    if job.stage == "script":
        return f"**Episode {job.episode_id}** is written. `/render start` makes the reel."
    return f"**Episode {job.episode_id}** is finished; its draft is in the approval channel."
