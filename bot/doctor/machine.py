"""What the doctor finds on this machine: the programs, the room, and who can read the keys."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

from bot.doctor.findings import Finding, error, ok, warning
from bot.settings import Settings
from storage.folder import DataFolder

NEEDED_GB, WANTED_GB = 5, 50


async def python_and_packages(settings: Settings) -> list[Finding]:
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


async def ffmpeg(settings: Settings) -> list[Finding]:
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


async def folder(settings: Settings) -> list[Finding]:
    data = DataFolder(settings.data_dir)
    place = next(path for path in [data.path, *data.path.parents] if path.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    found = [ok(f"{free_gb:.0f} GB free")]
    if free_gb < NEEDED_GB:
        found = [error(f"{free_gb:.1f} GB are free; {NEEDED_GB} GB are needed, make room.")]
    elif free_gb < WANTED_GB:
        found = [warning(f"{free_gb:.0f} GB are free; a month of reels wants {WANTED_GB} GB.")]
    return [*found, await _database(data)]


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


async def private_files(settings: Settings) -> list[Finding]:
    """Who else on this machine can read the keys."""
    files = [path for path in (Path(".env"), *_token_files(settings)) if path.is_file()]
    return [
        warning(f"{path} can be read by others; run `chmod 600 {path}`.")
        if stat.S_IMODE(path.stat().st_mode) & 0o077
        else ok(f"{path} is for its owner only")
        for path in files
    ]


def _token_files(settings: Settings) -> list[Path]:
    return sorted(DataFolder(settings.data_dir).secrets.glob("*"))
