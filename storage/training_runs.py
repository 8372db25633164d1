"""Runs that teach a network a character: what people want of each, and how far it is."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from storage.database import Database, Value
from storage.errors import InvalidTransition, RecordNotFound
from storage.records import TrainingRun, from_row, to_text
from storage.states import TRAINING_MOVES, TrainingState

ENDED = (TrainingState.STOPPED, TrainingState.FINISHED, TrainingState.FAILED)


class TrainingRuns:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self,
        *,
        character: str,
        name: str,
        base: str,
        steps: int,
        note: str,
        requested_by: str,
        now: datetime,
    ) -> TrainingRun:
        """A run under way; InvalidTransition while another one is."""
        try:
            row = await self._db.fetch_one(
                "INSERT INTO training_runs (character, name, base, steps, note, requested_by,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
                (character, name, base, steps, note, requested_by, to_text(now)),
            )
        except sqlite3.IntegrityError as conflict:
            raise await self._occupied() from conflict
        assert row is not None
        return from_row(TrainingRun, row)

    async def get(self, run_id: int) -> TrainingRun:
        row = await self._db.fetch_one("SELECT * FROM training_runs WHERE id = ?", (run_id,))
        if row is None:
            raise RecordNotFound(f"There is no training {run_id}.")
        return from_row(TrainingRun, row)

    async def running(self) -> TrainingRun | None:
        found = await self._where("state = ?", TrainingState.RUNNING)
        return found[0] if found else None

    async def newest(self, *states: TrainingState, limit: int = 10) -> list[TrainingRun]:
        """In any of the states, or in whatever state if none is given."""
        wanted = states or tuple(TrainingState)
        rows = await self._db.fetch_all(
            f"SELECT * FROM training_runs WHERE state IN ({_marks(wanted)})"
            " ORDER BY id DESC LIMIT ?",
            (*wanted, limit),
        )
        return [from_row(TrainingRun, row) for row in rows]

    async def names(self, character: str) -> set[str]:
        rows = await self._db.fetch_all(
            "SELECT name FROM training_runs WHERE character = ?", (character,)
        )
        return {row["name"] for row in rows}

    async def move(
        self,
        run_id: int,
        to: TrainingState,
        *,
        note: str = "",
        error: str = "",
        now: datetime,
    ) -> TrainingRun:
        """InvalidTransition, and nothing changed, from a state that does not allow it."""
        ended = to_text(now) if to in ENDED else None
        sources = tuple(state for state, moves in TRAINING_MOVES.items() if to in moves)
        try:
            row = await self._db.fetch_one(
                "UPDATE training_runs SET state = ?, note = ?, error = ?, ended_at = ?,"
                " seconds_left = NULL, restarts = 0, told_at = NULL"
                f" WHERE id = ? AND state IN ({_marks(sources)}) RETURNING *",
                (to, note, error, ended, run_id, *sources),
            )
        except sqlite3.IntegrityError as conflict:
            raise await self._occupied() from conflict
        if row is None:
            run = await self.get(run_id)
            raise InvalidTransition(f"Training {run.name} is {run.state}; it cannot be {to}.")
        return from_row(TrainingRun, row)

    async def progress(self, run: TrainingRun) -> None:
        """How far it is, as this record has it; its state, and a note of people's, stay."""
        await self._db.execute(
            "UPDATE training_runs SET event_offset = ?, step = ?, loss = ?, warning = ?,"
            " restarts = ?, seconds_left = CASE state WHEN 'running' THEN ? END,"
            " note = CASE state WHEN 'running' THEN ? ELSE note END WHERE id = ?",
            (
                *(run.event_offset, run.step, run.loss, run.warning),
                *(run.restarts, run.seconds_left, run.note, run.id),
            ),
        )

    async def restarted(self, run_id: int, restarts: int) -> None:
        await self._db.execute(
            "UPDATE training_runs SET restarts = ? WHERE id = ?", (restarts, run_id)
        )

    async def live_message(self, run_id: int, *, channel_id: int, message_id: int) -> None:
        await self._db.execute(
            "UPDATE training_runs SET channel_id = ?, message_id = ? WHERE id = ?",
            (channel_id, message_id, run_id),
        )

    async def untold(self) -> list[TrainingRun]:
        """Ended ones of which nobody has been shown that, the oldest first."""
        return await self._where(f"state IN ({_marks(ENDED)}) AND told_at IS NULL", *ENDED)

    async def told(self, run_id: int, *, now: datetime) -> None:
        await self._db.execute(
            "UPDATE training_runs SET told_at = ? WHERE id = ?", (to_text(now), run_id)
        )

    async def _occupied(self) -> InvalidTransition:
        other = await self.running()
        name = "another one" if other is None else other.name
        return InvalidTransition(
            f"One network is trained at a time, and {name} is; wait for it, or `/train pause`."
        )

    async def _where(self, condition: str, *values: Value) -> list[TrainingRun]:
        rows = await self._db.fetch_all(
            f"SELECT * FROM training_runs WHERE {condition} ORDER BY id", values
        )
        return [from_row(TrainingRun, row) for row in rows]


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)
