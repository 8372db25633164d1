"""`emf doctor`: everything the channel needs, looked at one by one, without side effects."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import discord

from bot import instagram_checks, live_checks
from bot.choices import said_at_start
from bot.console import console
from bot.findings import Check, Finding, Level, error, ok, warning
from bot.guild import logged_in, missing_permissions
from bot.scheduler import Schedule
from bot.settings import Settings
from pipeline.errors import ProviderError, UserError
from pipeline.shows import load_show
from storage.folder import DataFolder

NEEDED_GB, WANTED_GB = 5, 50


async def examine(settings: Settings, *, verbose: bool, strict: bool) -> int:
    """Print what is wrong (with `verbose` also what is fine); 0 when the channel can run."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += await check(settings)
        except (UserError, ProviderError) as failure:
            findings.append(error(str(failure)))
    # One wrong setting may stop several checks with the same sentence.
    findings = list(dict.fromkeys(findings))
    for finding in findings:
        if verbose or finding.level is not Level.OK:
            console.print(f"{finding.level:8} {finding.text}", markup=False)
    bad = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    count = sum(finding.level in bad for finding in findings)
    sys.stdout.write(f"{count} problem(s).\n" if count else "Everything needed is there.\n")
    return 1 if count else 0


async def _python_and_packages(settings: Settings) -> list[Finding]:
    found = [ok(f"Python {sys.version.split()[0]}")]
    for line in importlib.metadata.requires("excuse-my-french") or []:
        if "extra ==" in line:
            continue
        match = re.match(r"[A-Za-z0-9._-]+", line)
        assert match is not None
        try:
            found.append(ok(f"{match[0]} {importlib.metadata.version(match[0])}"))
        except importlib.metadata.PackageNotFoundError:
            found.append(error(f"{match[0]} is not installed; run `./run demo` once."))
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
        ok(f"ffmpeg encodes {name}")
        if re.search(rf" {name} ", listed.stdout)
        else error(f"ffmpeg lacks {name}; install imageio-ffmpeg again.")
        for name in ("libx264", "aac")
    ]


async def _show(settings: Settings) -> list[Finding]:
    show = load_show(settings.show, settings.data_dir)
    return [ok(f"show {show.name}: {' and '.join(c.name for c in show.characters)}")]


async def _offline_voice(settings: Settings) -> list[Finding]:
    from pipeline.config import VoicesConfig
    from pipeline.providers import factory

    if settings.voice_choice() != "offline":
        return []
    try:
        voice = await asyncio.to_thread(factory.voice, VoicesConfig())
    except ProviderError as failure:
        return [error(str(failure))]
    if "kokoro" not in voice.name:
        return [warning(f"the voice is {voice.name}; the better one is missing or damaged.")]
    return [ok(f"voice {voice.name}")]


async def _folder(settings: Settings) -> list[Finding]:
    folder = DataFolder(settings.data_dir)
    place = next(path for path in [folder.path, *folder.path.parents] if path.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    found = [ok(f"{free_gb:.0f} GB free")]
    if free_gb < NEEDED_GB:
        found = [error(f"{free_gb:.1f} GB are free; {NEEDED_GB} GB are needed, make room.")]
    elif free_gb < WANTED_GB:
        found = [warning(f"{free_gb:.0f} GB are free; a month of reels wants {WANTED_GB} GB.")]
    return [*found, await _database(folder)]


async def _database(folder: DataFolder) -> Finding:
    if not folder.database.exists():
        return ok("no database yet; the first start makes it")
    # Read-only, so that looking neither migrates nor waits for a running bot.
    health = await asyncio.to_thread(_quick_check, folder.database)
    return ok("the database is whole") if health == "ok" else error(f"the database: {health}")


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
        *(ok(line) for line in said_at_start(settings)),
        ok(f"next slot {slots[0].at.astimezone(settings.zone()):%A %d %B %H:%M %Z}"),
    ]


async def _discord(settings: Settings) -> list[Finding]:
    token, guild_id = settings.discord_token, settings.discord_guild_id
    if token is None or guild_id is None:
        return [warning("Discord is not set up: DISCORD_TOKEN and DISCORD_GUILD_ID are empty.")]
    async with logged_in(token, settings.discord_api_url) as client:
        guild = await client.fetch_guild(guild_id)
        return [ok(f"Discord: {client.user} in {guild.name}"), *await _access(client, settings)]


async def _access(client: discord.Client, settings: Settings) -> list[Finding]:
    guild = await client.fetch_guild(settings.discord_guild_id or 0)
    found = []
    if settings.discord_approver_role_id not in {role.id for role in await guild.fetch_roles()}:
        found.append(error("DISCORD_APPROVER_ROLE_ID is no role of this server."))
    channel = await guild.fetch_channel(settings.discord_approval_channel_id or 0)
    if missing := await missing_permissions(client, channel):
        found.append(error(f"In #{channel.name} the bot lacks: {missing}."))
    return found or [ok(f"#{channel.name}: all permissions are there")]


CHECKS: tuple[Check, ...] = (
    _python_and_packages,
    _ffmpeg,
    _show,
    _folder,
    live_checks.private_files,
    _schedule,
    live_checks.money,
    _offline_voice,
    live_checks.voices,
    live_checks.writer,
    live_checks.trends,
    _discord,
    instagram_checks.publisher,
)
