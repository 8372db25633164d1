"""Checkpoints that people judge by their pictures, and the votes for them."""

from collections.abc import Set
from datetime import datetime

from storage.database import Database, Value
from storage.decisions import Door
from storage.errors import RecordNotFound
from storage.records import Validation, from_row, to_text


class Validations:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(
        self, run_id: int, step: int, *, folder: str, loss: float | None, now: datetime
    ) -> None:
        """A step that is validated again, after a damaged checkpoint, keeps its message."""
        await self._db.execute(
            "INSERT INTO validations (run_id, step, folder, loss, created_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET loss = excluded.loss",
            (run_id, step, folder, loss, to_text(now)),
        )

    async def get(self, run_id: int, step: int) -> Validation:
        found = await self._where("run_id = ? AND step = ?", run_id, step)
        if not found:
            raise RecordNotFound(f"Training {run_id} has no validation at step {step}.")
        return found[0]

    async def of_message(self, message_id: int) -> Validation | None:
        found = await self._where("message_id = ?", message_id)
        return found[0] if found else None

    async def of_run(self, run_id: int) -> list[Validation]:
        return await self._where("run_id = ?", run_id)

    async def open(self) -> list[Validation]:
        """Those whose reactions count, the oldest first."""
        return await self._where("ended = ''")

    async def shown(self, run_id: int, step: int, *, channel_id: int, message_id: int) -> None:
        await self._db.execute(
            "UPDATE validations SET channel_id = ?, message_id = ? WHERE run_id = ? AND step = ?",
            (channel_id, message_id, run_id, step),
        )

    async def end(self, run_id: int, step: int, why: str) -> bool:
        """Its reactions count no more; False when they did not before."""
        done = await self._db.execute(
            "UPDATE validations SET ended = ? WHERE run_id = ? AND step = ? AND ended = ''",
            (why, run_id, step),
        )
        return bool(done.rows)

    # Votes

    async def vote(
        self, run_id: int, step: int, user_id: int, *, door: Door, now: datetime
    ) -> None:
        await self._db.execute(
            "INSERT INTO checkpoint_votes (run_id, step, user_id, door, at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (run_id, step, user_id, door, to_text(now)),
        )

    async def withdraw(self, run_id: int, step: int, user_id: int, *, door: Door) -> None:
        await self._db.execute(
            "DELETE FROM checkpoint_votes"
            " WHERE run_id = ? AND step = ? AND user_id = ? AND door = ?",
            (run_id, step, user_id, door),
        )

    async def match(
        self, run_id: int, step: int, users: Set[int], *, door: Door, now: datetime
    ) -> None:
        """Exactly these users have voted through this door."""
        async with self._db.transaction():
            known = {user for user, through in await self.votes(run_id, step) if through is door}
            for user_id in known - users:
                await self.withdraw(run_id, step, user_id, door=door)
            for user_id in sorted(users - known):
                await self.vote(run_id, step, user_id, door=door, now=now)

    async def votes(self, run_id: int, step: int) -> list[tuple[int, Door]]:
        """Who has voted and how, in the order in which they did."""
        rows = await self._db.fetch_all(
            "SELECT user_id, door FROM checkpoint_votes WHERE run_id = ? AND step = ?"
            " ORDER BY at, user_id, door",
            (run_id, step),
        )
        return [(row["user_id"], Door(row["door"])) for row in rows]

    async def forget_votes(self, run_id: int, step: int) -> None:
        await self._db.execute(
            "DELETE FROM checkpoint_votes WHERE run_id = ? AND step = ?", (run_id, step)
        )

    async def _where(self, condition: str, *values: Value) -> list[Validation]:
        rows = await self._db.fetch_all(
            f"SELECT * FROM validations WHERE {condition} ORDER BY run_id, step", values
        )
        return [from_row(Validation, row) for row in rows]
