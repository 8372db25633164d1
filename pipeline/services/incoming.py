"""Files of strangers on their way in: stored under names of ours, for our eyes, and no longer
than they are needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.facts import Upload
from pipeline.sections import RefusedPicture
from pipeline.typed_text import one_line
from storage.errors import StorageUnusable
from storage.files import sync_folder

log = logging.getLogger(__name__)

INCOMING = "training/incoming"
"""Folder in DATA_DIR."""
LARGEST_FILE = 20 * 1024 * 1024
LONGEST_NAME = 60

Source = Callable[[], Awaitable[bytes]] | AsyncIterator[bytes]


@dataclass(frozen=True)
class IncomingFile:
    """A file that is offered; `size_bytes` is what its holder declares, and is not believed.

    `read` gives it whole or, as an iterator, in pieces; it is used once at most.
    """

    name: str
    size_bytes: int
    read: Source


@dataclass(frozen=True)
class Arrived:
    """Those that were stored, and those that are too large."""

    uploads: tuple[Upload, ...]
    refused: tuple[RefusedPicture, ...]


class IncomingFiles:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._arriving: set[str] = set()

    async def receive(self, files: Sequence[IncomingFile]) -> Arrived:
        """Store what is small enough; when `read` fails nothing is kept.

        They are safe from `remove_others` until `settled` or `discard` is told of them.
        """
        uploads: list[Upload] = []
        refused: list[RefusedPicture] = []
        try:
            for number, file in enumerate(files, 1):
                upload = _named(file, number)
                uploads.append(upload)
                self._arriving.add(upload.path)
                if not await self._store(file, upload):
                    self.discard([uploads.pop()])
                    refused.append(_too_large(upload))
            if uploads:
                with _disk_errors():
                    await asyncio.to_thread(sync_folder, self._data_dir / INCOMING)
        except BaseException:
            self.discard(uploads)
            raise
        return Arrived(tuple(uploads), tuple(refused))

    def settled(self, uploads: Iterable[Upload]) -> None:
        """Somebody else knows of them now."""
        self._arriving.difference_update(upload.path for upload in uploads)

    def discard(self, uploads: Iterable[Upload]) -> None:
        for upload in uploads:
            (self._data_dir / upload.path).unlink(missing_ok=True)
            self._arriving.discard(upload.path)

    def remove_others(self, wanted: Iterable[Upload]) -> None:
        """All but these and those that are arriving."""
        keep = {upload.path for upload in wanted} | self._arriving
        for path in (self._data_dir / INCOMING).glob(32 * "[0-9a-f]"):
            if f"{INCOMING}/{path.name}" not in keep:
                path.unlink(missing_ok=True)
                log.info("removed the incoming file %s, which no job needs", path.name)

    async def _store(self, file: IncomingFile, upload: Upload) -> bool:
        """False, with nothing or half a file stored, when it is too large."""
        if file.size_bytes > LARGEST_FILE:
            return False
        path = self._data_dir / upload.path
        with _disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stored:
            size = 0
            async with aclosing(_pieces(file.read)) as pieces:
                async for piece in pieces:
                    if (size := size + len(piece)) > LARGEST_FILE:
                        return False
                    with _disk_errors():
                        await asyncio.to_thread(stored.write, piece)
            with _disk_errors():
                await asyncio.to_thread(_to_disk, stored)
        return True


def shown_name(name: str, number: int) -> str:
    """What a person calls a file, short and in one line; never a path of ours."""
    clean = one_line(name)
    if len(clean) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        clean = f"{clean[: half - 1]}…{clean[-half:]}"
    return clean or f"file {number}"


def _named(file: IncomingFile, number: int) -> Upload:
    path = f"{INCOMING}/{uuid.uuid4().hex}"
    return Upload(number=number, path=path, name=shown_name(file.name, number))


def _too_large(upload: Upload) -> RefusedPicture:
    limit = f"{LARGEST_FILE // 1024**2} MB"
    reason = f"{upload.name} is larger than {limit}; send a smaller copy."
    return RefusedPicture(number=upload.number, name=upload.name, reason=reason)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What `read` raises may be an OSError, too, and is another matter."""
    try:
        yield
    except OSError as error:
        raise StorageUnusable(
            f"The pictures cannot be stored ({error.strerror}); look at the disk."
        ) from error


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _pieces(read: Source) -> AsyncGenerator[bytes, None]:
    if callable(read):
        yield await read()
        return
    try:
        async for piece in read:
            yield piece
    finally:
        if isinstance(read, AsyncGenerator):
            await read.aclose()
