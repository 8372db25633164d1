"""What people can ask for about training: a run, a pause, which checkpoint is promoted.

One run at a time. A run's row is the truth of what people want (`state`); its process follows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.errors import UserError
from pipeline.recipes import ADVICE, FEWEST_PICTURES, check_steps, find_base, recipe
from pipeline.services.models import Models, Standing
from pipeline.services.supervision import Supervision
from pipeline.services.uploads import pictures_folder
from pipeline.shows import Character, Show
from pipeline.trainer import CONFIG_FILE, refuse_without_packages
from storage.database import Database
from storage.errors import InvalidTransition
from storage.files import sync_folder, write_atomically
from storage.folder import DataFolder
from storage.promotions import Promotions
from storage.records import Promotion, TrainingRun, Validation
from storage.states import TrainingState
from storage.training_images import TrainingImages
from storage.training_runs import TrainingRuns
from storage.validations import Validations

__all__ = ["Standing", "Training", "TrainingStatus"]

log = logging.getLogger(__name__)

BASES = "bases"
MODELS = "models"
CLASS_PICTURES = "class_images"
"""Beside a character's pictures: what a base has drawn serves every run of the character."""
PICTURES = "pictures"
"""In a run's folder: what it learns from, so that later uploads do not change it."""
RESUMABLE = (TrainingState.PAUSED, TrainingState.STOPPED, TrainingState.FAILED)


@dataclass(frozen=True)
class TrainingStatus:
    """`run` is the one under way, else the newest; `promotions` are the models in use."""

    run: TrainingRun | None
    runs: tuple[TrainingRun, ...]
    """The newest first."""
    promotions: tuple[Promotion, ...]


class Training:
    """`who` is how the history names a person; who may is checked by the caller.

    What cannot be done is a UserError or InvalidTransition, one sentence each.
    """

    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        show: Show,
        supervision: Supervision,
        models: Models,
        on_event: Callable[[int], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._folder = folder
        self._show = show
        self._supervision = supervision
        self._models = models
        self._on_event = on_event
        self._clock = clock
        self._images = TrainingImages(db)
        self._promotions = Promotions(db)
        self._runs = TrainingRuns(db)
        self._validations = Validations(db)

    # What people ask for

    async def start(
        self, character: str, *, base: str | None = None, steps: int | None = None, who: str
    ) -> TrainingRun:
        """A new run, which begins at once; its `note` says with how many pictures.

        `base` is a folder in DATA_DIR/bases, the only one there is if none is given.
        """
        refuse_without_packages()
        chosen = self._show.character(character)
        count = check_steps(steps)
        pictures = await self._pictures(chosen.name)
        await self._refuse_second()
        found = await asyncio.to_thread(find_base, self._folder.path / BASES, base)
        folder = await self._new_folder(chosen)
        try:
            text = recipe(
                chosen,
                found,
                folder=folder,
                pictures=folder / PICTURES,
                class_pictures=self._folder.path / pictures_folder(chosen.name) / CLASS_PICTURES,
                steps=count,
                inside=self._folder.path,
            )
            await asyncio.to_thread(_fill, folder, text, pictures)
            # The row comes last: whatever ends the bot before it leaves a folder nobody minds.
            run = await self._runs.create(
                character=chosen.name,
                name=folder.name,
                base=found.path.name,
                steps=count,
                note=_said_of(len(pictures)),
                requested_by=who,
                now=self._clock(),
            )
        except Exception:  # not when cancelled: the row may be there for all we know
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        log.info("training=%s of %d steps asked for by %s", run.name, run.steps, who)
        return self._moved(run)

    async def pause(self, who: str, *, run_id: int | None = None) -> TrainingRun:
        """Save at the next step and wait to be resumed; without an id the run under way."""
        run_id = run_id or await self._first(TrainingState.RUNNING)
        return await self._move(run_id, TrainingState.PAUSED, f"Paused by {who}")

    async def resume(self, who: str, *, run_id: int | None = None) -> TrainingRun:
        """Go on from the newest checkpoint; without an id the newest run that is paused.

        Or else the newest that was stopped, or that failed.
        """
        refuse_without_packages()
        if run_id is None:
            await self._refuse_second()
            run_id = await self._first(*RESUMABLE)
        return await self._move(run_id, TrainingState.RUNNING, f"Resumed by {who}")

    async def stop(self, who: str, *, run_id: int | None = None) -> TrainingRun:
        """Save and end; without an id the run under way, or else the one that is paused."""
        run_id = run_id or await self._first(TrainingState.RUNNING, TrainingState.PAUSED)
        return await self._move(run_id, TrainingState.STOPPED, f"Stopped by {who}")

    async def back(self, character: str, who: str) -> Promotion | None:
        """End the use of a character's model; the one before it, if any, is in use again."""
        return await self._models.back(character, who)

    async def vote(self, run_id: int, step: int, user_id: int) -> Standing:
        """A vote by command for a checkpoint; enough of them promote it.

        Also for one whose message is closed: a model that was put aside can come back.
        """
        return await self._models.vote(run_id, step, user_id)

    # What is shown

    async def status(self) -> TrainingStatus:
        runs = await self._runs.newest()
        run = await self._runs.running() or next(iter(runs), None)
        return TrainingStatus(run, tuple(runs), tuple(await self._promotions.in_use()))

    async def get(self, run_id: int) -> TrainingRun:
        return await self._runs.get(run_id)

    async def validations(self, run_id: int) -> list[Validation]:
        """All of a run, open or ended, in the order of their steps."""
        return await self._validations.of_run(run_id)

    async def open_validations(self) -> list[Validation]:
        """Those that people may vote on, the oldest first; `message_id` is None if not shown."""
        return await self._validations.open()

    async def find_validation(self, message_id: int) -> Validation | None:
        """The checkpoint that a message shows, open or ended."""
        return await self._validations.of_message(message_id)

    async def untold(self) -> list[TrainingRun]:
        """Runs that have ended without anybody having been shown that."""
        return await self._runs.untold()

    async def told(self, run_id: int) -> None:
        """People have been shown that it has ended."""
        await self._runs.told(run_id, now=self._clock())

    async def live_message(self, run_id: int, channel_id: int, message_id: int) -> None:
        """Remember the message that shows how a run goes on."""
        await self._runs.live_message(run_id, channel_id=channel_id, message_id=message_id)

    async def shown(self, run_id: int, step: int, channel_id: int, message_id: int) -> None:
        """Remember the message that shows a checkpoint's pictures."""
        await self._validations.shown(run_id, step, channel_id=channel_id, message_id=message_id)

    async def closed(self, run_id: int, step: int, reason: str) -> None:
        """Its reactions count no more: somebody has deleted the message, say."""
        await self._models.close(run_id, step, reason)

    # Votes by reaction

    async def vote_standing(self, run_id: int, step: int) -> Standing:
        return await self._models.standing(run_id, step)

    async def sync_votes(self, run_id: int, step: int, approvers: frozenset[int]) -> Standing:
        """Make the ✅ of members with the role, as they stand now, the votes by reaction.

        Enough votes promote the checkpoint; UserError when it is damaged or no longer there.
        """
        return await self._models.sync_votes(run_id, step, approvers)

    # What goes on by itself

    async def hold(self) -> None:
        """Before the engine starts: while a run is under way, no job gets the GPU."""
        await self._supervision.hold()

    async def run(self) -> None:
        """Keep the process of the run under way alive until this is cancelled."""
        await self._supervision.run()

    async def _pictures(self, character: str) -> list[Path]:
        pictures = [self._folder.resolve(image.path) for image in await self._images.of(character)]
        if len(pictures) < FEWEST_PICTURES:
            raise UserError(
                f"{character} has {len(pictures)} pictures to learn from; `/train upload` "
                f"at least {FEWEST_PICTURES}, {ADVICE} are better."
            )
        return pictures

    async def _refuse_second(self) -> None:
        """Early and in plain words; the database refuses what comes in between."""
        if run := await self._runs.running():
            raise UserError(
                f"{run.name} is being trained, and that is one at a time; wait for it, or "
                "`/train pause` or `/train stop` it."
            )

    async def _new_folder(self, character: Character) -> Path:
        """Made here and now, so that nobody else has it."""
        taken = await self._runs.names(character.name)
        number = len(taken)
        while True:
            number += 1
            folder = self._folder.path / MODELS / f"{character.name.casefold()}-{number}"
            if folder.name in taken:
                continue
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder

    async def _first(self, *states: TrainingState) -> int:
        """The newest run in the first of these states that any is in."""
        for state in states:
            for run in await self._runs.newest(state, limit=1):
                return run.id
        wanted = " or ".join(states)
        raise InvalidTransition(f"No training is {wanted}; `/train status` shows those there are.")

    async def _move(self, run_id: int, to: TrainingState, note: str) -> TrainingRun:
        run = await self._runs.move(run_id, to, note=note, now=self._clock())
        log.info("training=%s %s", run.name, note)
        return self._moved(run)

    def _moved(self, run: TrainingRun) -> TrainingRun:
        self._supervision.nudge()
        self._on_event(run.id)
        return run


def _fill(folder: Path, config: str, pictures: Iterable[Path]) -> None:
    """The pictures as they are now, and the settings; UserError when a picture is gone."""
    (folder / PICTURES).mkdir()
    for picture in pictures:
        try:
            _link(picture, folder / PICTURES / picture.name)
        except FileNotFoundError as error:
            raise UserError(f"The picture {picture.name} is gone; upload it again.") from error
    sync_folder(folder / PICTURES)
    write_atomically(folder / CONFIG_FILE, config.encode())


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _said_of(pictures: int) -> str:
    advice = "" if pictures >= int(ADVICE.split()[0]) else f"; {ADVICE} make a better likeness"
    return f"Begins with {pictures} pictures{advice}"
