"""The picture library: filled from the show's rigs, so that every emotion has pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pipeline.executors import Executor
from pipeline.shows import Show
from storage.database import Database
from storage.folder import DataFolder
from storage.images import Images
from storage.records import NewImage

log = logging.getLogger(__name__)

PAINT_TIMEOUT_S = 300.0


def paint(show_name: str, data_dir: str) -> list[tuple[str, str, str, str, int, int]]:
    """Runs in a worker: (character, emotion, path, sha256, width, height) of every picture."""
    from pipeline.reel.pictures import paint_library  # loads the renderer
    from pipeline.shows import load_show

    show = load_show(show_name, Path(data_dir))
    painted = paint_library(show, Path(data_dir) / LIBRARY)
    return [(p.character, p.emotion.value, p.path, p.sha256, p.width, p.height) for p in painted]


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

        A picture of a rig whose file is gone is painted again: the same bytes, the same row.
        """
        names = [character.name for character in self._show.characters]
        images = await self._images.for_characters(names)
        have = {image.character.casefold() for image in images}
        gone = [i for i in images if i.source == RIG and not self._folder.resolve(i.path).exists()]
        if {name.casefold() for name in names} <= have and not gone:
            return 0
        log.info("painting the picture library of %s", self._show.name)
        future = self._executor.submit(
            paint, self._show.name, str(self._folder.path), timeout_s=PAINT_TIMEOUT_S
        )
        painted = await asyncio.wrap_future(future)
        new = [
            NewImage(
                character=character,
                emotion=emotion,
                path=f"{LIBRARY}/{path}",
                sha256=sha256,
                width=width,
                height=height,
                source=RIG,
            )
            for character, emotion, path, sha256, width, height in painted
        ]
        return await self._images.add(new, now=self._clock())
