"""Boards of what a model drew for the library: drawn when it is promoted, judged, then used.

`advance` brings every board to where its job is, so it does not matter who missed what. Nothing
a model drew is in the library before somebody has said so, in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from pipeline.engine import Engine
from pipeline.errors import UserError
from pipeline.facts import Gaps
from pipeline.sections import Emotion
from pipeline.services.shelf import Shelf
from pipeline.shows import Show
from storage.database import Database
from storage.folder import DataFolder
from storage.images import Images
from storage.jobs import Jobs
from storage.picture_boards import PictureBoard, ProposedPicture
from storage.picture_boards import PictureBoards as Boards
from storage.pitches import BoardState
from storage.promotions import Promotions
from storage.records import NewImage, Promotion
from storage.states import JobState

log = logging.getLogger(__name__)

STAGE = "drawings"
MODEL = "model"
"""Source of these pictures in the library: they are never shown speaking."""
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Shown:
    """A board with whose pictures it has."""

    board: PictureBoard
    character: str
    pictures: list[ProposedPicture]


class PictureBoards:
    """`who` is how the history names a person; who may decide is checked by the caller."""

    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        engine: Engine,
        show: Show,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._folder = folder
        self._engine = engine
        self._show = show
        self._clock = clock
        self._boards = Boards(db)
        self._images = Images(db)
        self._jobs = Jobs(db)
        self._promotions = Promotions(db)
        self._shelf = Shelf(db, show=show, clock=clock)

    # What people ask for

    async def draw(self, character: str) -> PictureBoard:
        """Draw what the library lacks of a character, with its model; UserError says why not."""
        name = self._show.character(character).name
        promotion = await self._promotions.current(name)
        if promotion is None:
            raise UserError(f"{name} has no model in use; `/train promote` chooses one.")
        board = await self.fill_gaps(promotion)
        if board is None:
            raise UserError(f"The model of {name} has a picture for every emotion in the library.")
        return board

    async def decide(self, board_id: int, approved: Collection[int], who: str) -> bool:
        """Take these numbers into the library, drop the rest; False when it was closed before."""
        async with self._db.transaction():
            board = await self._boards.get(board_id)
            if board.state is not BoardState.OPEN:
                return False
            pictures = await self._boards.pictures(board_id)
            character = (await self._promotions.get(board.promotion_id)).character
            taken = [picture for picture in pictures if picture.number in approved]
            await self._images.add(
                [_new_image(picture, character, board) for picture in taken], now=self._clock()
            )
            why = f"{_count(taken, pictures)} taken by {who}"
            await self._boards.end(board_id, BoardState.CLOSED, why)
        log.info("pictures=%d %s", board_id, why)
        await self._drop(board, [picture for picture in pictures if picture not in taken])
        return True

    async def again(self, board_id: int, who: str) -> PictureBoard | None:
        """Close a board and draw others; None when it was closed before.

        Nor is anything drawn with a model that is not in use any more.
        """
        async with self._db.transaction():
            board = await self._boards.get(board_id)
            if board.state is not BoardState.OPEN:
                return None
            promotion = await self._promotions.get(board.promotion_id)
            is_used = promotion == await self._promotions.current(promotion.character)
            what = "are being drawn" if is_used else "would be of a model that is not in use"
            why = f"Others were asked for by {who}, and {what}"
            await self._boards.end(board_id, BoardState.CLOSED, why)
            pictures = await self._boards.pictures(board_id)
            new = await self.fill_gaps(promotion) if is_used else None
        await self._drop(board, pictures)
        return new

    async def fill_gaps(self, promotion: Promotion) -> PictureBoard | None:
        """A board for the emotions that this model has no approved picture of; its job is queued.

        The one there is when it is being made or judged already; None when nothing is missing.
        """
        async with self._db.transaction():
            gaps = await self._gaps(promotion)
            if not gaps:
                return None
            board = await self._boards.create(promotion.id, now=self._clock())
            if board is None:
                return await self._alive(promotion)
            model = await self._shelf.model(promotion)
            # The gaps are fixed here, so that every attempt draws the same.
            facts = {"gaps": Gaps(board=board.id, model=model, emotions=gaps)}
            job = await self._engine.queue(STAGE, facts=facts)
            await self._boards.set_job(board.id, job.id)
        return await self._boards.get(board.id)

    # What is shown

    async def shown(self, board_id: int) -> Shown:
        board = await self._boards.get(board_id)
        promotion = await self._promotions.get(board.promotion_id)
        return Shown(board, promotion.character, await self._boards.pictures(board_id))

    async def find(self, message_id: int) -> PictureBoard | None:
        """The board that a message shows."""
        return await self._boards.of_message(message_id)

    async def open(self) -> list[PictureBoard]:
        """Those that people can judge, the oldest first."""
        return await self._boards.in_state(BoardState.OPEN)

    async def untold(self) -> list[PictureBoard]:
        """Boards that have ended without anybody having been shown that."""
        return await self._boards.untold()

    async def posted(self, board_id: int, *, channel_id: int, message_id: int) -> PictureBoard:
        """Remember the message that shows a board."""
        return await self._boards.posted(board_id, channel_id=channel_id, message_id=message_id)

    async def told(self, board_id: int) -> None:
        """People have been shown that it has ended."""
        await self._boards.told(board_id, now=self._clock())

    async def lost(self, board_id: int) -> None:
        """Its sheet cannot be shown, and nobody judges what they do not see."""
        why = "Their sheet is not there any more."
        if await self._boards.end(board_id, BoardState.FAILED, why):
            board = await self._boards.get(board_id)
            await self._drop(board, await self._boards.pictures(board_id))

    async def gone(self, board_id: int) -> None:
        """Somebody has deleted the message, so nothing on it was approved."""
        async with self._db.transaction():
            ended = await self._boards.end(
                board_id, BoardState.CLOSED, "Its message was deleted, so none was taken"
            )
            await self.told(board_id)
        if ended:
            board = await self._boards.get(board_id)
            await self._drop(board, await self._boards.pictures(board_id))

    # What follows by itself

    async def advance(self) -> None:
        """Bring boards in the making to where their jobs are; draw for models that never have.

        The bot may have ended between a promotion and its board.
        """
        for board in await self._boards.in_state(BoardState.MAKING):
            await self._advance(board.id)
        for promotion in await self._promotions.in_use():
            if not await self._boards.of_promotion(promotion.id):
                await self.fill_gaps(promotion)

    async def _advance(self, board_id: int) -> None:
        async with self._db.transaction():
            board = await self._boards.get(board_id)
            if board.state is not BoardState.MAKING or board.job_id is None:
                return
            job = await self._jobs.get(board.job_id)
            if job.state in UNDER_WAY:
                return
            # The job's own transaction opens the board, so one that succeeded has none of ours.
            lost = "The pictures were lost." if job.state is JobState.SUCCEEDED else ""
            why = lost or job.error or "Somebody has stopped the job."
            await self._boards.end(board_id, BoardState.FAILED, why)
        log.warning("pictures=%d failed: %s", board_id, why)

    async def _gaps(self, promotion: Promotion) -> tuple[Emotion, ...]:
        have = {image.emotion for image in await self._images.drawn_by(promotion.id)}
        return tuple(emotion for emotion in Emotion if emotion.value not in have)

    async def _alive(self, promotion: Promotion) -> PictureBoard:
        boards = await self._boards.of_promotion(promotion.id)
        return boards[-1]  # the index allows no second one, and it is the newest

    async def _drop(self, board: PictureBoard, pictures: list[ProposedPicture]) -> None:
        """Remove the sheet of an ended board, and the files of what nobody wants of it.

        The same picture may be in the library from before.
        """
        files = [picture.path for picture in pictures]
        unwanted = [path for path in files if not await self._images.exists(path)]
        for path in (*unwanted, *([board.sheet] if board.sheet else [])):
            await asyncio.to_thread(self._folder.resolve(path).unlink, missing_ok=True)


def _new_image(picture: ProposedPicture, character: str, board: PictureBoard) -> NewImage:
    return NewImage(
        character=character,
        emotion=picture.emotion,
        path=picture.path,
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        source=MODEL,
        promotion_id=board.promotion_id,
    )


def _count(taken: list[ProposedPicture], pictures: list[ProposedPicture]) -> str:
    if len(taken) == len(pictures):
        return "All"
    return f"{len(taken)} of {len(pictures)}" if taken else "None"
