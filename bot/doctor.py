"""`emf doctor`: everything the channel needs, looked at one by one, without side effects."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import discord

from bot.app import open_publisher
from bot.choices import said_at_start
from bot.client import default_intents, set_rest_base
from bot.console import console
from bot.scheduler import Schedule
from bot.settings import Settings
from pipeline.errors import ProviderError, UserError
from pipeline.shows import load_show
from storage.folder import DataFolder

NEEDED_GB, WANTED_GB = 5, 50
PERMISSIONS = (
    "view_channel",
    "send_messages",
    "embed_links",
    "attach_files",
    "add_reactions",
    "read_message_history",
)
"""What the bot needs in the approval channel."""


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    text: str


Check = Callable[[Settings], Awaitable[list[Finding]]]


async def examine(settings: Settings, *, verbose: bool, strict: bool) -> int:
    """Print what is wrong (with `verbose` also what is fine); 0 when the channel can run."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += await check(settings)
        except UserError as error:
            findings.append(Finding(Level.ERROR, str(error)))
    for finding in findings:
        if verbose or finding.level is not Level.OK:
            console.print(f"{finding.level:8} {finding.text}", markup=False)
    bad = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    count = sum(finding.level in bad for finding in findings)
    sys.stdout.write(f"{count} problem(s).\n" if count else "Everything needed is there.\n")
    return 1 if count else 0


async def _python_and_packages(settings: Settings) -> list[Finding]:
    found = [_ok(f"Python {sys.version.split()[0]}")]
    for line in importlib.metadata.requires("excuse-my-french") or []:
        if "extra ==" in line:
            continue
        match = re.match(r"[A-Za-z0-9._-]+", line)
        assert match is not None
        try:
            found.append(_ok(f"{match[0]} {importlib.metadata.version(match[0])}"))
        except importlib.metadata.PackageNotFoundError:
            found.append(_error(f"{match[0]} is not installed; run `./run demo` once."))
    return found


async def _ffmpeg(settings: Settings) -> list[Finding]:
    from pipeline.reel.ffmpeg import binary

    listed = await asyncio.to_thread(
        subprocess.run,
        [binary(), "-hide_banner", "-encoders"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        _ok(f"ffmpeg encodes {name}")
        if re.search(rf" {name} ", listed.stdout)
        else _error(f"ffmpeg lacks {name}; install imageio-ffmpeg again.")
        for name in ("libx264", "aac")
    ]


async def _show(settings: Settings) -> list[Finding]:
    show = load_show(settings.show, settings.data_dir)
    return [_ok(f"show {show.name}: {' and '.join(c.name for c in show.characters)}")]


async def _voices(settings: Settings) -> list[Finding]:
    from pipeline.config import VoicesConfig
    from pipeline.providers import factory

    try:
        voice = await asyncio.to_thread(factory.voice, VoicesConfig())
    except ProviderError as error:
        return [_error(str(error))]
    if "kokoro" not in voice.name:
        return [_warning(f"the voice is {voice.name}; the better one is missing or damaged.")]
    return [_ok(f"voice {voice.name}")]


async def _folder(settings: Settings) -> list[Finding]:
    folder = DataFolder(settings.data_dir)
    place = next(path for path in [folder.path, *folder.path.parents] if path.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    found = [_ok(f"{free_gb:.0f} GB free")]
    if free_gb < NEEDED_GB:
        found = [_error(f"{free_gb:.1f} GB are free; {NEEDED_GB} GB are needed, make room.")]
    elif free_gb < WANTED_GB:
        found = [_warning(f"{free_gb:.0f} GB are free; a month of reels wants {WANTED_GB} GB.")]
    return [*found, await _database(folder)]


async def _database(folder: DataFolder) -> Finding:
    if not folder.database.exists():
        return _ok("no database yet; the first start makes it")
    # Read-only, so that looking neither migrates nor waits for a running bot.
    health = await asyncio.to_thread(_quick_check, folder.database)
    return _ok("the database is whole") if health == "ok" else _error(f"the database: {health}")


def _quick_check(path: Path) -> str:
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            return str(connection.execute("PRAGMA quick_check").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        return f"cannot be read ({error}); restore a file from backups/."


async def _schedule(settings: Settings) -> list[Finding]:
    slots = Schedule(settings.publish_cron, settings.zone()).next_slots(datetime.now(UTC), 1)
    return [
        *(_ok(line) for line in said_at_start(settings)),
        _ok(f"next slot {slots[0].at.astimezone(settings.zone()):%A %d %B %H:%M %Z}"),
    ]


async def _discord(settings: Settings) -> list[Finding]:
    token, guild_id = settings.discord_token, settings.discord_guild_id
    if token is None or guild_id is None:
        return [_warning("Discord is not set up: DISCORD_TOKEN and DISCORD_GUILD_ID are empty.")]
    set_rest_base(settings.discord_api_url)
    async with discord.Client(intents=default_intents()) as client:
        try:
            await client.login(token.get_secret_value())
            guild = await client.fetch_guild(guild_id)
            return [_ok(f"Discord: {client.user} in {guild.name}"), *await _access(guild, settings)]
        except discord.LoginFailure:
            return [_error("Discord refuses DISCORD_TOKEN; copy it again from the portal.")]
        except (discord.HTTPException, OSError) as error:
            return [_error(f"Discord: {error}; check DISCORD_GUILD_ID and the channel's rights.")]


async def _access(guild: discord.Guild, settings: Settings) -> list[Finding]:
    roles = {role.id for role in await guild.fetch_roles()}
    found = []
    if settings.discord_approver_role_id not in roles:
        found.append(_error("DISCORD_APPROVER_ROLE_ID is no role of this server."))
    channel = await guild.fetch_channel(settings.discord_approval_channel_id or 0)
    me = await guild.fetch_member(guild._state.user.id)  # type: ignore[union-attr]
    may = channel.permissions_for(me)
    missing = [name for name in PERMISSIONS if not getattr(may, name)]
    if missing:
        found.append(_error(f"In #{channel.name} the bot lacks: {', '.join(missing)}."))
    return found or [_ok(f"#{channel.name}: all permissions are there")]


async def _publisher(settings: Settings) -> list[Finding]:
    async with open_publisher(settings, DataFolder(settings.data_dir)) as publisher:
        try:
            quota = await publisher.quota()
        except ProviderError as error:
            return [_error(str(error))]
    return [_ok(f"{publisher.platform}: {quota.used} of {quota.total} posts used today")]


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def _warning(text: str) -> Finding:
    return Finding(Level.WARNING, text)


def _error(text: str) -> Finding:
    return Finding(Level.ERROR, text)


CHECKS: tuple[Check, ...] = (
    _python_and_packages,
    _ffmpeg,
    _show,
    _voices,
    _folder,
    _schedule,
    _discord,
    _publisher,
)
