"""Calls of the bundled ffmpeg; its complaints become errors that name the step."""

import subprocess
from collections.abc import Sequence

import imageio_ffmpeg

from pipeline.errors import ProviderError


def binary() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def call(what: str, arguments: Sequence[str], *, feed: bytes | None = None) -> str:
    """Run ffmpeg to its end and return its log; `what` names the step in the error."""
    command = [binary(), "-hide_banner", "-nostats", "-y", *arguments]
    if feed is None:
        command.insert(1, "-nostdin")
    done = subprocess.run(command, input=feed, capture_output=True, check=False)
    log = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise ProviderError("ffmpeg", f"{what} failed: {last_words(log)}")
    return log


def last_words(log: str) -> str:
    """The end of a log, short enough for a message."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-400:] or "it said nothing"
