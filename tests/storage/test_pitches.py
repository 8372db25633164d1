"""Boards of pitches as rows."""

import sqlite3
from datetime import UTC, datetime

import pytest

from storage.episodes import Episodes
from storage.pitches import BoardState, NewPitch, PitchBoards

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def pitch(topic):
    return NewPitch(
        topic=topic, source="google", headlines=("A", "B"), hook="Why?", last_line="No.", why=""
    )


@pytest.fixture
async def boards(database):
    return PitchBoards(database)


@pytest.fixture
async def board(boards):
    made = await boards.create(count=2, requested_by="Margot", now=NOW)
    await boards.fill(made.id, [pitch("Pigeons"), pitch("Coffee")])
    return made


async def test_a_board_opens_with_its_pitches_numbered(boards, board):
    first, second = await boards.pitches(board.id)
    assert (first.number, first.topic, first.headlines) == (1, "Pigeons", ("A", "B"))
    assert (second.number, second.episode_id) == (2, None)
    assert [b.id for b in await boards.in_state(BoardState.OPEN)] == [board.id]
    assert await boards.pitched_topics() == {"Pigeons", "Coffee"}


async def test_a_board_is_filled_once_and_not_after_its_end(boards, board):
    assert not await boards.fill(board.id, [pitch("Socks")])
    ended = await boards.create(count=1, requested_by="Margot", now=NOW)
    await boards.end(ended.id, BoardState.FAILED, "The writer is out of order.")
    assert not await boards.fill(ended.id, [pitch("Socks")])
    assert await boards.pitches(ended.id) == []


async def test_a_pitch_becomes_one_episode(boards, board, database):
    for topic, is_first in (("Pigeons", True), ("Pigeons again", False)):
        episode = await Episodes(database).create(topic=topic, now=NOW)
        assert await boards.take(board.id, 1, episode.id) is is_first
    assert (await boards.pitches(board.id))[0].episode_id == 1


async def test_a_board_ends_once_and_is_told_once(boards, board):
    assert await boards.end(board.id, BoardState.CLOSED, "All of them are being made")
    assert not await boards.end(board.id, BoardState.FAILED, "Too late")
    (untold,) = await boards.untold()
    assert (untold.state, untold.ended) == (BoardState.CLOSED, "All of them are being made")
    await boards.told(board.id, now=NOW)
    assert await boards.untold() == []


async def test_a_board_is_replaced_by_one_other(boards, board):
    await boards.create(count=2, requested_by="Margot", now=NOW, replaces=board.id)
    with pytest.raises(sqlite3.IntegrityError):
        await boards.create(count=2, requested_by="Ann", now=NOW, replaces=board.id)
