"""A training whose process is the test itself: it writes what a trainer would, and is heard."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401 - loaded now, before the loop of a test waits for it
from PIL import Image
from standins.painter import describe

from bot.app import utc_now
from bot.studio import Studio
from pipeline.services.training_progress import Progress
from storage.records import TrainingRun
from storage.states import TrainingState
from storage.training_runs import TrainingRuns
from training.model_info import LORA_FILE
from training.progress import Event, EventKind, EventLog


@dataclass
class TrainedHere:
    """What its process tells reaches the rows on the way that a real one's words take."""

    studio: Studio
    id: int
    folder: Path
    length: int

    @classmethod
    async def begin(
        cls, studio: Studio, character: str, *, steps: int = 800, name: str = ""
    ) -> "TrainedHere":
        name = name or f"{character.lower()}-1"
        run = await TrainingRuns(studio.db).create(
            character=character,
            name=name,
            base="tiny",
            steps=steps,
            note="Begins with 20 pictures",
            requested_by="Margot",
            now=utc_now(),
        )
        folder = studio.folder.path / "models" / name
        folder.mkdir(parents=True)
        return cls(studio, run.id, folder, steps)

    async def row(self) -> TrainingRun:
        return await self.studio.training.get(self.id)

    async def tells(self, kind: EventKind, **said: Any) -> None:
        EventLog(self.folder).tell(Event(kind=kind, steps=self.length, **said))
        progress = Progress(self.studio.db, await self.row(), self.folder, clock=utc_now)
        await progress.take_in()
        self.studio.training_events(self.id)

    async def steps(self, step: int, *, loss: float = 0.1, seconds_left: float = 61.0) -> None:
        await self.tells(EventKind.STEP, step=step, loss=loss, seconds_left=seconds_left)

    async def validates(self, step: int, *, loss: float = 0.08, grid: bytes = b"") -> None:
        """A checkpoint with its pictures, ready to be promoted."""
        folder = self.folder / f"validation-{step}"
        folder.mkdir()
        Image.new("RGB", (64, 32), "gold").save(folder / "grid.png")
        if grid:
            (folder / "grid.png").write_bytes(grid)
        write_promotable(self.folder / f"promoted-{step}", step)
        await self.tells(EventKind.CHECKPOINT, step=step, folder=f"checkpoint-{step}")
        await self.tells(EventKind.VALIDATION, step=step, loss=loss, folder=folder.name)

    async def ends(self, state: TrainingState, *, error: str = "") -> None:
        runs = TrainingRuns(self.studio.db)
        await runs.move(self.id, state, error=error, now=utc_now())
        self.studio.training_events(self.id)


def write_promotable(folder: Path, step: int) -> None:
    """What promoting finds to be done already, so that it needs no checkpoint."""
    folder.mkdir()
    (folder / LORA_FILE).write_bytes(f"weights of step {step}".encode())
    describe(folder, character="Butcher", step=step)


def picture(seed: int, size: int = 640) -> bytes:
    """A PNG unlike those of other seeds, large and sharp enough for nothing to be said of it."""
    small = Image.effect_noise((16, 16), 90).convert("RGB")
    image = Image.blend(small, Image.new("RGB", (16, 16), (seed * 37 % 256, 90, 160)), 0.3)
    data = io.BytesIO()
    image.resize((size, size), Image.Resampling.NEAREST).save(data, "PNG")
    return data.getvalue()
