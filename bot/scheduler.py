"""When things happen: the publishing slots of PUBLISH_CRON and whatever else has a time.

A crontab names wall clock times; a slot is one of them. The hour that autumn repeats counts
once, at its first pass. A time that spring skips is moved on by the length of the gap, unless
the schedule has a slot at that moment anyway. No job store: what was done is in the table
`slots`, and each entry calls one service method.
"""

import asyncio
import itertools
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pipeline.errors import UserError
from pipeline.publishing.base import Slot

if TYPE_CHECKING:
    from pipeline.services.publishing import Publishing

log = logging.getLogger(__name__)

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LARGEST_GAP = timedelta(hours=3)  # clocks are never moved by more
SAFETY_NET_S = 30
PATIENCE_S = 5.0


class Schedule:
    """One or more crontab lines, separated by `;`, on the wall clock of a zone."""

    def __init__(self, cron: str, zone: ZoneInfo, *, name: str = "PUBLISH_CRON") -> None:
        """UserError names the setting and the line that cannot be read."""
        self.cron, self.zone = cron, zone
        lines = [line.strip() for line in cron.split(";") if line.strip()]
        if not lines:
            raise UserError(f"{name}: there is no line in it; write one such as `0 18 * * *`.")
        self._triggers = [trigger for line in lines for trigger in _triggers(line, name)]

    def next_slots(self, after: datetime, count: int) -> list[Slot]:
        """The first `count` slots later than a moment."""
        found: list[Slot] = []
        for wall in self._walls(self._wall(after) - LARGEST_GAP):
            if len(found) >= count and wall > self._wall(found[count - 1].at) + LARGEST_GAP:
                break
            slot = self._slot(wall)
            if slot.at > after:
                found = _one_per_moment([*found, slot])
        return found[:count]

    def slots_between(self, start: datetime, end: datetime) -> list[Slot]:
        """The slots after `start` up to and including `end`."""
        latest = self._wall(end) + LARGEST_GAP
        walls = self._walls(self._wall(start) - LARGEST_GAP)
        slots = [
            self._slot(wall) for wall in itertools.takewhile(lambda wall: wall <= latest, walls)
        ]
        return [slot for slot in _one_per_moment(slots) if start < slot.at <= end]

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _slot(self, wall: datetime) -> Slot:
        # fold=0 is the first pass of a repeated hour, and moves a skipped time on by the gap.
        at = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        return Slot(key=f"{wall:%Y-%m-%d %H:%M} {self.zone.key}", at=at)

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """Wall clock times from `start` on, rising, each once."""
        previous = None
        now = start.replace(tzinfo=UTC)
        while True:
            times = [trigger.get_next_fire_time(None, now) for trigger in self._triggers]
            known = [time for time in times if time is not None]
            if not known:
                return
            previous = min(known)
            yield previous.replace(tzinfo=None)
            now = previous + timedelta(seconds=1)


def _one_per_moment(slots: list[Slot]) -> list[Slot]:
    """In order of time; of two at one moment the one whose wall clock time exists."""
    kept: dict[datetime, Slot] = {}
    for slot in sorted(slots, key=lambda slot: slot.key, reverse=True):
        kept.setdefault(slot.at, slot)
    return sorted(kept.values(), key=lambda slot: slot.at)


def _triggers(line: str, name: str) -> list[Any]:
    """Triggers in UTC that stand for wall clocks: APScheduler never leaves a repeated hour."""
    fields = line.lower().split()
    if len(fields) != 5 or not all(re.fullmatch(r"[\d*,/a-z-]+", field) for field in fields):
        raise UserError(
            f"{name}: `{line}` is not a crontab line; write five fields (minute, hour, day, month, "
            "weekday) such as `0 18 * * *`, several lines separated by `;`."
        )
    minute, hour, day, month, weekday = fields
    try:
        weekday = _weekday(weekday)
        # crontab(5): with both day fields restricted, either is enough.
        either = not day.startswith("*") and weekday != "*"
        days = [(day, "*"), ("*", weekday)] if either else [(day, weekday)]
        made = [
            CronTrigger(minute=minute, hour=hour, day=d, month=month, day_of_week=w, timezone=UTC)
            for d, w in days
        ]
    except ValueError as error:
        raise UserError(f"{name}: `{line}` cannot be read: {error}.") from error
    if all(
        trigger.get_next_fire_time(None, datetime(2028, 1, 1, tzinfo=UTC)) is None
        for trigger in made
    ):
        raise UserError(f"{name}: `{line}` never comes; choose a day that exists.")
    return made


def _weekday(field: str) -> str:
    """Crontab's weekdays (0 and 7 are Sunday) as names, because APScheduler's 0 is Monday."""
    days = {day for part in field.split(",") for day in _weekdays(part)}
    return "*" if len(days) == 7 else ",".join(WEEKDAYS[day] for day in sorted(days))


def _weekdays(part: str) -> set[int]:
    span, _, step = part.partition("/")
    first, dash, last = span.partition("-")
    if span == "*":
        low, high = 0, 6
    else:
        low = _weekday_number(first)
        high = _weekday_number(last) if dash else (6 if step else low)
    if high == 0 and low > 0:
        high = 7  # `fri-sun`
    if high < low or (step and not (step.isdecimal() and int(step))):
        raise ValueError(f"`{part}` is not a range of weekdays")
    return {day % 7 for day in range(low, high + 1, int(step or 1))}


def _weekday_number(text: str) -> int:
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    if text.isdecimal() and int(text) <= 7:
        return int(text)
    raise ValueError(f"`{text}` is not a weekday; use 0 to 7 or sun to sat")


class _SlotTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no type information
    """Fires at the slots of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        after = max(now, previous_fire_time or now) if previous_fire_time else now
        slots = self._schedule.next_slots(after, 1)
        return slots[0].at if slots else None


@dataclass(frozen=True)
class Timed:
    """Something else that has a time: at the slots of a schedule, or every so many seconds."""

    name: str
    when: Schedule | float
    run: Callable[[], Awaitable[object]]


class StudioScheduler:
    """Runs the publishing slots, and a safety net that finds what a sleeping computer missed."""

    def __init__(
        self,
        schedule: Schedule,
        publishing: "Publishing",
        others: tuple[Timed, ...] = (),
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        safety_net_s: float = SAFETY_NET_S,
    ) -> None:
        self.schedule = schedule
        self._publishing = publishing
        self._others = others
        self._now = now
        self._safety_net_s = safety_net_s
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._under_way: set[asyncio.Future[object]] = set()

    async def start(self) -> None:
        """Note the schedule, so that a slot before its first day is not made up for, and begin."""
        await self._publishing.note_schedule(f"{self.schedule.cron} {self.schedule.zone.key}")
        self._add(Timed("slots", self.schedule, self.tick))
        self._add(Timed("safety net", self._safety_net_s, self.tick))
        for timed in self._others:
            self._add(timed)
        self._scheduler.start()

    async def stop(self) -> None:
        """Begin nothing more; what is under way gets a moment before it is cut off."""
        if not self._scheduler.running:
            return
        self._scheduler.pause()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=PATIENCE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    async def tick(self) -> None:
        """Do what is due: posts that wait, and slots that have come."""
        try:
            await self._publishing.resume_due()
        finally:  # a post in trouble holds no slot up
            await self._publishing.run_due(self.schedule.slots_between)

    def next_slots(self, count: int) -> list[Slot]:
        return self.schedule.next_slots(self._now(), count)

    def _add(self, timed: Timed) -> None:
        async def run() -> None:
            work = asyncio.ensure_future(timed.run())
            self._under_way.add(work)
            try:
                await work
            except Exception:  # the next time must come all the same
                log.exception("scheduled work failed: %s", timed.name)
            finally:
                self._under_way.discard(work)

        when = timed.when
        trigger = (
            _SlotTrigger(when) if isinstance(when, Schedule) else IntervalTrigger(seconds=when)
        )
        self._scheduler.add_job(
            run, trigger, id=timed.name, coalesce=True, misfire_grace_time=None, max_instances=1
        )
