"""Claims due jobs, runs them on an executor, settles the outcome; nothing is lost in between.

A job is claimed, run in a folder of its own, and settled in one transaction. Whatever ends the
bot, the next start finds running jobs with an outcome (settled then) or without (queued again).
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
import shutil
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pipeline.attempts import ErrorKind, Outcome, OutcomeState, read_outcome
from pipeline.budget import Budget
from pipeline.config import StudioConfig
from pipeline.context import CANCEL_FILE, receipts_file
from pipeline.executors import Executor, end_old_workers
from pipeline.ledger import read_receipts
from pipeline.runner import Attempt, Runner, internal_error
from pipeline.sections import Section
from pipeline.settlement import EventKind, Hooks, JobEvent, Settlement
from pipeline.shows import Show
from pipeline.workflow import WORKFLOW, Lane, Workflow
from storage.database import Database
from storage.errors import StorageUnusable
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.records import Job
from storage.states import JobState

__all__ = ["Engine", "EventKind", "Hooks", "JobEvent"]

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0
"""The longest sleep: the wall clock may have been set meanwhile."""
AFTER_TROUBLE_S = 5.0
CALLS_S = 3.0
"""How long a stop waits for paid calls under way: with the posts' 5 s it must end within 10."""
LOOK_AT_CALLS_S = 0.05


def utc_now() -> datetime:
    return datetime.now(UTC)


class Engine:
    def __init__(
        self,
        database: Database,
        folder: DataFolder,
        *,
        executors: Mapping[Lane, Executor],
        config: StudioConfig,
        show: Show,
        hooks: Hooks,
        on_event: Callable[[JobEvent], None] = lambda event: None,
        clock: Callable[[], datetime] = utc_now,
        budget: Budget | None = None,
        greatest_usd: Callable[[str, Mapping[str, Any]], float] = lambda stage, known: 0.0,
        workflow: Workflow = WORKFLOW,
        cancel_grace_s: float = 3.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`on_event` must not block; `cancel_grace_s` is what a cancelled stage has at least.

        Without a `budget` everything is booked and nothing waits; with one, `greatest_usd` says
        what a stage may cost, given its sections and facts.
        """
        self._db = database
        self._folder = folder
        self._executors = executors
        self._on_event = on_event
        self._clock = clock
        self._workflow = workflow
        self._cancel_grace_s = cancel_grace_s
        self._jobs = Jobs(database)
        self._budget = budget or Budget(database, clock=clock)
        self._greatest_usd = greatest_usd
        self._settlement = Settlement(
            database,
            folder,
            workflow=workflow,
            hooks=hooks,
            budget=self._budget,
            clock=clock,
            tell=self._tell,
            chance=chance,
        )
        self._runner = Runner(
            database,
            folder,
            executors=executors,
            config=config,
            show=show,
            hooks=hooks,
            tell=self._tell,
        )
        self._attempts: dict[int, Attempt] = {}
        self._helpers: set[asyncio.Task[None]] = set()
        self._holds: dict[str, Callable[[], bool]] = {}
        self._claiming = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._awake = asyncio.Event()
        self._changed = asyncio.Event()
        self._is_alone = False
        self._stopping = False

    async def end_old_workers(self) -> None:
        """End what an earlier run left; once, as later on the workers there are our own."""
        if not self._is_alone:
            await asyncio.to_thread(end_old_workers, self._folder.run)
            self._is_alone = True

    async def start(self) -> None:
        """Bring what an earlier run left behind to an end, then work."""
        await self.end_old_workers()
        await self._recover()
        await self._try_those_without_budget()
        self._loop = asyncio.create_task(self._work(), name="engine")

    def wake(self) -> None:
        """Look for due jobs now."""
        self._awake.set()

    def hold(self, stage: str, is_held: Callable[[], bool]) -> None:
        """Begin no job of a stage while `is_held()`; `wake` when that has changed."""
        self._holds[stage] = is_held

    async def until_idle(self, lane: Lane) -> None:
        """Wait for the jobs of a lane that are under way now, not for those that follow."""
        async with self._claiming:  # what is claimed already is to be among them
            attempts = [a for a in self._attempts.values() if a.stage.lane is lane]
        if tasks := [attempt.task for attempt in attempts if attempt.task is not None]:
            await asyncio.wait(tasks)

    def is_alive(self) -> bool:
        """Whether it looks for due jobs: started, not stopped, and not ended by an error."""
        return self._loop is not None and not self._loop.done()

    async def watch(self) -> None:
        """Wait for the end of the work that `start` began; raise the error that ended it."""
        if self._loop is None:
            raise RuntimeError("an engine is watched after its start")
        await asyncio.wait({self._loop})
        if not self._loop.cancelled():
            self._loop.result()

    async def stop(self, *, grace_s: float = 8.0) -> None:
        """End all workers; their jobs are queued again. Safe to call twice."""
        self._stopping = True
        self._runner.stop()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self._finish_calls()
        await asyncio.gather(*(asyncio.to_thread(e.close) for e in self._executors.values()))
        tasks = [a.task for a in self._attempts.values() if a.task is not None]
        tasks += self._helpers
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _finish_calls(self) -> None:
        """A moment for what is being paid for right now: cut off, it would be paid again."""
        paying = [attempt for attempt in self._attempts.values() if self._is_paying(attempt)]
        for attempt in paying:
            with suppress(OSError):
                (attempt.folder / CANCEL_FILE).touch()  # begin no other call
        for _ in range(round(CALLS_S / LOOK_AT_CALLS_S)):
            if not any(self._is_paying(attempt) for attempt in paying):
                break
            await asyncio.sleep(LOOK_AT_CALLS_S)

    def _is_paying(self, attempt: Attempt) -> bool:
        if attempt.task is None or attempt.task.done():
            return False
        job = attempt.job
        receipts = read_receipts(receipts_file(self._folder.path, job.id, job.attempt))
        return any(not receipt.is_certain for receipt in receipts)

    async def queue(
        self,
        stage: str,
        *,
        episode_id: int | None = None,
        revision: int | None = None,
        until_stage: str | None = None,
        facts: Mapping[str, Section] | None = None,
        run_after: datetime | None = None,
    ) -> Job:
        """Queue a stage, and those after it up to `until_stage` (default: this one alone).

        The job that is open already when there is one. Joins the caller's transaction.
        """
        given = {name: fact.model_dump(mode="json") for name, fact in (facts or {}).items()}
        job = await self._jobs.queue(
            stage,
            until_stage=until_stage or stage,
            max_attempts=self._workflow.stage(stage).attempts,
            episode_id=episode_id,
            revision=revision,
            run_after=run_after,
            facts=json.dumps(given),
            now=self._clock(),
        )
        self._tell(JobEvent(EventKind.QUEUED, job))
        self.wake()
        return job

    async def retry(self, job_id: int) -> Job:
        """Queue a failed job again; InvalidTransition when it has not failed."""
        job = await self._jobs.get(job_id)
        attempts = self._workflow.stage(job.stage).attempts
        job = await self._jobs.retry(job_id, attempts=attempts, now=self._clock())
        self._tell(JobEvent(EventKind.QUEUED, job))
        self.wake()
        return job

    async def cancel(self, job_id: int) -> Job:
        """Stop a job: a queued one at once, a running one cleanly or, after a grace, by force."""
        job = await self._jobs.cancel(job_id, now=self._clock())
        if job.state is JobState.CANCELLED:
            self._tell(JobEvent(EventKind.CANCELLED, job))
            self._help(self._forget_paid(job_id), f"forget job={job_id}")
        elif attempt := self._attempts.get(job_id):
            self._help(self._end(attempt), f"cancel job={job_id}")
        else:  # left as it was by an attempt that could not be settled
            await self._settlement.settle(job, Outcome(state=OutcomeState.CANCELLED))
            self._help(self._forget_paid(job_id), f"forget job={job_id}")
            job = await self._jobs.get(job_id)
        return job

    def _help(self, work: Coroutine[None, None, None], name: str) -> None:
        """In a task of its own, which is outside of the caller's transaction."""
        helper = asyncio.create_task(work, name=name)
        self._helpers.add(helper)
        helper.add_done_callback(self._helpers.discard)

    async def finished(self, episode_id: int | None = None, *, or_waiting: bool = False) -> None:
        """Wait until the episode (or everything) has no open job.

        `or_waiting` also ends when all that is open waits for the budget.
        """
        while True:
            changed = self._changed  # before looking, so that no change is missed
            jobs = await self._jobs.open(episode_id)
            if or_waiting:
                jobs = [job for job in jobs if not self._waits(job)]
            if not jobs and not self._attending(episode_id):
                return
            await changed.wait()

    def _waits(self, job: Job) -> bool:
        is_queued = job.state is JobState.QUEUED
        return is_queued and job.error_kind == ErrorKind.BUDGET and job.run_after > self._clock()

    def _attending(self, episode_id: int | None) -> bool:
        return any(episode_id in (None, a.job.episode_id) for a in self._attempts.values())

    async def _recover(self) -> None:
        for job in await self._jobs.running():
            outcome = read_outcome(self._folder.attempt(job.id, job.attempt))
            if outcome and outcome.state is OutcomeState.CANCELLED and not job.cancel_asked:
                outcome = None  # it was the bot that stopped, while a paid call was under way
            how = "was interrupted" if outcome is None else "had finished; settling it"
            log.info("job=%d stage=%s %s", job.id, job.stage, how)
            try:
                await self._settle(job, outcome)
            except Exception:
                if self._stopping:
                    raise
                # One job that nobody can settle must not keep the bot from starting.
                log.exception("job=%d stage=%s was left as it is", job.id, job.stage)
        # What is left belongs to jobs that were settled just before the end.
        await asyncio.to_thread(shutil.rmtree, self._folder.jobs, ignore_errors=True)
        await self._settlement.forget_all_paid()

    async def _try_those_without_budget(self) -> None:
        """Somebody may have raised the budget while the bot was away."""
        waiting = await self._jobs.queued_because(ErrorKind.BUDGET)
        await self._jobs.hurry([job.id for job in waiting], now=self._clock())

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            try:
                for lane in self._executors:
                    await self._claim(lane)
                timeout_s = await self._idle_s()
            except StorageUnusable:
                log.exception("the engine cannot read its jobs; it tries again")
                timeout_s = AFTER_TROUBLE_S
            try:
                async with asyncio.timeout(timeout_s):
                    await self._awake.wait()
            except TimeoutError:
                pass

    async def _claim(self, lane: Lane) -> None:
        async with self._claiming:
            free, stages = self._free(lane), self._stages(lane)
            if free <= 0 or not stages:
                return
            async with self._db.transaction():  # a claim and what it may spend are one
                jobs = await self._jobs.claim_due(self._clock(), stages, free)
                allowances = [await self._allowance_usd(job) for job in jobs]
            for job, allowance_usd in zip(jobs, allowances, strict=True):
                folder = self._folder.attempt(job.id, job.attempt)
                attempt = Attempt(job, self._workflow.stage(job.stage), folder, allowance_usd)
                self._attempts[job.id] = attempt
                attempt.task = asyncio.create_task(self._attend(attempt), name=f"job={job.id}")

    async def _allowance_usd(self, job: Job) -> float | None:
        """Set aside the greatest cost of the job; None when there is no budget."""
        if not self._budget.is_limited:
            return None
        try:
            greatest_usd = self._greatest_usd(job.stage, await self._runner.known(job))
        except StorageUnusable:
            raise
        except Exception:
            # The attempt will say what is wrong with its inputs, or spend what is left at most.
            log.exception("job=%d its greatest cost is not known", job.id)
            greatest_usd = math.inf
        return await self._budget.reserve(job, greatest_usd)

    async def _idle_s(self) -> float:
        stages = [
            name for lane in self._executors if self._free(lane) > 0 for name in self._stages(lane)
        ]
        due = await self._jobs.next_due(stages) if stages else None
        if due is None:
            return LOOK_AGAIN_S
        return min(max((due - self._clock()).total_seconds(), 0.0), LOOK_AGAIN_S)

    def _stages(self, lane: Lane) -> tuple[str, ...]:
        """Those that nobody holds."""
        names = self._workflow.names_in(lane)
        return tuple(n for n in names if n not in self._holds or not self._holds[n]())

    def _free(self, lane: Lane) -> int:
        busy = sum(attempt.stage.lane is lane for attempt in self._attempts.values())
        return self._executors[lane].workers - busy

    async def _attend(self, attempt: Attempt) -> None:
        job = attempt.job
        try:
            await self._settle(job, await self._outcome(attempt))
            await self._forget_paid(job.id)
        except Exception:
            # It is still running in the database, so the next start settles it.
            log.exception("job=%d stage=%s was left as it is", job.id, job.stage)
        finally:
            del self._attempts[job.id]
            self._note_change()
            self.wake()

    async def _forget_paid(self, job_id: int) -> None:
        try:
            await self._settlement.forget_paid(job_id)
        except (StorageUnusable, OSError):
            log.exception("job=%d what it paid for is removed at the next start", job_id)

    async def _outcome(self, attempt: Attempt) -> Outcome | None:
        """As often as it takes to begin: a full disk must not cost a job its attempts."""
        while True:
            try:
                if reason := await self._settlement.why_not(attempt.job):
                    return Outcome(state=OutcomeState.CANCELLED, error=reason)
                return await self._runner.outcome(attempt)
            except StorageUnusable:
                if self._stopping:
                    return None
                log.exception("job=%d cannot begin; trying again", attempt.job.id)
                await asyncio.sleep(AFTER_TROUBLE_S)

    async def _settle(self, job: Job, outcome: Outcome | None) -> None:
        """As often as it takes: a full disk must not cost a finished stage."""
        while True:
            try:
                if outcome is None:
                    await self._settlement.interrupted(job)
                else:
                    await self._settlement.settle(job, outcome)
                return
            except (StorageUnusable, OSError) as error:
                if self._stopping:
                    raise
                log.error(
                    "job=%d is done and cannot be stored (%s); look at the disk and at who may "
                    "write in DATA_DIR, it is tried again",
                    job.id,
                    error,
                )
                await asyncio.sleep(AFTER_TROUBLE_S)
            except Exception:
                if outcome is not None and outcome.state is not OutcomeState.SUCCEEDED:
                    raise
                outcome = internal_error(job, traceback.format_exc(), retryable=False)

    async def _end(self, attempt: Attempt) -> None:
        assert attempt.task is not None
        if attempt.folder.exists():
            (attempt.folder / CANCEL_FILE).touch()
        grace_s = max(self._cancel_grace_s, attempt.stage.grace_s)
        await asyncio.wait({attempt.task}, timeout=grace_s)
        if not attempt.task.done() and attempt.future is not None:
            self._executors[attempt.stage.lane].cancel(attempt.future)

    def _tell(self, event: JobEvent) -> None:
        job, kind = event.job, event.kind
        level = logging.DEBUG if kind is EventKind.PROGRESS else logging.INFO
        log.log(level, "job=%d episode=%s stage=%s %s", job.id, job.episode_id, job.stage, kind)
        self._note_change()
        try:
            self._on_event(event)
        except Exception:
            log.exception("job=%d the listener failed", job.id)

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
