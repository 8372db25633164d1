"""`emf run`: the bot, its engine and its schedule, from the first line of log to a clean stop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import aiohttp
import discord

from bot.app import open_studio
from bot.choices import said_at_start, voices_config
from bot.client import StudioBot, set_rest_base
from bot.health import answering
from bot.scheduler import Schedule, StudioScheduler, Timed
from bot.settings import Settings
from bot.studio import Studio
from pipeline.errors import UserError
from pipeline.providers.voices.ids import refuse_voiceless
from pipeline.shows import load_show

log = logging.getLogger(__name__)

TROUBLE = (
    *(discord.DiscordServerError, discord.GatewayNotFound, aiohttp.ClientError),
    *(OSError, TimeoutError),
)
"""What passes by itself when one tries to reach Discord."""
MISSED_EVERY_S = 60.0
TOKEN_EVERY_S = 6 * 3600.0
"""Four tries a day: a renewal that failed is tried again long before people are told."""
PAUSES_S = (1.0, 2.0, 5.0, 15.0, 60.0)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; jobs under way are queued again for the next start."""
    token = _discord_token(settings)
    set_rest_base(settings.discord_api_url)
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with AsyncExitStack() as stack:
        refuse_voiceless(voices_config(settings), load_show(settings.show, settings.data_dir))
        studio = await stack.enter_async_context(open_studio(settings, "A bot"))
        schedule = Schedule(settings.publish_cron, settings.zone())
        bot = await stack.enter_async_context(StudioBot(studio, schedule))
        for line in said_at_start(settings):
            log.info("%s", line)
        studio.job_events.add(bot.on_job_event)
        studio.post_events.add(bot.on_post_event)
        studio.training_events.add(bot.on_training_event)
        await studio.publishing.restamp()
        others = (*await made_by_itself(studio, schedule), token_kept(studio))
        scheduler = StudioScheduler(schedule, studio.publishing, others)
        stack.push_async_callback(scheduler.stop)
        await stack.enter_async_context(answering(studio.folder.path, lambda: _well(bot, studio)))
        await studio.training.hold()
        works = [
            asyncio.create_task(_connect(bot, token), name="discord"),
            asyncio.create_task(studio.run_engine(), name="engine"),
            asyncio.create_task(studio.training.run(), name="training"),
            asyncio.create_task(_post_when_ready(bot, studio, scheduler), name="posting"),
        ]
        await _until_stopped(stop, works)


async def made_by_itself(studio: Studio, posts: Schedule) -> tuple[Timed, ...]:
    """Pitches at the slots of MAKE_CRON, and soon after a start or a sleep that missed one."""
    cron, zone = studio.settings.make_cron, studio.settings.zone()
    await studio.backlog.note_schedule(f"{cron} {zone.key}")
    if not cron:
        return ()
    schedule = Schedule(cron, zone, name="MAKE_CRON")

    async def fill() -> None:
        await studio.backlog.run_due(schedule.slots_between, posts.slots_between)

    return (Timed("pitches", schedule, fill), Timed("missed pitches", MISSED_EVERY_S, fill))


def token_kept(studio: Studio) -> Timed:
    """Also done once at the start: a bot may never run for long."""
    return Timed("token", TOKEN_EVERY_S, studio.publishing.keep_token_fresh)


def _well(bot: StudioBot, studio: Studio) -> dict[str, object]:
    """`ok` when Discord is heard, drafts were brought up to date and jobs are being worked on."""
    parts = {
        "discord": bot.is_ready() and not bot.is_closed() and math.isfinite(bot.latency),
        "drafts": bot.reached.is_set(),
        "engine": studio.engine.is_alive(),
    }
    return {"ok": all(parts.values()), **parts}


async def _until_stopped(stop: asyncio.Event, works: list[asyncio.Task[None]]) -> None:
    """Wait for the signal; an error in any of the tasks ends the bot with its sentence."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    waiting: set[asyncio.Task[object]] = {stopping, *works}
    try:
        while not stopping.done() and waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        log.info("stopping")
        for task in (stopping, *works):
            task.cancel()
        await asyncio.gather(stopping, *works, return_exceptions=True)


async def _connect(bot: StudioBot, token: str) -> None:
    """Stay connected; a Discord that is out of order is waited for, at the start too."""
    try:
        await _patiently(lambda: _log_in(bot, token))
        await _patiently(lambda: _stay_on_gateway(bot))
    except discord.LoginFailure:
        raise UserError(
            "Discord refuses DISCORD_TOKEN; copy it again from the developer portal."
        ) from None
    except discord.PrivilegedIntentsRequired:
        raise UserError(
            "Discord refuses the intents; the bot needs none of the privileged ones."
        ) from None


async def _log_in(bot: StudioBot, token: str) -> None:
    try:
        await bot.login(token)
    except TROUBLE:
        # The next login makes a session of its own, and only this one's owner can close it.
        await bot.http.close()
        bot.http.connector = discord.utils.MISSING
        raise


async def _stay_on_gateway(bot: StudioBot) -> None:
    try:
        await bot.connect()
    except AttributeError as error:
        if bot.ws is not None:
            raise
        # discord.py 2.7 resumes after a broken connection, even when there never was one.
        raise ConnectionError("the gateway refused the first connection") from error


async def _patiently(attempt: Callable[[], Awaitable[None]]) -> None:
    pauses_s = itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1]))
    for pause_s in pauses_s:
        try:
            await attempt()
        except TROUBLE as error:
            log.warning("Discord cannot be reached (%s); trying again in %.0f s", error, pause_s)
            await asyncio.sleep(pause_s)
        else:
            return


async def _post_when_ready(bot: StudioBot, studio: Studio, scheduler: StudioScheduler) -> None:
    """Posting needs the reactions, so it begins once Discord has been reached."""
    with suppress(asyncio.CancelledError):
        await bot.reached.wait()
        await studio.publishing.keep_token_fresh()
        await studio.publishing.recover()
        await scheduler.start()
        await asyncio.Event().wait()


def _discord_token(settings: Settings) -> str:
    needed = {
        "DISCORD_TOKEN": settings.discord_token,
        "DISCORD_GUILD_ID": settings.discord_guild_id,
        "DISCORD_APPROVAL_CHANNEL_ID": settings.discord_approval_channel_id,
        "DISCORD_APPROVER_ROLE_ID": settings.discord_approver_role_id,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} must be set; `emf setup` asks for them, "
            "or run `emf demo` to look around without Discord."
        )
    assert settings.discord_token is not None
    return settings.discord_token.get_secret_value()
