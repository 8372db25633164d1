"""What models have drawn for the library, a board per sheet; used after a yes only."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from storage.database import Database
from storage.errors import RecordNotFound
from storage.pitches import ALIVE, ENDED, BoardState
from storage.records import from_row, to_text


@dataclass(frozen=True)
class PictureBoard:
    """`sheet` is relative to DATA_DIR; `told_at` is None until its end has been shown."""

    id: int
    promotion_id: int
    state: BoardState
    job_id: int | None
    sheet: str
    channel_id: int | None
    message_id: int | None
    ended: str
    told_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class NewDrawing:
    """`path` is relative to DATA_DIR, `score` 0 to 1."""

    emotion: str
    path: str
    sha256: str
    width: int
    height: int
    score: float


@dataclass(frozen=True)
class ProposedPicture:
    """`number` counts from 1: its emoji, and its place on the sheet."""

    board_id: int
    number: int
    emotion: str
    path: str
    sha256: str
    width: int
    height: int
    score: float


class PictureBoards:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, promotion_id: int, *, now: datetime) -> PictureBoard | None:
        """None when a board of this promotion is being made or judged already."""
        row = await self._db.fetch_one(
            "INSERT INTO picture_boards (promotion_id, created_at) VALUES (?, ?)"
            " ON CONFLICT DO NOTHING RETURNING *",
            (promotion_id, to_text(now)),
        )
        return None if row is None else from_row(PictureBoard, row)

    async def get(self, board_id: int) -> PictureBoard:
        row = await self._db.fetch_one("SELECT * FROM picture_boards WHERE id = ?", (board_id,))
        if row is None:
            raise RecordNotFound(f"There is no board of pictures {board_id}.")
        return from_row(PictureBoard, row)

    async def of_message(self, message_id: int) -> PictureBoard | None:
        found = await self._where("message_id = ?", message_id)
        return found[0] if found else None

    async def of_promotion(self, promotion_id: int) -> list[PictureBoard]:
        """The oldest first, ended ones too."""
        return await self._where("promotion_id = ?", promotion_id)

    async def in_state(self, *states: BoardState) -> list[PictureBoard]:
        """The oldest first."""
        return await self._where(f"state IN ({_marks(states)})", *states)

    async def untold(self) -> list[PictureBoard]:
        """Ended ones of which nobody has been shown that."""
        return await self._where(f"state IN ({_marks(ENDED)}) AND told_at IS NULL", *ENDED)

    async def set_job(self, board_id: int, job_id: int) -> None:
        await self._db.execute(
            "UPDATE picture_boards SET job_id = ? WHERE id = ?", (job_id, board_id)
        )

    async def fill(self, board_id: int, drawings: Iterable[NewDrawing], *, sheet: str) -> bool:
        """Open a board with its drawings, numbered from 1; False when it has ended meanwhile."""
        async with self._db.transaction():
            opened = await self._db.execute(
                "UPDATE picture_boards SET state = ?, sheet = ? WHERE id = ? AND state = ?",
                (BoardState.OPEN, sheet, board_id, BoardState.MAKING),
            )
            for number, drawing in enumerate(drawings if opened.rows else (), 1):
                await self._db.execute(
                    "INSERT INTO proposed_pictures (board_id, number, emotion, path, sha256,"
                    " width, height, score) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(board_id, number, drawing.emotion, drawing.path, drawing.sha256),
                        *(drawing.width, drawing.height, drawing.score),
                    ),
                )
        return bool(opened.rows)

    async def pictures(self, board_id: int) -> list[ProposedPicture]:
        rows = await self._db.fetch_all(
            "SELECT * FROM proposed_pictures WHERE board_id = ? ORDER BY number", (board_id,)
        )
        return [from_row(ProposedPicture, row) for row in rows]

    async def posted(self, board_id: int, *, channel_id: int, message_id: int) -> PictureBoard:
        """Remember the message that shows a board."""
        await self._db.execute(
            "UPDATE picture_boards SET channel_id = ?, message_id = ? WHERE id = ?",
            (channel_id, message_id, board_id),
        )
        return await self.get(board_id)

    async def end(self, board_id: int, state: BoardState, why: str) -> bool:
        """Close a board or say that it failed; False when it has ended before."""
        done = await self._db.execute(
            "UPDATE picture_boards SET state = ?, ended = ?"
            f" WHERE id = ? AND state IN ({_marks(ALIVE)})",
            (state, why, board_id, *ALIVE),
        )
        return bool(done.rows)

    async def told(self, board_id: int, *, now: datetime) -> None:
        """People have been shown that it has ended."""
        await self._db.execute(
            "UPDATE picture_boards SET told_at = ? WHERE id = ?", (to_text(now), board_id)
        )

    async def _where(self, condition: str, *values: str | int) -> list[PictureBoard]:
        rows = await self._db.fetch_all(
            f"SELECT * FROM picture_boards WHERE {condition} ORDER BY id", values
        )
        return [from_row(PictureBoard, row) for row in rows]


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" for _ in values)
