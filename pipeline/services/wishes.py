"""What a reaction asks for once: a stop or a pause of a training, not again after a resume."""

from __future__ import annotations

from collections.abc import Set

from storage.checkpoint_wishes import CheckpointWishes
from storage.database import Database


class Wishes:
    def __init__(self, db: Database) -> None:
        self._rows = CheckpointWishes(db)

    async def new(self, run_id: int, step: int, sign: str, users: Set[int]) -> frozenset[int]:
        """Whose reaction is not done yet; those that are no longer there are forgotten."""
        done = await self._rows.done(run_id, step, sign)
        if not done <= users:
            await self._rows.set_done(run_id, step, sign, done & users)
        return frozenset(users - done)

    async def done(self, run_id: int, step: int, sign: str, users: Set[int]) -> None:
        """What all of these ask for has been done, or cannot be."""
        await self._rows.set_done(run_id, step, sign, users)
