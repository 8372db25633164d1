import pytest

from storage.decisions import Door
from storage.errors import RecordNotFound
from storage.training_runs import TrainingRuns
from storage.validations import Validations

ANN, BEN = 1, 2


@pytest.fixture
def validations(database):
    return Validations(database)


@pytest.fixture
async def run(database, now):
    runs = TrainingRuns(database)
    given = {"base": "sd15", "steps": 800, "note": "", "requested_by": "Ann", "now": now}
    return await runs.create(character="Butcher", name="butcher-1", **given)


@pytest.fixture
def add(validations, run, now):
    async def add(step, loss=None):
        folder = f"models/butcher-1/validation-{step}"
        await validations.add(run.id, step, folder=folder, loss=loss, now=now)
        return await validations.get(run.id, step)

    return add


async def test_a_validation_told_twice_is_one_and_keeps_its_message(add, validations, run):
    await add(100, loss=0.2)
    await validations.shown(run.id, 100, channel_id=5, message_id=6)
    again = await add(100, loss=0.1)
    assert (again.message_id, again.loss) == (6, 0.1)
    assert await validations.of_message(6) == again
    assert len(await validations.of_run(run.id)) == 1


async def test_those_that_have_not_ended_are_open(add, validations, run):
    await add(200)
    await add(100)
    assert await validations.end(run.id, 200, "gone")
    assert not await validations.end(run.id, 200, "gone again")
    assert [validation.step for validation in await validations.open()] == [100]
    assert [validation.ended for validation in await validations.of_run(run.id)] == ["", "gone"]


async def test_a_step_without_validation_is_named(validations, run):
    with pytest.raises(RecordNotFound, match="no validation at step 300"):
        await validations.get(run.id, 300)


async def test_reactions_replace_reactions_and_leave_commands_alone(add, validations, run, now):
    await add(100)
    await validations.vote(run.id, 100, ANN, door=Door.COMMAND, now=now)
    await validations.match(run.id, 100, {ANN, BEN}, door=Door.REACTION, now=now)
    await validations.match(run.id, 100, {BEN}, door=Door.REACTION, now=now)
    assert await validations.votes(run.id, 100) == [(ANN, Door.COMMAND), (BEN, Door.REACTION)]


async def test_a_vote_given_twice_counts_once(add, validations, run, now):
    await add(100)
    await validations.vote(run.id, 100, ANN, door=Door.COMMAND, now=now)
    await validations.vote(run.id, 100, ANN, door=Door.COMMAND, now=now)
    assert await validations.votes(run.id, 100) == [(ANN, Door.COMMAND)]
    await validations.forget_votes(run.id, 100)
    assert await validations.votes(run.id, 100) == []
