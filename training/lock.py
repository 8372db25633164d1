"""One trainer per run: whoever holds the lock of its folder lives, whatever files say."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError

LOCK_FILE = "lock"


@contextmanager
def hold(run_folder: Path) -> Iterator[None]:
    """Make the folder and keep others out of it; TrainingError when another one is in it."""
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise TrainingError(
            f"{run_folder} cannot be written ({error.strerror}); choose another output_dir."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(
                f"Another process trains in {run_folder}; wait for it or stop it."
            ) from error
        yield
    finally:
        os.close(descriptor)
