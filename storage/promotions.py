"""Which trained model draws which character, since when, and who said so."""

from datetime import datetime

from storage.database import Database
from storage.errors import RecordNotFound
from storage.records import Promotion, from_row, to_text

IN_USE = (
    "SELECT * FROM promotions WHERE id IN"
    " (SELECT max(id) FROM promotions WHERE ended_at IS NULL GROUP BY character)"
)


class Promotions:
    """The newest of a character that has not ended is in use; ending it is the way back."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(
        self,
        *,
        character: str,
        run_id: int,
        step: int,
        path: str,
        sha256: str,
        who: str,
        now: datetime,
    ) -> Promotion:
        row = await self._db.fetch_one(
            "INSERT INTO promotions (character, run_id, step, path, sha256, who, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (character, run_id, step, path, sha256, who, to_text(now)),
        )
        assert row is not None
        return from_row(Promotion, row)

    async def in_use(self) -> list[Promotion]:
        """At most one for each character."""
        rows = await self._db.fetch_all(f"{IN_USE} ORDER BY character")
        return [from_row(Promotion, row) for row in rows]

    async def current(self, character: str) -> Promotion | None:
        row = await self._db.fetch_one(f"{IN_USE} AND character = ?", (character,))
        return None if row is None else from_row(Promotion, row)

    async def get(self, promotion_id: int) -> Promotion:
        row = await self._db.fetch_one("SELECT * FROM promotions WHERE id = ?", (promotion_id,))
        if row is None:
            raise RecordNotFound(f"There is no promotion {promotion_id}.")
        return from_row(Promotion, row)

    async def end(self, promotion_id: int, *, who: str, now: datetime) -> bool:
        """False when it had ended before."""
        done = await self._db.execute(
            "UPDATE promotions SET ended_at = ?, ended_by = ? WHERE id = ? AND ended_at IS NULL",
            (to_text(now), who, promotion_id),
        )
        return bool(done.rows)
