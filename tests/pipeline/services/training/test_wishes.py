"""A stop or a pause asked for by reaction: done once, and again only when asked for again."""

from datetime import UTC, datetime

import pytest

from pipeline.errors import UserError
from pipeline.services.wishes import Wishes
from storage.database import Database
from storage.training_runs import TrainingRuns
from storage.validations import Validations

PAUSE = "⏸️"
ANN, BOB = 1, 2
NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)


class Acts:
    """Counts how often it was asked; fails with `error` if that is given."""

    def __init__(self, error=None):
        self.count = 0
        self._error = error

    async def __call__(self):
        self.count += 1
        if self._error is not None:
            raise self._error


@pytest.fixture
async def wishes(tmp_path):
    async with await Database.open(tmp_path / "studio.db") as database:
        run = await TrainingRuns(database).create(
            character="Boxy",
            name="boxy-1",
            base="tiny",
            steps=10,
            note="",
            requested_by="Ann",
            now=NOW,
        )
        await Validations(database).add(run.id, 5, folder="models/x", loss=None, now=NOW)
        yield Wishes(database)


async def test_a_reaction_is_new_until_it_is_done(wishes):
    act = Acts()
    assert await wishes.new(1, 5, PAUSE, {ANN}) == {ANN}
    assert await wishes.heed(1, 5, PAUSE, {ANN}, act) == ""
    assert await wishes.new(1, 5, PAUSE, {ANN}) == frozenset()
    assert await wishes.new(1, 5, PAUSE, {ANN, BOB}) == {BOB}
    assert act.count == 1


async def test_one_that_was_taken_back_is_new_again(wishes):
    await wishes.heed(1, 5, PAUSE, {ANN}, Acts())
    assert await wishes.new(1, 5, PAUSE, set()) == frozenset()
    assert await wishes.new(1, 5, PAUSE, {ANN}) == {ANN}


async def test_each_emoji_counts_for_itself(wishes):
    await wishes.heed(1, 5, PAUSE, {ANN}, Acts())
    assert await wishes.new(1, 5, "❌", {ANN}) == {ANN}


async def test_what_cannot_be_done_is_a_sentence_and_not_tried_again(wishes):
    act = Acts(UserError("No training is running."))
    assert await wishes.heed(1, 5, PAUSE, {ANN}, act) == "No training is running."
    assert await wishes.new(1, 5, PAUSE, {ANN}) == frozenset()


async def test_what_fails_in_the_middle_is_not_done(wishes):
    with pytest.raises(OSError, match="killed"):
        await wishes.heed(1, 5, PAUSE, {ANN}, Acts(OSError("killed")))
    assert await wishes.new(1, 5, PAUSE, {ANN}) == {ANN}
