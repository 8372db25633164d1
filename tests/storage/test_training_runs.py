from dataclasses import replace
from datetime import timedelta

import pytest

from storage.errors import InvalidTransition, RecordNotFound
from storage.states import TRAINING_MOVES, TrainingState
from storage.training_runs import TrainingRuns

S = TrainingState


@pytest.fixture
def runs(database):
    return TrainingRuns(database)


@pytest.fixture
def begin(runs, now):
    async def begin(name="butcher-1", character="Butcher"):
        return await runs.create(
            character=character,
            name=name,
            base="sd15",
            steps=800,
            note="Begins",
            requested_by="Ann",
            now=now,
        )

    return begin


async def test_a_new_run_is_under_way_and_has_told_nothing(begin, runs):
    run = await begin()
    assert (run.state, run.step, run.event_offset, run.restarts) == (S.RUNNING, 0, 0, 0)
    assert await runs.running() == run == await runs.get(run.id)


async def test_one_run_is_under_way_at_a_time(begin, runs):
    await begin()
    with pytest.raises(InvalidTransition, match="One network is trained at a time, and butcher-1"):
        await begin("nutsy-1", "Nutsy")
    assert len(await runs.newest()) == 1


async def test_a_paused_run_makes_room_and_cannot_come_back_before_the_other_ends(begin, runs, now):
    first = await begin()
    await runs.move(first.id, S.PAUSED, now=now)
    second = await begin("nutsy-1", "Nutsy")
    with pytest.raises(InvalidTransition, match="nutsy-1 is"):
        await runs.move(first.id, S.RUNNING, now=now)
    await runs.move(second.id, S.STOPPED, now=now)
    assert (await runs.move(first.id, S.RUNNING, now=now)).state is S.RUNNING


@pytest.mark.parametrize("source", list(S))
@pytest.mark.parametrize("target", list(S))
async def test_only_the_moves_of_the_table_are_possible(begin, runs, database, now, source, target):
    run = await begin()
    await database.execute("UPDATE training_runs SET state = ?", (source,))
    if target in TRAINING_MOVES[source]:
        moved = await runs.move(run.id, target, note="n", error="e", now=now)
        assert (moved.state, moved.note, moved.error) == (target, "n", "e")
    else:
        with pytest.raises(InvalidTransition, match=f"butcher-1 is {source}"):
            await runs.move(run.id, target, now=now)
        assert (await runs.get(run.id)).state is source


async def test_a_move_of_a_run_that_is_not_there_says_so(runs, now):
    with pytest.raises(RecordNotFound, match="no training 7"):
        await runs.move(7, S.PAUSED, now=now)


async def test_an_ended_run_is_told_of_once_and_again_after_it_went_on(begin, runs, now):
    run = await begin()
    assert await runs.untold() == []
    await runs.move(run.id, S.STOPPED, now=now)
    assert [untold.id for untold in await runs.untold()] == [run.id]
    await runs.told(run.id, now=now)
    assert await runs.untold() == []
    assert (await runs.move(run.id, S.RUNNING, now=now)).ended_at is None
    later = now + timedelta(hours=1)
    assert (await runs.move(run.id, S.FINISHED, now=later)).ended_at == later
    assert [untold.id for untold in await runs.untold()] == [run.id]


async def test_what_a_process_tells_leaves_the_words_of_people_alone(begin, runs, now):
    run = await begin()
    told = replace(run, step=7, loss=0.5, seconds_left=9.0, note="n", event_offset=99, warning="w")
    await runs.progress(told)
    assert await runs.get(run.id) == told
    await runs.move(run.id, S.PAUSED, note="Paused by Ann", now=now)
    await runs.progress(replace(told, step=8, event_offset=120))
    paused = await runs.get(run.id)
    assert (paused.step, paused.event_offset) == (8, 120)
    assert (paused.note, paused.seconds_left) == ("Paused by Ann", None)


async def test_a_run_knows_its_live_message(begin, runs):
    run = await begin()
    await runs.live_message(run.id, channel_id=5, message_id=6)
    found = await runs.get(run.id)
    assert (found.channel_id, found.message_id) == (5, 6)


async def test_runs_are_listed_newest_first_and_by_state(begin, runs, now):
    first = await begin()
    await runs.move(first.id, S.FAILED, now=now)
    second = await begin("butcher-2")
    assert [run.id for run in await runs.newest()] == [second.id, first.id]
    assert [run.id for run in await runs.newest(S.FAILED, S.PAUSED)] == [first.id]
    assert await runs.names("BUTCHER") == {"butcher-1", "butcher-2"}
