"""Keeps the process of the training under way alive, and its row in step with what it tells.

The row says what people want, the process follows: it is begun while the row is `running`, asked
to save and end when it no longer is, and begun again when it has died.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pipeline.engine import Engine
from pipeline.errors import UserError
from pipeline.services.gpu import Gpu
from pipeline.services.pictures import STAGE as DRAWINGS
from pipeline.services.training_progress import Progress
from pipeline.trainer import LETTING_GO_S, MODULE, PATIENCE_S, Exit, Trainer, end_old_trainer
from pipeline.workflow import Lane
from storage.database import Database
from storage.errors import InvalidTransition, StorageUnusable
from storage.folder import DataFolder
from storage.records import TrainingRun
from storage.states import TrainingState
from storage.training_runs import TrainingRuns

log = logging.getLogger(__name__)

MOST_RESTARTS = 3
"""In a row, without a checkpoint that is new."""
LONGEST_S = 24 * 3600.0
"""Of one process; a run that needs more is resumed by somebody who wants that."""
LONGEST_SILENCE_S = 3600.0
LEAST_FREE_BYTES = 2_000_000_000
CHECKPOINTS_FREE = 3
"""So many more checkpoints must fit on the disk."""


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Supervision:
    """`on_event` must not block; it is told the id of a run of which something has changed."""

    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        engine: Engine,
        gpu: Gpu,
        on_event: Callable[[int], None],
        clock: Callable[[], datetime],
        module: str = MODULE,
        look_s: float = 0.5,
        restart_s: float = 2.0,
        trouble_s: float = 5.0,
        patience_s: float = PATIENCE_S,
        letting_go_s: float = LETTING_GO_S,
        monotonic: Callable[[], float] = time.monotonic,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._db = db
        self._folder = folder
        self._engine = engine
        self._gpu = gpu
        self._on_event = on_event
        self._clock = clock
        self._module = module
        self._look_s = look_s
        self._restart_s = restart_s
        self._trouble_s = trouble_s
        self._patience_s = patience_s
        self._letting_go_s = letting_go_s
        self._monotonic = monotonic
        self._free_bytes = free_bytes
        self._runs = TrainingRuns(db)
        self._nudged = asyncio.Event()
        self._heard = 0.0
        engine.hold(DRAWINGS, lambda: gpu.is_taken)

    def nudge(self) -> None:
        """Somebody has moved a run."""
        self._nudged.set()

    async def hold(self) -> None:
        """Before jobs begin: none draws while a run is under way, nor does one of before."""
        self._gpu.is_taken = await self._runs.running() is not None
        if self._gpu.is_taken:
            await self._engine.end_old_workers()

    async def run(self) -> None:
        """Until it is cancelled: the process is let go then, the row and the hold stay."""
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("training cannot be looked after; trying again")
                await asyncio.sleep(self._trouble_s)

    async def _look(self) -> None:
        self._nudged.clear()  # before looking, so that no change is missed
        run = await self._runs.running()
        if run is not None:
            await self._attend(run)
            return
        self._gpu.is_taken = False
        self._engine.wake()
        await self._nudged.wait()

    async def _attend(self, run: TrainingRun) -> None:
        """One process of a run, from before its beginning to its settled end."""
        self._gpu.is_taken = True
        folder = self._folder.resolve(f"models/{run.name}")
        progress = Progress(self._db, run, folder, clock=self._clock)
        try:
            await end_old_trainer(folder, patience_s=self._patience_s)
            await self._take_in(progress, run)  # the last words of the one before
            await self._engine.until_idle(Lane.GPU)
            if why := self._no_room(folder, progress):
                await self._move(run, TrainingState.PAUSED, note=why)
            elif await self._is_wanted(run):
                await self._train(run, folder, progress)
        except UserError as error:
            await self._move(run, TrainingState.FAILED, error=str(error))
        except OSError as error:
            log.exception("training=%s cannot begin", run.name)
            why = f"The training cannot begin ({error.strerror}); look at the disk and try again."
            await self._move(run, TrainingState.FAILED, error=why)

    async def _train(self, run: TrainingRun, folder: Path, progress: Progress) -> None:
        trainer = Trainer(folder, module=self._module)
        log.info("training=%s pid=%d begins", run.name, trainer.pid)
        try:
            code = await self._watch(trainer, run, progress)
        finally:
            # When the bot ends, the trainer saves by itself, and the next start goes on with it.
            await trainer.let_go(patience_s=self._letting_go_s)
        log.info("training=%s pid=%d ended with %d", run.name, trainer.pid, code)
        await self._settle(run, code, trainer, progress)

    async def _watch(self, trainer: Trainer, run: TrainingRun, progress: Progress) -> int:
        begun = self._heard = self._monotonic()
        while (code := trainer.exit_code()) is None:
            await self._take_in(progress, run)
            if trainer.was_asked_to_stop:
                await asyncio.sleep(self._look_s)
                continue
            now = self._monotonic()
            if why := self._why_pause(now - begun, progress):
                await self._move(run, TrainingState.PAUSED, note=why)
            if not await self._is_wanted(run):
                trainer.ask_to_stop(patience_s=self._patience_s)
            elif now - self._heard > LONGEST_SILENCE_S:
                log.warning("training=%s is silent; it is ended and begun again", run.name)
                trainer.kill()
            await self._nudge_or_look()
        while not await self._take_in(progress, run):
            pass  # its last words must be stored before its end is
        return code

    async def _nudge_or_look(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_s):
                await self._nudged.wait()
        self._nudged.clear()

    async def _take_in(self, progress: Progress, run: TrainingRun) -> bool:
        """False when it could not be stored, after a while."""
        try:
            if await progress.take_in():
                self._heard = self._monotonic()
                self._on_event(run.id)
        except StorageUnusable as error:
            log.error(
                "training=%s goes on, but how far it is cannot be stored (%s); look at the disk "
                "and at who may write in DATA_DIR",
                run.name,
                error,
            )
            await asyncio.sleep(self._trouble_s)
            return False
        return True

    async def _is_wanted(self, run: TrainingRun) -> bool:
        try:
            return (await self._runs.get(run.id)).state is TrainingState.RUNNING
        except StorageUnusable:
            return True

    async def _move(
        self, run: TrainingRun, to: TrainingState, *, note: str = "", error: str = ""
    ) -> None:
        try:
            await self._runs.move(run.id, to, note=note, error=error, now=self._clock())
        except InvalidTransition:
            return  # people were faster
        log.info("training=%s is %s: %s", run.name, to, note or error or "done")
        self._on_event(run.id)

    # Why it does not go on

    def _why_pause(self, lasted_s: float, progress: Progress) -> str:
        if lasted_s > LONGEST_S:
            return f"Paused after {LONGEST_S / 3600:.0f} hours; `/train resume` goes on."
        return self._no_room(progress.folder, progress)

    def _no_room(self, folder: Path, progress: Progress) -> str:
        needed = max(LEAST_FREE_BYTES, CHECKPOINTS_FREE * progress.checkpoint_bytes)
        free = self._free_bytes(folder)
        if free >= needed:
            return ""
        return (
            f"Paused: {free / 1e9:.1f} GB of disk are free, and checkpoints need "
            f"{needed / 1e9:.1f} GB; make room and `/train resume`."
        )

    async def _settle(
        self, run: TrainingRun, code: int, trainer: Trainer, progress: Progress
    ) -> None:
        if code == Exit.FINISHED:
            await self._move(run, TrainingState.FINISHED)
        elif code == Exit.REFUSED:
            why = progress.error or trainer.last_words() or "The trainer gives no reason."
            await self._move(run, TrainingState.FAILED, error=why)
        elif not trainer.was_asked_to_stop:
            await self._died(run, code)
        self._on_event(run.id)

    async def _died(self, run: TrainingRun, code: int) -> None:
        restarts = (await self._runs.get(run.id)).restarts + 1
        if restarts > MOST_RESTARTS:
            await self._move(run, TrainingState.FAILED, error=_why_dead(run, code))
            return
        log.warning("training=%s has died (%d); begun again, no. %d", run.name, code, restarts)
        await self._runs.restarted(run.id, restarts)
        await asyncio.sleep(self._restart_s)


def _why_dead(run: TrainingRun, code: int) -> str:
    log_file = f"models/{run.name}/trainer.log"
    if code == -signal.SIGKILL:
        return (
            f"The trainer was killed {MOST_RESTARTS + 1} times in a row, as the system does when "
            "memory runs out; close other programs and `/train resume`, or start anew with "
            "gradient_checkpointing, mixed_precision or a smaller resolution (see "
            f"models/{run.name}/config.yaml)."
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return (
        f"The trainer ended {MOST_RESTARTS + 1} times in a row without a new checkpoint ({how}); "
        f"the end of {log_file} says why."
    )
