"""The picture library: filled from the show's rigs, so that every emotion has pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pipeline.errors import UserError
from pipeline.executors import CallFailed, Executor, WorkerDied, WorkerTimeout
from pipeline.shows import Show
from storage.database import Database
from storage.files import sha256_of
from storage.folder import DataFolder
from storage.images import Images
from storage.records import LibraryImage, NewImage

log = logging.getLogger(__name__)

PAINT_TIMEOUT_S = 300.0


Painted = tuple[str, str, str, str, int, int]
"""Character, emotion, path, SHA-256, width and height of a picture."""


def paint(show_name: str, data_dir: str) -> tuple[list[Painted], str]:
    """Runs in a worker: every picture, or none and the sentence that says why."""
    from pipeline.reel.pictures import paint_library  # loads the renderer
    from pipeline.shows import load_show

    show = load_show(show_name, Path(data_dir))
    try:
        painted = paint_library(show, Path(data_dir) / LIBRARY)
    except UserError as error:
        return [], str(error)
    return [
        (p.character, p.emotion.value, p.path, p.sha256, p.width, p.height) for p in painted
    ], ""


RIG = "rig"
LIBRARY = "library"
"""Folder of the pictures in DATA_DIR."""


class LibraryService:
    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        show: Show,
        executor: Executor,
        clock: Callable[[], datetime],
    ) -> None:
        self._folder = folder
        self._show = show
        self._executor = executor
        self._clock = clock
        self._images = Images(db)

    async def fill(self) -> int:
        """Paint the rigs of characters that lack pictures; how many rows are new.

        A picture of a rig whose file is gone or is not what was painted is painted again.
        UserError when the show cannot be painted.
        """
        names = [character.name for character in self._show.characters]
        images = await self._images.for_characters(names)
        have = {image.character.casefold() for image in images}
        is_complete = {name.casefold() for name in names} <= have
        if is_complete and await asyncio.to_thread(self._are_whole, images):
            return 0
        log.info("painting the picture library of %s", self._show.name)
        painted = [
            NewImage(
                character=character,
                emotion=emotion,
                path=f"{LIBRARY}/{path}",
                sha256=sha256,
                width=width,
                height=height,
                source=RIG,
            )
            for character, emotion, path, sha256, width, height in await self._paint()
        ]
        # A newer renderer may have drawn other bytes over those that the rows know.
        await self._images.repaint(painted)
        return await self._images.add(painted, now=self._clock())

    def _are_whole(self, images: list[LibraryImage]) -> bool:
        return all(
            path.is_file() and sha256_of(path) == image.sha256
            for image in images
            if image.source == RIG
            for path in [self._folder.resolve(image.path)]
        )

    async def _paint(self) -> list[Painted]:
        future = self._executor.submit(
            paint, self._show.name, str(self._folder.path), timeout_s=PAINT_TIMEOUT_S
        )
        try:
            answer: tuple[list[Painted], str] = await asyncio.wrap_future(future)
        except CallFailed as error:
            log.exception("the pictures of %s cannot be painted", self._show.name)
            raise self._unpaintable("the log has the details") from error
        except WorkerTimeout as error:
            raise self._unpaintable(f"it takes longer than {PAINT_TIMEOUT_S:g} s") from error
        except WorkerDied as error:
            raise self._unpaintable("the process that paints was ended") from error
        painted, refusal = answer
        if refusal:
            raise self._unpaintable(refusal.removesuffix("."))
        return painted

    def _unpaintable(self, reason: str) -> UserError:
        rigs = " and ".join(character.rig for character in self._show.characters)
        return UserError(
            f"The pictures of the show {self._show.name} cannot be painted ({reason}); "
            f"look at {rigs} in {self._show.folder}, or choose another SHOW."
        )
