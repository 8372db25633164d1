"""Boards of pitches, and which episode each chosen pitch became."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.database import Database
from storage.errors import RecordNotFound
from storage.records import from_row, to_text


class BoardState(StrEnum):
    MAKING = "making"  # its job is under way
    OPEN = "open"  # people may choose
    CLOSED = "closed"  # nothing can be chosen any more
    FAILED = "failed"  # there never were pitches; the reason is in `ended`


ALIVE = (BoardState.MAKING, BoardState.OPEN)
ENDED = (BoardState.CLOSED, BoardState.FAILED)


@dataclass(frozen=True)
class Board:
    """`told_at` is None until people have been shown that it has ended."""

    id: int
    state: BoardState
    count: int
    job_id: int | None
    replaces: int | None
    channel_id: int | None
    message_id: int | None
    asked_in: int | None
    requested_by: str
    reason: str
    ended: str
    created_at: datetime
    told_at: datetime | None


@dataclass(frozen=True)
class NewPitch:
    topic: str
    source: str
    headlines: tuple[str, ...]
    hook: str
    last_line: str
    why: str


@dataclass(frozen=True)
class BoardPitch:
    """`episode_id` is the reel it became, once somebody has chosen it."""

    board_id: int
    number: int
    topic: str
    source: str
    headlines: tuple[str, ...]
    hook: str
    last_line: str
    why: str
    episode_id: int | None


class PitchBoards:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self,
        *,
        count: int,
        requested_by: str,
        now: datetime,
        asked_in: int | None = None,
        reason: str = "",
        replaces: int | None = None,
    ) -> Board:
        row = await self._db.fetch_one(
            "INSERT INTO pitch_boards (count, requested_by, asked_in, reason, replaces, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
            (count, requested_by, asked_in, reason, replaces, to_text(now)),
        )
        assert row is not None
        return from_row(Board, row)

    async def get(self, board_id: int) -> Board:
        row = await self._db.fetch_one("SELECT * FROM pitch_boards WHERE id = ?", (board_id,))
        if row is None:
            raise RecordNotFound(f"There are no pitches {board_id}.")
        return from_row(Board, row)

    async def of_message(self, message_id: int) -> Board | None:
        found = await self._where("message_id = ?", message_id)
        return found[0] if found else None

    async def of_job(self, job_id: int) -> Board | None:
        found = await self._where("job_id = ?", job_id)
        return found[0] if found else None

    async def in_state(self, *states: BoardState) -> list[Board]:
        """The oldest first."""
        return await self._where(f"state IN ({_marks(states)})", *states)

    async def untold(self) -> list[Board]:
        """Ended ones of which nobody has been shown that."""
        return await self._where(f"state IN ({_marks(ENDED)}) AND told_at IS NULL", *ENDED)

    async def set_job(self, board_id: int, job_id: int) -> None:
        await self._db.execute(
            "UPDATE pitch_boards SET job_id = ? WHERE id = ?", (job_id, board_id)
        )

    async def fill(self, board_id: int, pitches: Iterable[NewPitch]) -> bool:
        """Open a board with its pitches, numbered from 1; False when it has ended meanwhile."""
        async with self._db.transaction():
            opened = await self._db.execute(
                "UPDATE pitch_boards SET state = ? WHERE id = ? AND state = ?",
                (BoardState.OPEN, board_id, BoardState.MAKING),
            )
            for number, pitch in enumerate(pitches if opened.rows else (), 1):
                await self._db.execute(
                    "INSERT INTO pitches (board_id, number, topic, source, headlines, hook,"
                    " last_line, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(board_id, number, pitch.topic, pitch.source),
                        *(json.dumps(pitch.headlines), pitch.hook, pitch.last_line, pitch.why),
                    ),
                )
        return bool(opened.rows)

    async def pitches(self, board_id: int) -> list[BoardPitch]:
        rows = await self._db.fetch_all(
            "SELECT * FROM pitches WHERE board_id = ? ORDER BY number", (board_id,)
        )
        return [from_row(BoardPitch, row) for row in rows]

    async def pitched_topics(self) -> set[str]:
        """What people can choose on an open board, or have chosen there."""
        rows = await self._db.fetch_all(
            "SELECT topic FROM pitches JOIN pitch_boards ON id = board_id WHERE state = ?",
            (BoardState.OPEN,),
        )
        return {row["topic"] for row in rows}

    async def take(self, board_id: int, number: int, episode_id: int) -> bool:
        """Note which episode a pitch has become; False when it has become one before."""
        done = await self._db.execute(
            "UPDATE pitches SET episode_id = ?"
            " WHERE board_id = ? AND number = ? AND episode_id IS NULL",
            (episode_id, board_id, number),
        )
        return bool(done.rows)

    async def posted(self, board_id: int, *, channel_id: int, message_id: int) -> Board:
        """Remember the message that shows a board."""
        await self._db.execute(
            "UPDATE pitch_boards SET channel_id = ?, message_id = ? WHERE id = ?",
            (channel_id, message_id, board_id),
        )
        return await self.get(board_id)

    async def end(self, board_id: int, state: BoardState, why: str) -> bool:
        """Close a board or say that it failed; False when it has ended before."""
        done = await self._db.execute(
            "UPDATE pitch_boards SET state = ?, ended = ?"
            f" WHERE id = ? AND state IN ({_marks(ALIVE)})",
            (state, why, board_id, *ALIVE),
        )
        return bool(done.rows)

    async def told(self, board_id: int, *, now: datetime) -> None:
        """People have been shown that it has ended."""
        await self._db.execute(
            "UPDATE pitch_boards SET told_at = ? WHERE id = ?", (to_text(now), board_id)
        )

    async def _where(self, condition: str, *values: str | int) -> list[Board]:
        rows = await self._db.fetch_all(
            f"SELECT * FROM pitch_boards WHERE {condition} ORDER BY id", values
        )
        return [from_row(Board, row) for row in rows]


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" for _ in values)
