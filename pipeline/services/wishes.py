"""What a reaction asks for once: a stop or a pause of a training, not again after a resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set

from pipeline.errors import UserError
from storage.checkpoint_wishes import CheckpointWishes
from storage.database import Database
from storage.errors import InvalidTransition


class Wishes:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows = CheckpointWishes(db)

    async def new(self, run_id: int, step: int, sign: str, users: Set[int]) -> frozenset[int]:
        """Whose reaction is not done yet; those that are no longer there are forgotten."""
        done = await self._rows.done(run_id, step, sign)
        if not done <= users:
            await self._rows.set_done(run_id, step, sign, done & users)
        return frozenset(users - done)

    async def heed(
        self,
        run_id: int,
        step: int,
        sign: str,
        users: Set[int],
        act: Callable[[], Awaitable[object]],
    ) -> str:
        """Do what these people ask for and note it, as one; a sentence if it cannot be done.

        A bot that dies in between would do it again, perhaps after somebody has resumed the run.
        """
        async with self._db.transaction():
            await self._rows.set_done(run_id, step, sign, users)
            try:
                await act()
            except (UserError, InvalidTransition) as refusal:
                return str(refusal)
        return ""
