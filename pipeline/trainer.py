"""The process that trains a run: how it begins, what it may see, how it is ended.

It outlives no bot: the end of the pipe that is its stdin tells it to save and end, even when the
bot was killed. What it does and tells is training's own; see training/progress.py.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

from pipeline.errors import UserError
from pipeline.executors import worker_environment

MODULE = "training.dreambooth"
PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors")
CONFIG_FILE = "config.yaml"
LOG_FILE = "trainer.log"
OUR_LOCK = "trainer.lock"
"""Locked before there is a process, which inherits the lock and keeps it while it lives."""
THEIR_LOCK = "lock"
"""What every trainer locks for itself, also one that somebody began by hand."""
LARGEST_LOG = 1024 * 1024
"""Bytes; a longer one is put aside when the next process begins, and only one is kept."""
PATIENCE_S = 60.0
"""Longer than the saving of a large checkpoint takes."""
LETTING_GO_S = 1.0
"""How long a stop of the bot looks on; the trainer saves on its own. With the posts' 5 s and the
calls' 3 s the bot must end within 10."""
DYING_S = 10.0
"""What a process with much memory may need to be gone, once it is killed."""
LOOK_S = 0.05


class Exit(IntEnum):
    """What the exit codes of a trainer mean; others are deaths."""

    FINISHED = 0
    REFUSED = 2  # one sentence on stderr says why; trying again is no use
    STOPPED = 3  # by a signal or the end of the pipe, after saving


class Trainer:
    """One process in a session of its own."""

    def __init__(self, folder: Path, *, module: str = MODULE) -> None:
        """Begin or go on with the run in the folder."""
        self._folder = folder
        self._deadline: float | None = None
        self._is_left = False
        lock = os.open(folder / OUR_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(lock, folder)
            self._process = _begin(folder, module, lock)
            with suppress(OSError):  # a full disk; it only serves to end one that hangs
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(self._process.pid).encode(), 0)
        finally:
            os.close(lock)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def was_asked_to_stop(self) -> bool:
        return self._deadline is not None

    def exit_code(self) -> int | None:
        """None while it lives, minus the signal when one has ended it; to be asked often."""
        if self._is_left:
            return self._process.returncode
        if self._process.returncode is None and self._has_ended():
            self.kill()  # what it may have started; before its number can become another's
            self._close_pipe()
            self._process.wait()
        elif self._deadline is not None and time.monotonic() > self._deadline:
            self.kill()
        return self._process.returncode

    def ask_to_stop(self, *, patience_s: float = PATIENCE_S) -> None:
        """It saves at the next step and ends, or is killed after the patience; once is enough."""
        if self._deadline is None and self._process.returncode is None:
            self._deadline = time.monotonic() + patience_s
            self._process.terminate()

    def kill(self) -> None:
        """The process and everything it started."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def let_go(self, *, patience_s: float = LETTING_GO_S) -> None:
        """End the pipe, as the end of the bot would, and look on for a moment."""
        self._close_pipe()
        deadline = time.monotonic() + patience_s
        while self.exit_code() is None:
            if time.monotonic() > deadline:
                self._is_left = True
                # Not waited for at the end of the bot, yet no zombie if the bot goes on.
                threading.Thread(target=self._process.wait, daemon=True).start()
                return
            await asyncio.sleep(LOOK_S)

    def last_words(self) -> str:
        """The last line that it wrote: the sentence of one that refused."""
        with suppress(OSError), (self._folder / LOG_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def _has_ended(self) -> bool:
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, how) is not None

    def _close_pipe(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


def trainer_environment() -> dict[str, str]:
    """What a worker sees: no key of any service; and no way to the hub."""
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DIFFUSERS_OFFLINE"), "1")
    return {
        **worker_environment(os.cpu_count() or 1),
        **offline,
        "PYTHONUNBUFFERED": "1",  # its last words must be in the log, however it ends
    }


def refuse_without_packages() -> None:
    """UserError when what training needs is not installed; loads nothing of it."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"Training needs {', '.join(missing)}; run `./run install training` and start the "
            "bot again."
        )


async def end_old_trainer(folder: Path, *, patience_s: float = PATIENCE_S) -> None:
    """Return once no trainer of an earlier bot lives in the folder.

    It ends by itself as its bot has gone. One that does not is killed with its group; UserError
    when it is none of ours.
    """
    locks = (folder / OUR_LOCK, folder / THEIR_LOCK)
    if await _released(locks, patience_s):
        return
    if not (_kill_old(folder) and await _released(locks, DYING_S)):
        raise _occupied(folder)


async def _released(locks: Iterable[Path], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    for path in locks:
        if not path.exists():
            continue
        with path.open("rb") as file:
            while not _is_free(file.fileno()):
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(LOOK_S)
    return True


def _is_free(lock: int) -> bool:
    """Also takes it, until it is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _take(lock: int, folder: Path) -> None:
    if not _is_free(lock):
        raise _occupied(folder)


def _occupied(folder: Path) -> UserError:
    return UserError(
        f"Another process trains in {folder.name}; end it and `/train resume` afterwards."
    )


def _kill_old(folder: Path) -> bool:
    """False when who holds the lock is none of ours."""
    with suppress(OSError, ValueError):
        pid = int((folder / OUR_LOCK).read_text())
        # The number may belong to somebody else by now.
        if str(folder / CONFIG_FILE).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.killpg(pid, signal.SIGKILL)
            return True
    return False


def _begin(folder: Path, module: str, lock: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", module, str(folder / CONFIG_FILE)]
    with _log(folder).open("ab") as output:
        return subprocess.Popen(
            [*command, "--resume", "--with-parent"],
            env=trainer_environment(),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            start_new_session=True,
        )


def _log(folder: Path) -> Path:
    path = folder / LOG_FILE
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(folder / f"{LOG_FILE}.1")
    return path
