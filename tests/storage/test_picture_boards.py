"""Rows of boards: one alive per promotion, opened once, ended once."""

import sqlite3
from datetime import UTC, datetime

import pytest

from storage.errors import RecordNotFound
from storage.picture_boards import NewDrawing, PictureBoards
from storage.pitches import BoardState
from storage.promotions import Promotions
from storage.training_runs import TrainingRuns

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DRAWING = NewDrawing(
    emotion="sad", path="library/nutsy/sad/1.png", sha256="0" * 64, width=2, height=3, score=0.5
)


@pytest.fixture
async def boards(database):
    return PictureBoards(database)


@pytest.fixture
async def promotion(database):
    run = await TrainingRuns(database).create(
        character="Nutsy",
        name="nutsy-1",
        base="tiny",
        steps=9,
        note="",
        requested_by="Margot",
        now=NOW,
    )
    return await Promotions(database).add(
        character="Nutsy",
        run_id=run.id,
        step=9,
        path="models/nutsy-1/promoted-9",
        sha256="a" * 64,
        who="Margot",
        now=NOW,
    )


async def test_a_promotion_has_one_board_alive(boards, promotion):
    first = await boards.create(promotion.id, now=NOW)
    assert await boards.create(promotion.id, now=NOW) is None

    await boards.end(first.id, BoardState.CLOSED, "None taken")

    second = await boards.create(promotion.id, now=NOW)
    assert [board.id for board in await boards.of_promotion(promotion.id)] == [first.id, second.id]


async def test_a_board_is_opened_once_with_its_drawings_in_order(boards, promotion):
    board = await boards.create(promotion.id, now=NOW)

    assert await boards.fill(board.id, [DRAWING, DRAWING], sheet="library/boards/1.png")
    assert not await boards.fill(board.id, [DRAWING], sheet="library/boards/2.png")

    opened = await boards.get(board.id)
    assert (opened.state, opened.sheet) == (BoardState.OPEN, "library/boards/1.png")
    assert [picture.number for picture in await boards.pictures(board.id)] == [1, 2]


async def test_drawings_of_a_board_that_has_ended_are_not_stored(boards, promotion):
    board = await boards.create(promotion.id, now=NOW)
    await boards.end(board.id, BoardState.FAILED, "Somebody has stopped the job.")

    assert not await boards.fill(board.id, [DRAWING], sheet="library/boards/1.png")
    assert await boards.pictures(board.id) == []


async def test_a_board_ends_once_and_is_told_once(boards, promotion):
    board = await boards.create(promotion.id, now=NOW)
    assert await boards.end(board.id, BoardState.CLOSED, "All taken")
    assert not await boards.end(board.id, BoardState.FAILED, "Lost")

    assert [b.ended for b in await boards.untold()] == ["All taken"]
    await boards.told(board.id, now=NOW)
    assert await boards.untold() == []


async def test_a_board_is_found_by_its_message(boards, promotion):
    board = await boards.create(promotion.id, now=NOW)
    posted = await boards.posted(board.id, channel_id=5, message_id=6)

    assert await boards.of_message(6) == posted
    assert await boards.of_message(7) is None


async def test_a_board_of_nothing_cannot_be(boards):
    with pytest.raises(sqlite3.IntegrityError):
        await boards.create(77, now=NOW)
    with pytest.raises(RecordNotFound, match="There is no board of pictures 77"):
        await boards.get(77)
