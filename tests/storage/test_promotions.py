import pytest

from storage.promotions import Promotions
from storage.states import TrainingState
from storage.training_runs import TrainingRuns


@pytest.fixture
def promotions(database):
    return Promotions(database)


@pytest.fixture
def promote(database, promotions, now):
    """Of a run of its own."""

    async def promote(character):
        runs = TrainingRuns(database)
        run = await runs.create(
            character=character,
            name=f"{character.lower()}-{len(await runs.newest())}",
            base="sd15",
            steps=800,
            note="",
            requested_by="Ann",
            now=now,
        )
        await runs.move(run.id, TrainingState.FINISHED, now=now)
        path = f"models/{run.name}/promoted-100"
        about = {"run_id": run.id, "step": 100, "path": path, "sha256": "0" * 64}
        return await promotions.add(character=character, **about, who="user 1", now=now)

    return promote


async def test_the_newest_of_each_character_is_in_use(promotions, promote):
    await promote("Butcher")
    squirrel = await promote("Nutsy")
    newer = await promote("Butcher")
    assert await promotions.in_use() == [newer, squirrel]
    assert await promotions.current("BUTCHER") == newer


async def test_after_the_end_of_one_the_one_before_it_is_in_use(promotions, promote, now):
    first, second = await promote("Butcher"), await promote("Butcher")
    assert await promotions.end(second.id, who="Ben", now=now)
    assert not await promotions.end(second.id, who="Ann", now=now)
    assert await promotions.current("Butcher") == first
    await promotions.end(first.id, who="Ben", now=now)
    assert await promotions.current("Butcher") is None
    assert await promotions.in_use() == []
