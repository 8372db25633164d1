"""Reactions to a checkpoint that ask for something once: which of those there are were done."""

from collections.abc import Set

from storage.database import Database


class CheckpointWishes:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def done(self, run_id: int, step: int, sign: str) -> frozenset[int]:
        """Whose reaction with this emoji has been done."""
        rows = await self._db.fetch_all(
            "SELECT user_id FROM checkpoint_wishes WHERE run_id = ? AND step = ? AND sign = ?",
            (run_id, step, sign),
        )
        return frozenset(row["user_id"] for row in rows)

    async def set_done(self, run_id: int, step: int, sign: str, users: Set[int]) -> None:
        """Exactly these: one that was taken back counts when it is given again."""
        async with self._db.transaction():
            await self._db.execute(
                "DELETE FROM checkpoint_wishes WHERE run_id = ? AND step = ? AND sign = ?",
                (run_id, step, sign),
            )
            for user_id in sorted(users):
                await self._db.execute(
                    "INSERT INTO checkpoint_wishes (run_id, step, sign, user_id)"
                    " VALUES (?, ?, ?, ?)",
                    (run_id, step, sign, user_id),
                )
