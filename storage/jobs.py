"""Durable jobs: queued, claimed by compare-and-set, settled once."""

from collections.abc import Collection, Iterable
from datetime import datetime

from storage.database import Database, Value
from storage.errors import InvalidTransition, RecordNotFound
from storage.records import Job, from_row, to_text
from storage.states import JOB_MOVES, JobState

OPEN = (JobState.QUEUED, JobState.RUNNING)


class Jobs:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def queue(
        self,
        stage: str,
        *,
        until_stage: str,
        max_attempts: int,
        now: datetime,
        episode_id: int | None = None,
        revision: int | None = None,
        run_after: datetime | None = None,
        facts: str = "{}",
    ) -> Job:
        """The open job of this revision and stage: the one that is there already, or a new one."""
        async with self._db.transaction():
            row = await self._db.fetch_one(
                "INSERT INTO jobs (episode_id, revision, stage, until_stage, max_attempts,"
                " run_after, facts, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING RETURNING *",
                (
                    *(episode_id, revision, stage, until_stage, max_attempts),
                    *(to_text(run_after or now), facts, to_text(now)),
                ),
            )
            if row is None:
                row = await self._db.fetch_one(
                    "SELECT * FROM jobs WHERE episode_id = ? AND revision = ? AND stage = ?"
                    " AND state IN (?, ?)",
                    (episode_id, revision, stage, *OPEN),
                )
            assert row is not None
        return from_row(Job, row)

    async def get(self, job_id: int) -> Job:
        row = await self._db.fetch_one("SELECT * FROM jobs WHERE id = ?", (job_id,))
        if row is None:
            raise RecordNotFound(f"There is no job {job_id}.")
        return from_row(Job, row)

    async def claim_due(self, now: datetime, stages: Collection[str], limit: int) -> list[Job]:
        """Start the attempts that are due, the longest waiting first; nobody else gets them."""
        rows = await self._db.fetch_all(
            "UPDATE jobs SET state = ?, attempt = attempt + 1, started_at = ?, fraction = 0,"
            " note = '', error = '', error_kind = '' WHERE state = ? AND id IN ("
            " SELECT id FROM jobs WHERE state = ? AND run_after <= ?"
            f" AND stage IN ({_marks(stages)}) ORDER BY run_after, id LIMIT ?) RETURNING *",
            (
                *(JobState.RUNNING, to_text(now), JobState.QUEUED),
                *(JobState.QUEUED, to_text(now)),
                *stages,
                limit,
            ),
        )
        return sorted((from_row(Job, row) for row in rows), key=lambda job: job.id)

    async def next_due(self, stages: Collection[str]) -> datetime | None:
        """When the first queued job may start; in the past when it only waits for a worker."""
        row = await self._db.fetch_one(
            f"SELECT min(run_after) FROM jobs WHERE state = ? AND stage IN ({_marks(stages)})",
            (JobState.QUEUED, *stages),
        )
        return datetime.fromisoformat(row[0]) if row and row[0] else None

    async def finish(
        self, job_id: int, to: JobState, *, now: datetime, error: str = "", error_kind: str = ""
    ) -> Job:
        """Settle a running job as succeeded, failed or cancelled."""
        return await self._move(
            job_id,
            to,
            "finished_at = ?, error = ?, error_kind = ?, fraction = iif(?, 1, fraction)",
            (to_text(now), error, error_kind, to is JobState.SUCCEEDED),
        )

    async def requeue(
        self, job_id: int, *, run_after: datetime, error: str = "", error_kind: str = ""
    ) -> Job:
        """Give a running job back for another attempt."""
        return await self._move(
            job_id,
            JobState.QUEUED,
            "run_after = ?, error = ?, error_kind = ?",
            (to_text(run_after), error, error_kind),
        )

    async def wait(self, job_id: int, *, run_after: datetime, error: str, error_kind: str) -> Job:
        """Queue a running job again for later; the attempt costs nothing."""
        return await self._move(
            job_id,
            JobState.QUEUED,
            "run_after = ?, error = ?, error_kind = ?, waits = waits + 1,"
            " max_attempts = max_attempts + 1",
            (to_text(run_after), error, error_kind),
        )

    async def queued_because(self, error_kind: str) -> list[Job]:
        """Queued jobs whose last attempt ended with this kind of error."""
        return await self._where("state = ? AND error_kind = ?", (JobState.QUEUED, error_kind))

    async def hurry(self, job_ids: Collection[int], *, now: datetime) -> None:
        """Make queued jobs due at once."""
        await self._db.execute(
            f"UPDATE jobs SET run_after = min(run_after, ?) WHERE state = ?"
            f" AND id IN ({_marks(job_ids)})",
            (to_text(now), JobState.QUEUED, *job_ids),
        )

    async def give_back(self, job_id: int, *, now: datetime, ceiling: int) -> Job:
        """Queue an interrupted job again; the attempt is made good while below `ceiling`."""
        return await self._move(
            job_id,
            JobState.QUEUED,
            "run_after = ?, max_attempts = max(max_attempts, min(max_attempts + 1, ?))",
            (to_text(now), ceiling),
        )

    async def retry(self, job_id: int, *, attempts: int, now: datetime) -> Job:
        """Queue a failed job again, as often as a new one would be tried."""
        return await self._move(
            job_id,
            JobState.QUEUED,
            "run_after = ?, max_attempts = attempt + ?, error = '', error_kind = '',"
            " cancel_asked = 0, finished_at = NULL",
            (to_text(now), attempts),
            sources=(JobState.FAILED,),
        )

    async def cancel(self, job_id: int, *, now: datetime) -> Job:
        """Cancel a queued job at once; of a running one only note that it is asked for."""
        async with self._db.transaction():
            job = await self.get(job_id)
            if job.state is JobState.QUEUED:
                return await self._move(
                    job_id, JobState.CANCELLED, "finished_at = ?, cancel_asked = 1", (to_text(now),)
                )
            if job.state is not JobState.RUNNING:
                raise InvalidTransition(f"Job {job_id} has {job.state} already.")
            await self._db.execute("UPDATE jobs SET cancel_asked = 1 WHERE id = ?", (job_id,))
            return await self.get(job_id)

    async def progress(self, job_id: int, fraction: float, note: str) -> None:
        await self._db.execute(
            "UPDATE jobs SET fraction = ?, note = ? WHERE id = ? AND state = ?",
            (fraction, note, job_id, JobState.RUNNING),
        )

    async def running(self) -> list[Job]:
        return await self._where("state = ?", (JobState.RUNNING,))

    async def open(self, episode_id: int | None = None) -> list[Job]:
        """Queued and running ones, of one episode or of all."""
        return await self._where(
            "state IN (?, ?) AND (? IS NULL OR episode_id = ?)", (*OPEN, episode_id, episode_id)
        )

    async def of_episode(self, episode_id: int) -> list[Job]:
        """All jobs there ever were for it, the oldest first."""
        return await self._where("episode_id = ?", (episode_id,))

    async def history(self, limit: int = 20) -> list[Job]:
        """The newest first."""
        rows = await self._db.fetch_all("SELECT * FROM jobs ORDER BY id DESC LIMIT ?", (limit,))
        return [from_row(Job, row) for row in rows]

    async def _where(self, condition: str, values: Iterable[Value]) -> list[Job]:
        rows = await self._db.fetch_all(
            f"SELECT * FROM jobs WHERE {condition} ORDER BY id", tuple(values)
        )
        return [from_row(Job, row) for row in rows]

    async def _move(
        self,
        job_id: int,
        to: JobState,
        changes: str,
        values: tuple[Value, ...],
        sources: tuple[JobState, ...] = (),
    ) -> Job:
        sources = sources or _sources(to)
        row = await self._db.fetch_one(
            f"UPDATE jobs SET state = ?, {changes} WHERE id = ? AND state IN ({_marks(sources)})"
            " RETURNING *",
            (to, *values, job_id, *sources),
        )
        if row is None:
            job = await self.get(job_id)
            raise InvalidTransition(f"Job {job_id} is {job.state} and cannot become {to}.")
        return from_row(Job, row)


def _sources(to: JobState) -> tuple[JobState, ...]:
    """Where a move may come from; a failed job is queued again by `retry` alone."""
    return tuple(state for state, targets in JOB_MOVES.items() if to in targets and state in OPEN)


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" for _ in values)
