"""What people can ask for about trends: fetch them, look at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pipeline.engine import Engine
from pipeline.facts import Sources
from pipeline.providers.trends.patience import without_rests
from pipeline.services.topics import TopicBook
from storage.database import Database
from storage.jobs import Jobs
from storage.records import Job, Trend, TrendSource
from storage.trend_sources import TrendSources
from storage.trends import Trends


class TrendService:
    def __init__(self, *, db: Database, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._jobs = Jobs(db)
        self._trends = Trends(db)
        self._sources = TrendSources(db)
        self._book = TopicBook(db, clock=clock)

    async def fetch(self, *, insist: bool = False) -> Job:
        """Ask the sources now; a fetch that is under way already is the one returned.

        Who insists also has those asked that rest after failures, because a person may just have
        mended the reason; a time that a source has named itself is kept all the same.
        """
        for job in await self._jobs.open():
            if job.stage == "trends" and job.episode_id is None:
                return job
        if not insist:
            return await self._engine.queue("trends", until_stage="trends")
        known = (await self._book.sources()).states
        facts = {"sources": Sources(states=without_rests(known))}
        return await self._engine.queue("trends", until_stage="trends", facts=facts)

    async def failing(self) -> list[TrendSource]:
        """Sources that did not answer when they were last asked, the worst first."""
        return await self._sources.failing()

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
