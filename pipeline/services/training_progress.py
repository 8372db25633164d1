"""What a trainer tells, brought into the rows of its run: each line once, whatever ends the bot."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from storage.database import Database
from storage.records import TrainingRun
from storage.training_runs import TrainingRuns
from storage.validations import Validations
from training.progress import EVENTS_FILE, Event, EventKind, EventTail

VALIDATION_FOLDER = re.compile(r"validation-\d{1,9}")
CHECKPOINT_FOLDER = re.compile(r"checkpoint-(\d{1,9})")
LONGEST_TEXT = 500
LOSSES_THAT_RISE = 3


class Progress:
    """Tails the events of one process."""

    def __init__(
        self, db: Database, run: TrainingRun, folder: Path, *, clock: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._run_id = run.id
        self.folder = folder
        self._clock = clock
        self._runs = TrainingRuns(db)
        self._validations = Validations(db)
        self._tail = EventTail(folder, _offset(run, folder))
        self._saved = _newest_step(folder)
        self.error = ""
        """The sentence of a trainer that has failed."""
        self.checkpoint_bytes = _newest_checkpoint(folder)

    async def take_in(self) -> bool:
        """Store what is new, and how far it was read, as one; whether there was anything."""
        before = self._tail.offset
        events = self._tail.read()
        if self._tail.offset == before:
            return False
        try:
            async with self._db.transaction():
                run = await self._runs.get(self._run_id)
                for event in events:
                    run = await self._told(run, event)
                await self._runs.progress(replace(run, event_offset=self._tail.offset))
        except BaseException:
            self._tail.offset = before  # it is read again
            raise
        if saved := [event.step for event in events if event.kind is EventKind.CHECKPOINT]:
            self._saved = max(self._saved, *saved)
            # Zero now and then; the greatest one is what counts.
            self.checkpoint_bytes = max(self.checkpoint_bytes, _newest_checkpoint(self.folder))
        return True

    async def _told(self, run: TrainingRun, event: Event) -> TrainingRun:
        if not 0 <= event.step <= run.steps:
            return run  # nobody of ours tells that
        note = event.note[:LONGEST_TEXT]
        match event.kind:
            case EventKind.STARTED:
                return replace(run, step=event.step, note=note, seconds_left=None, warning="")
            case EventKind.CLASS_IMAGE:
                return replace(run, note=f"class picture {event.made} of {event.wanted}")
            case EventKind.PREPARING:
                return replace(run, note=note)
            case EventKind.STEP:
                run = replace(run, step=event.step, loss=event.loss, note="")
                return replace(run, seconds_left=event.seconds_left)
            case EventKind.VALIDATION:
                return await self._validated(run, event)
            case EventKind.WARNING:
                return replace(run, warning=note)
            case EventKind.FAILED:
                self.error = event.error[:LONGEST_TEXT]
                return run
            case EventKind.CHECKPOINT:
                # Only what is saved for the first time will not be done again.
                is_further = event.step > self._saved
                return replace(run, step=event.step, restarts=0 if is_further else run.restarts)
            case EventKind.STOPPED | EventKind.FINISHED:
                return replace(run, step=event.step)

    async def _validated(self, run: TrainingRun, event: Event) -> TrainingRun:
        if not VALIDATION_FOLDER.fullmatch(event.folder):
            return run
        folder = f"models/{run.name}/{event.folder}"
        about = (run.id, event.step)
        await self._validations.add(*about, folder=folder, loss=event.loss, now=self._clock())
        losses = [v.loss for v in await self._validations.of_run(run.id) if v.loss is not None]
        last = losses[-LOSSES_THAT_RISE:]
        if len(last) < LOSSES_THAT_RISE or not last[0] < last[1] < last[2]:
            return run
        told = ", ".join(f"{loss:.4f}" for loss in last)
        return replace(
            run,
            warning=f"The loss with fixed noise has risen twice in a row ({told}): it may be "
            "learning the pictures by heart, so look at the earlier checkpoints, too.",
        )


def _offset(run: TrainingRun, folder: Path) -> int:
    """Where to go on; a file that is shorter is another one."""
    try:
        size = (folder / EVENTS_FILE).stat().st_size
    except FileNotFoundError:
        return 0
    return run.event_offset if run.event_offset <= size else 0


def _newest_step(folder: Path) -> int:
    """Of the checkpoints, also of one that is damaged; 0 without any."""
    names = [CHECKPOINT_FOLDER.fullmatch(path.name) for path in folder.glob("checkpoint-*")]
    return max((int(name[1]) for name in names if name), default=0)


def _newest_checkpoint(folder: Path) -> int:
    """Its size in bytes; 0 without any, or when it is being removed just now."""
    try:
        folders = sorted(folder.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        files = [file for newest in folders[-1:] for file in newest.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0
