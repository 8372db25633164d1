"""DATA_DIR: its lock, and where things are in it.

One process at a time may write: it holds an flock on `DATA_DIR/lock` for as long as it lives.
The kernel lets go when the process ends, however it ends.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.errors import StorageUnusable

BESIDE_A_BOT = "stop it or use its slash commands"


class FolderLock:
    """Held until `release()` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class DataFolder:
    """Paths inside DATA_DIR; nothing is made before `lock()` or a write."""

    def __init__(self, path: Path) -> None:
        self.given = path
        self.path = path.absolute()

    @property
    def database(self) -> Path:
        return self.path / "studio.db"

    @property
    def run(self) -> Path:
        """Locks of living workers."""
        return self.path / "run"

    def revision(self, episode: int, revision: int) -> Path:
        return self.path / "episodes" / str(episode) / f"v{revision}"

    @property
    def jobs(self) -> Path:
        """Folders of attempts under way."""
        return self.path / "jobs"

    def job(self, job: int) -> Path:
        return self.jobs / str(job)

    def attempt(self, job: int, attempt: int) -> Path:
        return self.job(job) / str(attempt)

    @property
    def paid(self) -> Path:
        """Receipts and answers that were paid for, a folder per job; they outlive attempts."""
        return self.path / "paid"

    @property
    def secrets(self) -> Path:
        """For the owner's eyes alone; in no backup."""
        return self.path / "secrets"

    def resolve(self, relative: str | Path) -> Path:
        """The absolute path; StorageUnusable when it would leave the folder (links included)."""
        path = (self.path / relative).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise StorageUnusable(f"{relative} lies outside {self.given}; use a path inside it.")
        return path

    def lock(self, holder: str) -> FolderLock:
        """Make the folder and lock it for `holder`, e.g. `A bot` or `emf video`.

        StorageUnusable names who holds it, or says that the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageUnusable(
                f"DATA_DIR={self.given} cannot be written ({error.strerror}); "
                "choose a folder that belongs to you."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = os.pread(descriptor, 200, 0).decode(errors="replace")
            os.close(descriptor)
            way_on = "wait for it or stop it" if text.startswith("emf ") else BESIDE_A_BOT
            raise StorageUnusable(
                f"{text or 'Another process'} is using {self.given}; {way_on}."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder} (pid {os.getpid()})".encode(), 0)
        return FolderLock(descriptor)
