"""A whole studio in this process: real services and engine, stages that take no time."""

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import discord
import pytest
import yarl

from bot.app import open_studio
from bot.client import StudioBot
from bot.sandbox.discord import DiscordSandbox
from bot.scheduler import Schedule
from bot.settings import load_settings
from pipeline.workflow import Lane

sys.path.append(str(Path(__file__).parent / "quick"))
from quick_stages import QUICK_WORKFLOW, hand_executors
from trained_here import TrainedHere


@dataclass(frozen=True)
class GoodFacts:
    """What is measured of a reel that may go out."""

    size_bytes: int = 1000
    duration_s: float = 20.0
    width: int = 1080
    height: int = 1920
    video_codec: str = "h264"
    audio_codec: str = "aac"
    moov_first: bool = True
    edit_list: bool = False
    loudness_lufs: float = -14.0


@pytest.fixture
async def world(monkeypatch):
    """A loopback Discord that discord.py is pointed at."""
    async with DiscordSandbox() as sandbox:
        monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_url)
        gateway = discord.gateway.DiscordWebSocket
        monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", yarl.URL(sandbox.gateway.url))
        yield sandbox


@pytest.fixture
def settings(world, tmp_path):
    return load_settings(
        None,
        data_dir=tmp_path / "data",
        discord_token=world.token,
        discord_api_url=world.api_url,
        discord_guild_id=world.guild.id,
        discord_approval_channel_id=world.approvals.id,
        discord_approver_role_id=world.approver.id,
        trends="offline",
    )


@pytest.fixture
def executors():
    return hand_executors()


@pytest.fixture
async def studio(settings, executors, monkeypatch):
    monkeypatch.setattr("bot.app._probe", lambda reel: GoodFacts())
    async with open_studio(
        settings, "A test", executors=executors, workflow=QUICK_WORKFLOW
    ) as opened:
        await opened.engine.start()
        yield opened


@contextlib.asynccontextmanager
async def running_bot(studio, world):
    bot = StudioBot(studio, Schedule("0 18 * * *", studio.settings.zone()))
    bot._connection.guild_ready_timeout = 0.02  # else every start waits 2 s
    studio.job_events.add(bot.on_job_event)
    studio.post_events.add(bot.on_post_event)
    studio.training_events.add(bot.on_training_event)
    await bot.login(world.token)
    task = asyncio.create_task(bot.connect())
    try:
        async with asyncio.timeout(30):
            await bot.reached.wait()
        yield bot
    finally:
        await bot.close()
        with contextlib.suppress(discord.ConnectionClosed):
            await task


@pytest.fixture
def start_bot(studio, world):
    """For more lives than one: `async with start_bot() as bot`."""
    return lambda: running_bot(studio, world)


@pytest.fixture
async def bot(studio, world):
    async with running_bot(studio, world) as started:
        yield started


@pytest.fixture
def margot(world):
    """May approve."""
    return world.add_member("Margot", [world.approver])


@pytest.fixture
def passerby(world):
    """May look."""
    return world.add_member("Pascal")


@pytest.fixture
def reply_to(world):
    """What a person reads after a slash command."""

    async def reply(member, command, options=None, **place):
        interaction = world.invoke(member, command, options, **place)
        await interaction.answered()
        return await interaction.replied()

    return reply


@pytest.fixture
def says(world):
    """Wait for the first message, old or new, whose text holds some words."""

    async def wait(words, channel=None):
        return await world.wait_for_message(
            lambda message: (
                words in message.content and (channel is None or message.channel is channel)
            )
        )

    return wait


@pytest.fixture
def draft_of(world):
    """The draft of a revision, once all its reactions are there."""

    async def wait(episode, revision=1):
        mark = f"episode {episode} · revision {revision} ·"
        return await world.wait_for_message(
            lambda message: (
                any(mark in embed.get("footer", {}).get("text", "") for embed in message.embeds)
                and len(message.reactions) == 3
            )
        )

    return wait


@pytest.fixture
def make(studio):
    """An episode with a finished reel (or up to another stage), without Discord."""

    async def finished(topic="Coffee", until="preview"):
        episode = await studio.episodes.make(topic, "a test", until=until)
        await studio.engine.finished(episode.id)
        return await studio.episodes.view(episode.id)

    return finished


@pytest.fixture
def make_draft(bot, make, draft_of):
    """A finished reel whose draft people look at."""

    async def posted(topic="Coffee"):
        view = await make(topic)
        return view, await draft_of(view.episode.id)

    return posted


@pytest.fixture
def training_of(studio):
    """A run whose process is this test: `await run.steps(3)`, `await run.validates(4)`."""

    async def begin(character="Butcher", **given):
        return await TrainedHere.begin(studio, character, **given)

    return begin


@pytest.fixture
def checkpoint_of(world):
    """The message of a checkpoint, once all its reactions are there."""

    async def wait(run, step):
        mark = f"training {run.id} ·"
        return await world.wait_for_message(
            lambda message: (
                any(
                    text.startswith(mark) and text.endswith(f"· step {step}")
                    for embed in message.embeds
                    if (text := embed.get("footer", {}).get("text", ""))
                )
                and len(message.reactions) == 3
            )
        )

    return wait


@pytest.fixture
def cpu(executors):
    return executors[Lane.CPU]


@pytest.fixture
def io(executors):
    return executors[Lane.IO]


@pytest.fixture
def eventually():
    """Wait for what no message tells: a log line, a row."""

    async def wait(look, timeout_s=30.0):
        async with asyncio.timeout(timeout_s):
            while not look():  # noqa: ASYNC110 - nothing sets an event for it
                await asyncio.sleep(0.01)

    return wait
