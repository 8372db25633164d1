"""Pictures about training, drawn in a worker: the loss of a run, all pictures of a character.

They are a courtesy: one that cannot be drawn is a line in the log, and nothing waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.executors import CallFailed, Executor, WorkerDied, WorkerTimeout
from pipeline.files import write_whole
from storage.folder import DataFolder
from storage.records import TrainingImage, TrainingRun
from training.progress import EVENTS_FILE

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0
LOSS = "loss.png"
ALBUM = "sheets/all.jpg"
TILE = (512, 512)
SHORT = 8
"""Digits of a hash that name a picture."""


def draw_loss(events_file: str, promoted: int | None, out: str) -> None:
    """Runs in a worker: loads the library that plots."""
    from training.plots import draw_loss

    draw_loss(Path(events_file), Path(out), promoted=promoted)


def draw_album(title: str, pictures: list[str], out: str) -> None:
    """Runs in a worker: numbered pictures on one sheet, a JPEG."""
    from PIL import Image

    from pipeline.intake.contact_sheet import Tile, draw

    tiles = []
    for number, path in enumerate(pictures, 1):
        with Image.open(path) as picture:
            picture.thumbnail(TILE)
            short = Path(path).stem[:SHORT]
            tiles.append(Tile(str(number), "", (), short, picture.convert("RGB")))
    write_whole(Path(out), draw(title, tiles))


class Figures:
    def __init__(self, *, folder: DataFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor

    async def loss(self, run: TrainingRun, *, promoted: int | None = None) -> Path | None:
        """The course of a run as told so far; None when it cannot be drawn.

        `promoted` is the step whose weights are in use.
        """
        folder = self._folder.path / "models" / run.name
        return await self._drawn(folder / LOSS, draw_loss, str(folder / EVENTS_FILE), promoted)

    async def album(self, character: str, images: Sequence[TrainingImage]) -> Path | None:
        """All pictures of a character, with the numbers that people name them by."""
        if not images:
            return None
        paths = [str(self._folder.resolve(image.path)) for image in images]
        out = self._folder.resolve(images[0].path).parent / ALBUM
        return await self._drawn(out, draw_album, f"{character}: {len(paths)} pictures", paths)

    async def _drawn(self, out: Path, draw: Callable[..., None], *given: object) -> Path | None:
        out.parent.mkdir(parents=True, exist_ok=True)
        future = self._executor.submit(draw, *given, str(out), timeout_s=TIMEOUT_S)
        try:
            await asyncio.wrap_future(future)
        except (CallFailed, WorkerTimeout, WorkerDied, OSError) as error:
            log.warning("%s cannot be drawn: %s", out.name, error)
            return None
        return out
