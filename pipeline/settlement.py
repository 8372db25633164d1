"""What becomes of an attempt: done, tried again, failed or cancelled; one transaction each."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pipeline.attempts import NOT_ARTEFACTS, ErrorKind, Outcome, OutcomeState
from pipeline.budget import Budget
from pipeline.context import paid_folder, receipts_file
from pipeline.errors import UserError
from pipeline.ledger import read_receipts
from pipeline.sections import Section
from pipeline.workflow import SECTIONS, Workflow
from storage.database import Database
from storage.episodes import SECTIONS as STORED_SECTIONS
from storage.episodes import Episodes
from storage.errors import InvalidTransition, RecordNotFound
from storage.files import move_files
from storage.folder import DataFolder
from storage.jobs import OPEN, Jobs
from storage.metrics import Metrics
from storage.records import Job
from storage.states import EpisodeState, JobState

log = logging.getLogger(__name__)

INTERRUPTIONS = 5
"""How often the end of the bot may interrupt a job for free; a job that ends the bot is bounded."""
FIRST_DELAY_S: Mapping[ErrorKind, float] = {ErrorKind.PROVIDER: 5.0}
LONGEST_DELAY_S = 600.0
CLOSED = (EpisodeState.REJECTED, EpisodeState.SPOILED, EpisodeState.PUBLISHED)


class EventKind(StrEnum):
    QUEUED = "queued"
    STARTED = "started"
    PROGRESS = "progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRYING = "retrying"
    WAITING = "waiting"  # for the budget; `error` says how it goes on


@dataclass(frozen=True)
class JobEvent:
    """Told after it is stored; `job` is the row as it is now."""

    kind: EventKind
    job: Job

    @property
    def error(self) -> str:
        return self.job.error


class Hooks(Protocol):
    """What the engine asks and tells the services; the last two run inside its transaction."""

    async def facts(self, job: Job, stage: str) -> dict[str, Section]:
        """The arguments of the stage that come from the database."""

    async def settled(self, job: Job, stage: str, result: Section) -> None:
        """Make rows of the result; UserError fails the job and undoes everything."""

    async def failed(self, job: Job) -> None: ...


class Settlement:
    def __init__(
        self,
        database: Database,
        folder: DataFolder,
        *,
        workflow: Workflow,
        hooks: Hooks,
        budget: Budget,
        clock: Callable[[], datetime],
        tell: Callable[[JobEvent], None],
        chance: Callable[[], float],
    ) -> None:
        """`chance` gives numbers in [0, 1) for the jitter."""
        self._db = database
        self._folder = folder
        self._workflow = workflow
        self._hooks = hooks
        self._budget = budget
        self._clock = clock
        self._tell = tell
        self._chance = chance
        self._jobs = Jobs(database)
        self._episodes = Episodes(database)
        self._metrics = Metrics(database)

    async def settle(self, job: Job, outcome: Outcome) -> None:
        """Store how the running job's attempt ended, and what follows from it."""
        if outcome.trace:
            log.error("job=%d stage=%s failed:\n%s", job.id, job.stage, outcome.trace)
        job = await self._jobs.get(job.id)
        if job.cancel_asked or outcome.state is OutcomeState.CANCELLED:
            await self._cancel(job, outcome.error)
        elif outcome.state is OutcomeState.SUCCEEDED:
            await self._succeed(job, outcome)
        elif outcome.error_kind is ErrorKind.BUDGET:
            await self._wait(job, outcome)
        else:
            await self._fail(job, outcome)
        await self._sweep(job)

    async def interrupted(self, job: Job) -> None:
        """The bot ended during the attempt: queue it again, unless that happens all the time."""
        ceiling = self._workflow.stage(job.stage).attempts + INTERRUPTIONS + job.waits
        job = await self._jobs.get(job.id)
        if job.cancel_asked:
            await self._cancel(job, "")
        elif job.attempt >= ceiling:
            await self._fail(
                job,
                Outcome(
                    state=OutcomeState.FAILED,
                    error_kind=ErrorKind.INTERRUPTED,
                    error=f"The {job.stage} stage was interrupted {job.attempt} times; "
                    "look at the memory of the machine before you try again.",
                ),
            )
        else:
            async with self._paying(job):
                job = await self._jobs.give_back(job.id, now=self._clock(), ceiling=ceiling)
            self._tell(JobEvent(EventKind.QUEUED, job))
        await self._sweep(job)

    async def why_not(self, job: Job) -> str:
        """Why a job is not worth an attempt any more; empty when it is."""
        if job.episode_id is None:
            return ""
        episode = await self._episodes.get(job.episode_id)
        if episode.revision != job.revision:
            return f"Episode {episode.id} has moved on to revision {episode.revision}."
        if episode.state in CLOSED:
            return f"Episode {episode.id} is {episode.state}."
        return ""

    async def _succeed(self, job: Job, outcome: Outcome) -> None:
        result = SECTIONS[job.stage].model_validate_json(outcome.result)
        if job.episode_id is not None and job.revision is not None:
            # Before the commit: a section in the database always has its files.
            await asyncio.to_thread(
                move_files,
                self._folder.attempt(job.id, job.attempt),
                self._folder.revision(job.episode_id, job.revision),
                leave=NOT_ARTEFACTS,
            )
        try:
            async with self._paying(job):
                done = await self._jobs.finish(job.id, JobState.SUCCEEDED, now=self._clock())
                await self._keep(done, outcome)
                await self._hooks.settled(done, job.stage, result)
                following = await self._queue_next(done)
        except (UserError, RecordNotFound, InvalidTransition) as error:
            refused = Outcome(
                state=OutcomeState.FAILED, error=str(error), error_kind=ErrorKind.USER
            )
            await self._fail(job, refused)
            return
        self._tell(JobEvent(EventKind.SUCCEEDED, done))
        if following is not None:
            self._tell(JobEvent(EventKind.QUEUED, following))

    async def _keep(self, job: Job, outcome: Outcome) -> None:
        if job.episode_id is None or job.revision is None:
            return
        if job.stage in STORED_SECTIONS:
            await self._episodes.save_section(
                job.episode_id, job.revision, job.stage, outcome.result
            )
        await self._metrics.record(
            job.episode_id,
            job.revision,
            stage=job.stage,
            seconds=outcome.seconds,
            peak_rss_mb=outcome.peak_rss_mb,
            now=self._clock(),
        )

    async def _queue_next(self, job: Job) -> Job | None:
        following = self._workflow.after(job.stage)
        if job.stage == job.until_stage or following is None or await self.why_not(job):
            return None
        return await self._jobs.queue(
            following.name,
            episode_id=job.episode_id,
            revision=job.revision,
            until_stage=job.until_stage,
            max_attempts=following.attempts,
            now=self._clock(),
        )

    async def _fail(self, job: Job, outcome: Outcome) -> None:
        kind = outcome.error_kind or ErrorKind.BUG
        if outcome.retryable and job.attempt < job.max_attempts:
            tried = job.attempt - job.waits
            delay = retry_delay_s(kind, tried, outcome.retry_after_s, self._chance())
            async with self._paying(job):
                job = await self._jobs.requeue(
                    job.id,
                    run_after=self._clock() + timedelta(seconds=delay),
                    error=outcome.error,
                    error_kind=kind,
                )
            self._tell(JobEvent(EventKind.RETRYING, job))
            return
        async with self._paying(job):
            job = await self._finish(job, JobState.FAILED, outcome.error, kind)
            await self._hooks.failed(job)
        self._tell(JobEvent(EventKind.FAILED, job))

    async def _wait(self, job: Job, outcome: Outcome) -> None:
        async with self._paying(job):
            await self._jobs.wait(
                job.id,
                run_after=self._budget.look_again(),
                error=outcome.error,
                error_kind=ErrorKind.BUDGET,
            )
        self._tell(JobEvent(EventKind.WAITING, await self._jobs.get(job.id)))

    async def _cancel(self, job: Job, reason: str) -> None:
        async with self._paying(job):
            job = await self._finish(job, JobState.CANCELLED, reason, "")
        self._tell(JobEvent(EventKind.CANCELLED, job))

    async def _finish(self, job: Job, state: JobState, error: str, kind: str) -> Job:
        job = await self._jobs.finish(
            job.id, state, error=error, error_kind=kind, now=self._clock()
        )
        if job.episode_id is not None and job.revision is not None:
            await self._metrics.record(
                job.episode_id,
                job.revision,
                stage=job.stage,
                seconds=0.0,
                result=state.value,
                now=self._clock(),
            )
        return job

    @asynccontextmanager
    async def _paying(self, job: Job) -> AsyncIterator[None]:
        """A transaction that also books what the attempt has paid, and frees the rest."""
        file = receipts_file(self._folder.path, job.id, job.attempt)
        receipts = await asyncio.to_thread(read_receipts, file)
        async with self._db.transaction():
            yield
            booked = await self._budget.book(job, receipts)
            if job.episode_id is not None and job.revision is not None:
                await self._metrics.add_cost(
                    job.episode_id, job.revision, booked, now=self._clock()
                )
            waiting = await self._jobs.queued_because(ErrorKind.BUDGET)
            free = await self._budget.with_more_room(waiting)
            await self._jobs.hurry(free, now=self._clock())

    async def forget_paid(self, job_id: int) -> None:
        """Remove the answers a final job has paid for; it must be booked and committed."""
        folder = paid_folder(self._folder.path, job_id)
        async with self._db.transaction():  # nobody claims it again meanwhile
            job = await self._jobs.get(job_id)
            if job.state in OPEN:
                return
            self._budget.forget(job_id)
            aside = folder.with_name(f"{job_id}-{job.attempt}.old")
            if folder.exists():
                folder.rename(aside)
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    async def forget_all_paid(self) -> None:
        """The same for every folder that an earlier run left behind."""
        folders = list(self._folder.paid.glob("*"))
        keep = {str(job.id) for job in await self._jobs.open()}
        for folder in folders:
            if folder.name not in keep:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _sweep(self, job: Job) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder.job(job.id), ignore_errors=True)


def retry_delay_s(
    kind: ErrorKind, attempt: int, retry_after_s: float | None, chance: float
) -> float:
    """Doubles with each attempt, up to a quarter more by chance; never less than was asked for."""
    delay = min(FIRST_DELAY_S.get(kind, 1.0) * 2.0 ** (attempt - 1), LONGEST_DELAY_S)
    return max(delay, retry_after_s or 0.0) * (1 + chance / 4)
