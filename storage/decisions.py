"""Who decided what about which fingerprint; withdrawn, never deleted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.database import Database
from storage.records import from_row, to_text


class Choice(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Door(StrEnum):
    REACTION = "reaction"
    COMMAND = "command"


@dataclass(frozen=True)
class Decision:
    id: int
    episode_id: int
    revision: int
    user_id: int
    decision: Choice
    fingerprint: str
    door: Door
    decided_at: datetime
    withdrawn_at: datetime | None


class Decisions:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(
        self,
        episode_id: int,
        revision: int,
        fingerprint: str,
        *,
        user_id: int,
        choice: Choice,
        door: Door,
        now: datetime,
    ) -> bool:
        """False when it stands already. One about another fingerprint is withdrawn first."""
        async with self._db.transaction():
            await self._db.execute(
                "UPDATE decisions SET withdrawn_at = ? WHERE episode_id = ? AND revision = ?"
                " AND user_id = ? AND decision = ? AND door = ? AND fingerprint <> ?"
                " AND withdrawn_at IS NULL",
                (to_text(now), episode_id, revision, user_id, choice, door, fingerprint),
            )
            done = await self._db.execute(
                "INSERT INTO decisions (episode_id, revision, user_id, decision, fingerprint, door,"
                " decided_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (episode_id, revision, user_id, choice, fingerprint, door, to_text(now)),
            )
        return done.rows > 0

    async def withdraw(
        self,
        episode_id: int,
        revision: int,
        *,
        user_id: int,
        choice: Choice,
        door: Door,
        now: datetime,
    ) -> bool:
        """False when it did not stand."""
        done = await self._db.execute(
            "UPDATE decisions SET withdrawn_at = ? WHERE episode_id = ? AND revision = ?"
            " AND user_id = ? AND decision = ? AND door = ? AND withdrawn_at IS NULL",
            (to_text(now), episode_id, revision, user_id, choice, door),
        )
        return done.rows > 0

    async def standing(self, episode_id: int, revision: int, fingerprint: str) -> list[Decision]:
        """Those not withdrawn, about exactly this, the oldest first."""
        rows = await self._db.fetch_all(
            "SELECT * FROM decisions WHERE episode_id = ? AND revision = ? AND fingerprint = ?"
            " AND withdrawn_at IS NULL ORDER BY id",
            (episode_id, revision, fingerprint),
        )
        return [from_row(Decision, row) for row in rows]

    async def history(self, episode_id: int) -> list[Decision]:
        rows = await self._db.fetch_all(
            "SELECT * FROM decisions WHERE episode_id = ? ORDER BY id", (episode_id,)
        )
        return [from_row(Decision, row) for row in rows]

    async def activity(self, episode_id: int) -> int:
        """Grows by one with every decision and every one taken back: rows are never deleted."""
        row = await self._db.fetch_one(
            "SELECT count(*) + count(withdrawn_at) FROM decisions WHERE episode_id = ?",
            (episode_id,),
        )
        return 0 if row is None else int(row[0])
