"""Made by itself: pitches are posted when the coming slots have fewer reels than they could take.

Nothing is made without a person's choice; the clock only asks for pitches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.publishing.base import Slot
from pipeline.services.pitching import MOST_PITCHES, Pitching
from pipeline.services.publishing import Publishing
from pipeline.workflow import LAST_STAGE
from storage.database import Database
from storage.episodes import Episodes
from storage.jobs import Jobs
from storage.notes import Notes
from storage.pitches import Board
from storage.records import Episode, to_text
from storage.states import EpisodeState

log = logging.getLogger(__name__)

SlotsBetween = Callable[[datetime, datetime], list[Slot]]
"""The slots of a schedule after one moment, up to and including another."""
SCHEDULE, SINCE = "make_schedule", "make_since"
"""Notes: MAKE_CRON as it was, and until when its slots have been looked at."""
NEVER = datetime.max.replace(tzinfo=UTC)
STUDIO = "the studio"


@dataclass(frozen=True)
class Level:
    """`reels` may fill slots of the coming `days`; `empty` of the `slots` nothing will fill."""

    reels: int
    slots: int
    empty: int
    days: int

    def __str__(self) -> str:
        return (
            f"{_counted(self.reels, 'reel')} for the {_counted(self.slots, 'slot')} "
            f"of the next {_counted(self.days, 'day')}"
        )


class Backlog:
    """`posts_between` are the slots of PUBLISH_CRON."""

    def __init__(
        self,
        *,
        db: Database,
        pitching: Pitching,
        publishing: Publishing,
        days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._pitching = pitching
        self._publishing = publishing
        self._days = days
        self._clock = clock
        self._episodes = Episodes(db)
        self._jobs = Jobs(db)
        self._notes = Notes(db)

    async def level(self, posts_between: SlotsBetween) -> Level:
        """How the reels there are, finished or not, will do for the coming slots."""
        now = self._clock()
        slots = posts_between(now, now + timedelta(days=self._days))
        good_until = await self._good_until()
        reels = [moment for moment in good_until if moment > now]
        empty = empty_slots((slot.at for slot in slots), reels)
        return Level(reels=len(reels), slots=len(slots), empty=empty, days=self._days)

    async def fill(self, posts_between: SlotsBetween) -> Board | None:
        """Ask for as many pitches as slots would stay empty; None when there is no need.

        There is none while posting is paused, and while people have pitches to choose from.
        """
        async with self._db.transaction():
            if await self._publishing.is_paused() or await self._pitching.is_any_alive():
                return None
            level = await self.level(posts_between)
            if not level.empty:
                return None
            log.info("backlog: %s, %d would stay empty", level, level.empty)
            count = min(MOST_PITCHES, level.empty)
            return await self._pitching.ask(count, STUDIO, reason=_reason(level))

    async def note_schedule(self, schedule: str) -> None:
        """At start, also without one: a new or changed schedule begins now, not in the past."""
        async with self._db.transaction():
            if await self._notes.get(SCHEDULE) != schedule:
                await self._notes.set(SCHEDULE, schedule)
                await self._notes.set(SINCE, to_text(self._clock()))

    async def run_due(self, due_between: SlotsBetween, posts_between: SlotsBetween) -> Board | None:
        """Fill up once if MAKE_CRON has had a slot since the last time, however many it had."""
        async with self._db.transaction():
            now = self._clock()
            since = datetime.fromisoformat(await self._notes.get(SINCE) or to_text(now))
            await self._notes.set(SINCE, to_text(max(since, now)))
            return await self.fill(posts_between) if due_between(since, now) else None

    async def _good_until(self) -> list[datetime]:
        """When each reel spoils that waits for a slot, for people, or is being made."""
        approved = await self._publishing.queue()
        in_review = await self._episodes.newest(EpisodeState.IN_REVIEW, limit=1000)
        return [
            episode.best_before or NEVER
            for episode in (*approved, *in_review, *await self._being_made())
        ]

    async def _being_made(self) -> list[Episode]:
        """Drafts whose work goes on by itself up to their review."""
        found: dict[int, Episode] = {}
        for job in await self._jobs.open():
            if job.episode_id is None or job.until_stage != LAST_STAGE:
                continue
            episode = await self._episodes.get(job.episode_id)
            if (episode.state, episode.revision) == (EpisodeState.DRAFT, job.revision):
                found[episode.id] = episode
        return list(found.values())


def empty_slots(slots: Iterable[datetime], good_until: Iterable[datetime]) -> int:
    """How many slots stay empty when each takes what spoils first, as posting does."""
    left = sorted(good_until)
    empty = 0
    for slot in sorted(slots):
        left = [moment for moment in left if moment > slot]
        if left:
            left.pop(0)
        else:
            empty += 1
    return empty


def _reason(level: Level) -> str:
    if level.slots == 1:
        return "The next slot is empty."
    verb = "is" if level.empty == 1 else "are"
    return f"{level.empty} of the next {level.slots} slots {verb} empty."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
