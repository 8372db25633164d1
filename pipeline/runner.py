"""One attempt, from its inputs to its outcome; stores nothing but progress."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.attempts import (
    ErrorKind,
    Outcome,
    OutcomeState,
    ProgressTail,
    Request,
    read_outcome,
)
from pipeline.config import StudioConfig
from pipeline.errors import UserError
from pipeline.executors import CallFailed, Executor, WorkerDied, WorkerTimeout
from pipeline.settlement import EventKind, Hooks, JobEvent
from pipeline.shows import Show
from pipeline.worker import run_stage
from pipeline.workflow import Lane, Stage
from storage.database import Database
from storage.episodes import Episodes
from storage.errors import RecordNotFound, StorageUnusable
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.records import Job

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 0.5


@dataclass
class Attempt:
    """A claimed job on its way; `future` is there once a worker has it."""

    job: Job
    stage: Stage
    folder: Path
    allowance_usd: float | None = None
    task: asyncio.Task[None] | None = None
    future: Future[str] | None = None


class Runner:
    def __init__(
        self,
        database: Database,
        folder: DataFolder,
        *,
        executors: Mapping[Lane, Executor],
        config: StudioConfig,
        show: Show,
        hooks: Hooks,
        tell: Callable[[JobEvent], None],
    ) -> None:
        self._folder = folder
        self._executors = executors
        self._config = config
        self._show = show
        self._hooks = hooks
        self._tell = tell
        self._jobs = Jobs(database)
        self._episodes = Episodes(database)
        self._stopping = False

    def stop(self) -> None:
        """Start nothing any more; what dies from now on was interrupted and has no outcome."""
        self._stopping = True

    async def outcome(self, attempt: Attempt) -> Outcome | None:
        """Run the attempt to its end; None when the bot's own end interrupted it.

        StorageUnusable when it cannot even begin.
        """
        job, stage = attempt.job, attempt.stage
        try:
            request = await self._prepare(attempt)
            self._tell(JobEvent(EventKind.STARTED, job))
            outcome = await self._run(attempt, request)
            # A stage that pays is asked to stop at a clean place when the bot ends.
            is_ours = self._stopping and outcome.state is OutcomeState.CANCELLED
            return None if is_ours else outcome
        except (UserError, RecordNotFound) as error:
            return _failed(ErrorKind.USER, str(error), retryable=False)
        except WorkerDied:
            if self._stopping:
                return None
            return _failed(
                ErrorKind.WORKER_DIED, f"The process of the {stage.name} stage was killed."
            )
        except WorkerTimeout:
            return _failed(
                ErrorKind.TIMEOUT,
                f"The {stage.name} stage took longer than {stage.timeout_s:g} s and was ended.",
            )
        except CallFailed as error:
            return internal_error(job, str(error))
        except StorageUnusable:
            raise
        except Exception:
            return internal_error(job, traceback.format_exc())

    async def _prepare(self, attempt: Attempt) -> Request:
        job, stage = attempt.job, attempt.stage
        known = await self.known(job)
        if missing := [name for name in stage.inputs if name not in known]:
            raise UserError(
                f"The {stage.name} stage needs the {missing[0]}, which is not made yet; "
                "make that first."
            )
        try:
            await asyncio.to_thread(_make_anew, attempt.folder)
        except OSError as error:
            raise StorageUnusable(
                f"The folder {attempt.folder} cannot be made: {error}."
            ) from error
        episode, revision = job.episode_id or 0, job.revision or 0
        return Request(
            job=job.id,
            attempt=job.attempt,
            stage=stage.name,
            module=stage.module_name,
            episode=episode,
            revision=revision,
            show=self._show.name,
            data_dir=str(self._folder.path),
            folder=str(attempt.folder),
            revision_folder=str(self._folder.revision(episode, revision)),
            inputs={name: known[name] for name in stage.inputs},
            allowance_usd=attempt.allowance_usd,
        )

    async def known(self, job: Job) -> dict[str, Any]:
        """Facts of the services, then those fixed when the job was queued, then the sections."""
        facts = await self._hooks.facts(job, job.stage)
        known: dict[str, Any] = {name: f.model_dump(mode="json") for name, f in facts.items()}
        known |= json.loads(job.facts)
        if job.episode_id is not None and job.revision is not None:
            revision = await self._episodes.revision(job.episode_id, job.revision)
            known |= {name: json.loads(text) for name, text in revision.sections.items()}
        return known

    async def _run(self, attempt: Attempt, request: Request) -> Outcome:
        if self._stopping:
            raise WorkerDied
        stage = attempt.stage
        attempt.future = self._executors[stage.lane].submit(
            run_stage,
            request.model_dump_json(),
            self._config.for_stage(stage.name),
            timeout_s=stage.timeout_s,
            fresh=stage.fresh,
        )
        answer = asyncio.wrap_future(attempt.future)
        tail = ProgressTail(attempt.folder)
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=PROGRESS_EVERY_S)
                await self._report(attempt.job, tail)
        finally:
            if not answer.done():  # nobody waits any more, so the worker must not go on
                answer.cancel()
                self._executors[stage.lane].cancel(attempt.future)
        try:
            return Outcome.model_validate_json(await answer)
        except (WorkerDied, WorkerTimeout):
            # It may have been killed between writing the outcome and telling us.
            if outcome := read_outcome(attempt.folder):
                return outcome
            raise

    async def _report(self, job: Job, tail: ProgressTail) -> None:
        try:
            if (news := tail.latest()) is None:
                return
            await self._jobs.progress(job.id, *news)
            self._tell(JobEvent(EventKind.PROGRESS, await self._jobs.get(job.id)))
        except Exception:
            # Progress is a courtesy; without it the stage is as good as with it.
            log.exception("job=%d its progress cannot be told", job.id)


def internal_error(job: Job, trace: str, *, retryable: bool = True) -> Outcome:
    """A bug of ours; the traceback goes to the log only."""
    return _failed(
        ErrorKind.BUG,
        f"An internal error stopped the {job.stage} stage (job {job.id}); the log has the details.",
        trace=trace,
        retryable=retryable,
    )


def _failed(kind: ErrorKind, error: str, *, trace: str = "", retryable: bool = True) -> Outcome:
    return Outcome(
        state=OutcomeState.FAILED, error=error, error_kind=kind, retryable=retryable, trace=trace
    )


def _make_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
