"""A real bot in a process of its own against the loopback services: for the demo and e2e tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot.sandbox.discord import DiscordSandbox, Member, Message
from bot.sandbox.instagram import InstagramSandbox
from bot.settings import Settings
from pipeline.errors import UserError

EVERY_MINUTE = "* * * * *"
META_TOKEN = "loopback.instagram.token"


@dataclass
class Evening:
    """The channel's world; `start()` and `kill()` are what happens to the bot in it."""

    folder: Path
    discord: DiscordSandbox
    instagram: InstagramSandbox
    approver: Member
    extra: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = (sys.executable, "-m", "bot", "run")
    process: asyncio.subprocess.Process | None = None

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        return self.folder / "bot.log"

    def environment(self) -> dict[str, str]:
        """No setting of the person's own, so no live key; everything points at loopback."""
        ours = {name.upper() for name in Settings.model_fields}
        outside = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        return outside | {
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "DATA_DIR": str(self.data_dir),
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GUILD_ID": str(self.discord.guild.id),
            "DISCORD_APPROVAL_CHANNEL_ID": str(self.discord.approvals.id),
            "DISCORD_APPROVER_ROLE_ID": str(self.discord.approver.id),
            "TRENDS": "offline",
            "WRITER": "offline",
            "VOICE": "offline",
            "PUBLISHER": "instagram",
            "META_ACCESS_TOKEN": self.instagram.token,
            "INSTAGRAM_USER_ID": self.instagram.user_id,
            "INSTAGRAM_GRAPH_URL": self.instagram.graph_url,
            "INSTAGRAM_UPLOAD_URL": self.instagram.upload_url,
            "PUBLISH_CRON": EVERY_MINUTE,
            **self.extra,
        }

    async def spawn(self) -> asyncio.subprocess.Process:
        """Start the bot and wait for nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env=self.environment(),
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process

    async def start(self, *, timeout_s: float = 30.0) -> None:
        """Start the bot and wait until it has synced its commands and is on the gateway."""
        before = self.discord.gateway.identifies
        process = await self.spawn()
        ready = asyncio.create_task(self._ready(before, timeout_s))
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not ready.done():
            ready.cancel()
            raise UserError(f"The bot did not start; {self.log_file} says why.")
        await ready

    async def _ready(self, before: int, timeout_s: float) -> None:
        # The session of a killed bot may still look alive, so the new one's login is awaited.
        gateway = self.discord.gateway
        await self.discord.wait_until(
            lambda: gateway.identifies > before, timeout_s, "the bot's login"
        )
        await self.discord.wait_commands_synced(timeout_s)

    async def stop(self, *, timeout_s: float = 15.0) -> int:
        """Ask the bot to end (SIGTERM) and wait; its exit code."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), timeout_s)

    async def kill(self) -> None:
        """kill -9, and nothing else."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def draft(self, episode: int, revision: int = 1, *, timeout_s: float = 150.0) -> Message:
        """The draft of a revision, with all its reactions there."""
        mark = f"episode {episode} · revision {revision} ·"

        def is_draft(message: Message) -> bool:
            footers = [embed.get("footer", {}).get("text", "") for embed in message.embeds]
            return any(mark in text for text in footers) and len(message.reactions) >= 3

        return await self.discord.wait_for_message(is_draft, timeout_s)

    async def posted(self, count: int = 1, *, timeout_s: float = 120.0) -> None:
        """Wait until so many posts are public."""
        async with asyncio.timeout(timeout_s):
            while len(self.instagram.posts) < count:
                if self.process is not None and self.process.returncode is not None:
                    raise UserError(f"The bot ended; {self.log_file} says why.")
                await asyncio.sleep(0.1)


@asynccontextmanager
async def evening(folder: Path, **extra: str) -> AsyncIterator[Evening]:
    """The loopback services and one approver; a bot that still runs at the end is killed."""
    async with (
        DiscordSandbox() as discord,
        InstagramSandbox(META_TOKEN) as instagram,
    ):
        approver = discord.add_member("Margot", [discord.approver])
        world = Evening(folder, discord, instagram, approver, dict(extra))
        try:
            yield world
        finally:
            if world.process is not None and world.process.returncode is None:
                await world.kill()
