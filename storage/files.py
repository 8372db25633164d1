"""Files that are either the old one or the whole new one, whatever happens in between."""

import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write beside `path`, sync, rename; missing folders are made. The umask narrows `mode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.unlink(missing_ok=True)  # one left by a crash may have another mode
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def move_files(source: Path, target: Path, *, leave: frozenset[str] = frozenset()) -> None:
    """Move all files of a folder into another, subfolders included; safe to do again.

    Names in `leave` stay (top level only). A run that was cut off is finished by the next one:
    what has already moved is no longer in `source`.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.name in leave:
            continue
        if entry.is_dir():
            move_files(entry, target / entry.name)
        else:
            entry.replace(target / entry.name)
    sync_folder(target)


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
