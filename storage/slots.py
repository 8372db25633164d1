"""Slots: each is done once, whatever came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.database import Database
from storage.errors import InvalidTransition
from storage.records import Episode, from_row, to_text
from storage.states import EpisodeState


class SlotOutcome(StrEnum):
    POSTING = "posting"  # claimed; the post is under way
    POSTED = "posted"
    EMPTY = "empty"  # nothing was approved
    MISSED = "missed"  # the bot was down for too long
    PAUSED = "paused"
    FAILED = "failed"


@dataclass(frozen=True)
class SlotRecord:
    slot: str
    at: datetime
    episode_id: int | None
    outcome: SlotOutcome
    claimed_at: datetime


class Slots:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def find(self, slot: str) -> SlotRecord | None:
        row = await self._db.fetch_one("SELECT * FROM slots WHERE slot = ?", (slot,))
        return None if row is None else from_row(SlotRecord, row)

    async def claim(
        self,
        slot: str,
        at: datetime,
        outcome: SlotOutcome,
        *,
        episode_id: int | None = None,
        now: datetime,
    ) -> SlotRecord:
        """InvalidTransition when the slot is done or taken."""
        row = await self._db.fetch_one(
            "INSERT INTO slots (slot, at, episode_id, outcome, claimed_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING *",
            (slot, to_text(at), episode_id, outcome, to_text(now)),
        )
        if row is None:
            raise InvalidTransition(f"The slot {slot} has been used already.")
        return from_row(SlotRecord, row)

    async def settle(self, slot: str, outcome: SlotOutcome) -> None:
        """Say what came of a slot that was claimed for a post."""
        await self._db.execute("UPDATE slots SET outcome = ? WHERE slot = ?", (outcome, slot))

    async def newest(self, limit: int = 20) -> list[SlotRecord]:
        rows = await self._db.fetch_all("SELECT * FROM slots ORDER BY at DESC LIMIT ?", (limit,))
        return [from_row(SlotRecord, row) for row in rows]

    async def candidates(self) -> list[Episode]:
        """Approved ones: what spoils first in front, then evergreen ones by date of approval."""
        rows = await self._db.fetch_all(
            "SELECT e.* FROM episodes e WHERE e.state = ? ORDER BY e.best_before IS NULL,"
            " e.best_before, (SELECT max(t.id) FROM transitions t WHERE t.episode_id = e.id"
            " AND t.to_state = ?), e.id",
            (EpisodeState.APPROVED, EpisodeState.APPROVED),
        )
        return [from_row(Episode, row) for row in rows]
