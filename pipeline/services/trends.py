"""What people can ask for about trends: fetch them, look at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pipeline.engine import Engine
from storage.database import Database
from storage.jobs import Jobs
from storage.records import Job, Trend
from storage.trends import Trends


class TrendService:
    def __init__(self, *, db: Database, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._jobs = Jobs(db)
        self._trends = Trends(db)

    async def fetch(self) -> Job:
        """Ask the sources now; a fetch that is under way already is the one returned."""
        for job in await self._jobs.open():
            if job.stage == "trends" and job.episode_id is None:
                return job
        return await self._engine.queue("trends", until_stage="trends")

    async def are_of_today(self) -> bool:
        """Whether a fetch of today has stored any topic; a day ends at midnight UTC."""
        today = self._clock().astimezone(UTC).date().isoformat()
        return any(trend.day == today for trend in await self._trends.newest(1))

    async def listed(self, *, days: int = 7, limit: int = 10) -> list[Trend]:
        """The newest first; used and refused ones are there too, each says so."""
        since = (self._clock() - timedelta(days=days)).date().isoformat()
        return [trend for trend in await self._trends.newest(limit) if trend.day >= since]

    async def history(self) -> list[Job]:
        """The newest fetches first, also those that found nothing."""
        jobs = await self._jobs.history(50)
        return [job for job in jobs if job.stage == "trends"]

    async def fresh(self, limit: int = 25) -> list[Trend]:
        """Topics that may be used now, the best first."""
        return await self._trends.unused(since=self._clock() - timedelta(days=1), limit=limit)
