"""What has been spent on what, and what is left; for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.attempts import ErrorKind
from pipeline.budget import Budget
from storage.database import Database
from storage.jobs import Jobs
from storage.records import Job
from storage.spend import PaidCall, Spend, Total

DEAREST = 3
"""So many episodes, and calls without an answer, are named."""


@dataclass(frozen=True)
class Spent:
    """Of a day or a month; `limit_usd` is None when it has no budget."""

    total: Total
    limit_usd: float | None


@dataclass(frozen=True)
class Overview:
    """`left_usd` counts what running jobs have set aside; the parts are of this month."""

    today: Spent
    month: Spent
    left_usd: float | None
    by_provider: Mapping[str | int, Total]
    by_stage: Mapping[str | int, Total]
    by_episode: Mapping[str | int, Total]
    lost: tuple[PaidCall, ...]
    waiting: tuple[Job, ...]


@dataclass(frozen=True)
class EpisodeCost:
    """Of one revision, by provider; `episode` is that of all its revisions."""

    revision: Total
    by_provider: Mapping[str | int, Total]
    by_stage: Mapping[str | int, Total]
    episode: Total


class Spending:
    def __init__(self, db: Database, budget: Budget) -> None:
        self._budget = budget
        self._spend = Spend(db)
        self._jobs = Jobs(db)

    async def overview(self) -> Overview:
        """Today and this month, as TIMEZONE has them."""
        day, month = self._budget.day(), self._budget.month()
        by_episode = await self._spend.totals("episode_id", since=month.start)
        return Overview(
            today=Spent(await self._spend.total(since=day.start), day.limit_usd),
            month=Spent(await self._spend.total(since=month.start), month.limit_usd),
            left_usd=await self._budget.left_usd(),
            by_provider=await self._spend.totals("provider", since=month.start),
            by_stage=await self._spend.totals("stage", since=month.start),
            by_episode=dict(list(by_episode.items())[:DEAREST]),
            lost=tuple(await self._spend.lost(since=month.start, limit=DEAREST)),
            waiting=tuple(await self.waiting()),
        )

    async def waiting(self) -> list[Job]:
        """Jobs that wait for the budget, the oldest first."""
        return await self._jobs.queued_because(ErrorKind.BUDGET)

    async def of_revision(self, episode_id: int, revision: int) -> EpisodeCost:
        """What one revision has cost, failed attempts included."""
        return EpisodeCost(
            revision=await self._spend.total(episode_id=episode_id, revision=revision),
            by_provider=await self._spend.totals(
                "provider", episode_id=episode_id, revision=revision
            ),
            by_stage=await self._spend.totals("stage", episode_id=episode_id, revision=revision),
            episode=await self._spend.total(episode_id=episode_id),
        )
