"""What may be spent: set aside when a job is claimed, booked when its attempt is settled.

What is left of a day or a month (of TIMEZONE) counts booked calls and what running jobs have set
aside. Everything here joins the caller's transaction, so two jobs never get the same dollar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from pipeline.ledger import SLACK_USD, Receipt
from storage.database import Database
from storage.records import Job
from storage.spend import PaidCall, Spend

LOOK_AGAIN = timedelta(minutes=10)
"""How often a job that waits for the budget is tried again, besides every new day."""


@dataclass(frozen=True)
class Period:
    """A day or a month; `limit_usd` is None when it has no budget."""

    start: datetime
    limit_usd: float | None


class Budget:
    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        zone: tzinfo = UTC,
        daily_usd: float | None = None,
        monthly_usd: float | None = None,
    ) -> None:
        """None means no limit; `zone` says when days and months begin."""
        self._clock = clock
        self._zone = zone
        self._daily_usd = daily_usd
        self._monthly_usd = monthly_usd
        self._spend = Spend(database)
        self._room: dict[int, float] = {}
        """What was left for a job when it was claimed, without what it has spent since."""

    @property
    def is_limited(self) -> bool:
        return self._daily_usd is not None or self._monthly_usd is not None

    def day(self) -> Period:
        today = self._clock().astimezone(self._zone).date()
        return Period(self._midnight(today), self._daily_usd)

    def month(self) -> Period:
        today = self._clock().astimezone(self._zone).date()
        return Period(self._midnight(today.replace(day=1)), self._monthly_usd)

    async def left_usd(self) -> float | None:
        """Of the day and of the month, whichever is less; None without a budget."""
        limited = [p for p in (self.day(), self.month()) if p.limit_usd is not None]
        if not limited:
            return None
        reserved = await self._spend.reserved()
        left = [
            (period.limit_usd or 0.0) - (await self._spend.total(since=period.start)).usd
            for period in limited
        ]
        return max(min(left) - reserved, 0.0)

    async def reserve(self, job: Job, greatest_usd: float) -> float | None:
        """Set aside what the job may cost at most, or what is left if that is less.

        This is what its attempt may spend; None without a budget.
        """
        left = await self.left_usd()
        if left is None:
            return None
        allowance = min(greatest_usd, left)
        await self._spend.reserve(job.id, allowance, now=self._clock())
        self._room[job.id] = left
        return allowance

    async def book(self, job: Job, receipts: Iterable[Receipt]) -> list[PaidCall]:
        """Store what an attempt has paid and free what it had set aside; gives back what is new."""
        booked = await self._spend.book(_paid_call(job, receipt) for receipt in receipts)
        await self._spend.release(job.id)
        if job.id in self._room:
            self._room[job.id] -= sum(call.usd for call in booked)
        return booked

    def look_again(self) -> datetime:
        """When a job that waits is worth another try: soon, or when the next day begins."""
        now = self._clock()
        tomorrow = now.astimezone(self._zone).date() + timedelta(days=1)
        return min(now + LOOK_AGAIN, self._midnight(tomorrow))

    async def with_more_room(self, waiting: Iterable[Job]) -> list[int]:
        """The jobs that would now get more than when they were refused.

        Only more: else two jobs that are both refused would free each other for ever.
        """
        left = await self.left_usd()
        if left is None:
            return []
        return [job.id for job in waiting if left > self._room.get(job.id, 0.0) + SLACK_USD]

    def forget(self, job_id: int) -> None:
        """The job is final."""
        self._room.pop(job_id, None)

    def _midnight(self, day: date) -> datetime:
        # Where the clock jumps over midnight this is the jump itself; where midnight comes twice,
        # the first one.
        return datetime.combine(day, time.min, tzinfo=self._zone).astimezone(UTC)


def _paid_call(job: Job, receipt: Receipt) -> PaidCall:
    intent, cost = receipt.intent, receipt.cost
    return PaidCall(
        job_id=job.id,
        attempt=job.attempt,
        call=intent.call,
        at=intent.at,
        episode_id=job.episode_id,
        revision=job.revision,
        stage=job.stage,
        provider=intent.provider,
        model=intent.model,
        what=intent.what,
        usd=cost.usd,
        chars=cost.chars,
        tokens_in=cost.tokens_in,
        tokens_out=cost.tokens_out,
        is_certain=receipt.is_certain,
        request_id=receipt.request_id,
    )
