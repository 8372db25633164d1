"""Publishing into a folder: DATA_DIR/posts/<episode>/, for a channel without an account.

The same steps as a platform's, so that one service drives both; each may be repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

from pipeline.publishing.base import (
    Container,
    ContainerState,
    ContainerStatus,
    Media,
    Outgoing,
    Passing,
    Permanent,
    Quota,
    StartOver,
)
from storage.files import sync_folder

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
PLATFORM = "folder"
CHUNK = 1 << 20


class FolderPublisher:
    """A container is a folder beside the others that starts with a dot; publishing renames it."""

    platform = PLATFORM
    account = PLATFORM

    def __init__(self, posts: Path) -> None:
        self._posts = posts

    async def keep_access(self) -> str:
        return ""

    def held_s(self) -> float:
        return 0.0

    async def quota(self) -> Quota:
        return Quota(used=0, total=1)

    async def create(self, post: Outgoing) -> Container:
        return await self._in_thread(self._create, post)

    async def upload(self, container: Container, path: Path, expected_sha256: str) -> None:
        await self._in_thread(self._upload, container, path, expected_sha256)

    async def status(self, container_id: str) -> ContainerStatus:
        """EXPIRED when there is no such folder: nothing else can have taken it."""
        if (self._final(container_id) / "post.json").is_file():
            return ContainerStatus(ContainerState.PUBLISHED)
        aside = self._aside(container_id)
        if not aside.is_dir():
            return ContainerStatus(ContainerState.EXPIRED)
        ready = (aside / "reel.mp4").is_file()
        return ContainerStatus(ContainerState.FINISHED if ready else ContainerState.IN_PROGRESS)

    async def publish(self, container_id: str) -> str:
        return await self._in_thread(self._publish, container_id)

    async def look_up(self, caption: str, since: datetime) -> Media | None:
        return await self._in_thread(self._look_up, caption)

    async def permalink(self, media_id: str) -> str:
        return self._final(media_id).resolve().as_uri()

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            raise Passing(
                self.platform, f"{self._posts} cannot be used: {error.strerror}."
            ) from error

    def _create(self, post: Outgoing) -> Container:
        name = str(post.episode)
        aside = self._aside(name)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        with post.cover.open("rb") as source, (aside / "cover.jpg").open("wb") as target:
            _copy(source, target)
        _write(aside / "caption.txt", post.caption)
        facts = {
            "episode": post.episode,
            "revision": post.revision,
            "sha256": post.sha256,
            "caption": post.caption,
            "ai_label": post.ai_label,
            "permalink": self._final(name).resolve().as_uri(),
            "created_at": datetime.now(UTC).isoformat(),
        }
        _write(aside / "post.json", _pretty(facts))
        return Container(id=name, upload_url=aside.resolve().as_uri())

    def _upload(self, container: Container, path: Path, expected_sha256: str) -> None:
        aside = self._aside(container.id)
        if not aside.is_dir():
            raise StartOver(self.platform, f"{aside} has disappeared.")
        part = aside / "reel.mp4.part"
        with path.open("rb") as source, part.open("wb") as target:
            sha256 = _copy(source, target)
        if sha256 != expected_sha256:
            part.unlink()
            raise Permanent(self.platform, f"{path.name} is not the file that was approved.")
        part.replace(aside / "reel.mp4")

    def _publish(self, container_id: str) -> str:
        final = self._final(container_id)
        if not (final / "post.json").is_file():
            aside = self._aside(container_id)
            if not (aside / "reel.mp4").is_file():
                raise StartOver(self.platform, f"{aside} is not complete.")
            sync_folder(aside)  # all its names are on the disk before it becomes public
            aside.replace(final)
            sync_folder(self._posts)
        return container_id

    def _look_up(self, caption: str) -> Media | None:
        for file in sorted(self._posts.glob("[0-9]*/post.json")):
            try:
                facts = json.loads(file.read_text(encoding="utf-8"))
                if facts["caption"] == caption:
                    return Media(id=file.parent.name, permalink=facts["permalink"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("%s is skipped, it cannot be read: %s", file, error)
        return None

    def _final(self, name: str) -> Path:
        return self._posts / name

    def _aside(self, name: str) -> Path:
        return self._posts / f".{name}.part"


def _write(path: Path, text: str) -> None:
    with path.open("wb") as file:
        _copy(BytesIO(text.encode()), file)


def _pretty(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()
