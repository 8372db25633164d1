import asyncio
import os
import signal
import time

import pytest

from pipeline.services import supervision as supervision_module
from pipeline.services import training_progress
from pipeline.workflow import Lane
from storage.errors import StorageUnusable
from storage.states import TrainingState

S = TrainingState


async def test_a_run_is_trained_to_its_end_and_its_row_follows(room):
    run = await room.start(steps=4, validates_at=[2, 4], losses={"2": 0.5, "4": 0.25})
    async with room.supervised():
        ended = await room.reaches(run, state=S.FINISHED)
    assert (ended.step, ended.loss, ended.note, ended.error) == (4, 0.25, "", "")
    assert ended.ended_at == room.desk.now
    validations = await room.training.validations(run.id)
    assert [(v.step, v.folder, v.loss) for v in validations] == [
        (2, "models/butcher-1/validation-2", 0.5),
        (4, "models/butcher-1/validation-4", 0.25),
    ]
    assert set(room.told) == {run.id}


async def test_a_run_that_is_asked_for_later_begins_at_once(room):
    async with room.supervised():
        await asyncio.sleep(0)
        run = await room.training.start("Butcher", steps=3, who="Ann")
        room.plan(run, steps=3)
        await room.reaches(run, state=S.FINISHED)


async def test_a_paused_run_has_saved_and_goes_on_where_it_was(room):
    run = await room.start(waits_at=3)
    async with room.supervised():
        await room.reaches(run, step=2)
        assert (await room.training.pause("Ann")).state is S.PAUSED
        await room.ended()
        paused = await room.reaches(run, step=3)
        assert (paused.state, paused.note, paused.restarts) == (S.PAUSED, "Paused by Ann", 0)
        room.plan(run, steps=5)
        await room.training.resume("Ann")
        await room.reaches(run, state=S.FINISHED)


async def test_a_run_paused_and_resumed_in_one_breath_goes_on_without_a_mark(room):
    run = await room.start(waits_at=3)
    async with room.supervised():
        await room.reaches(run, step=2)
        await room.training.pause("Ann")
        await room.training.resume("Ann")
        assert (await room.reaches(run, step=2)).state is S.RUNNING
        room.plan(run, steps=5)
        await room.training.pause("Ann")
        await room.ended()
        await room.training.resume("Ann")
        assert (await room.reaches(run, state=S.FINISHED)).restarts == 0


async def test_a_stopped_run_ends_its_trainer_and_stays_stopped(room):
    run = await room.start(waits_at=2)
    async with room.supervised():
        await room.reaches(run, step=1)
        await room.training.stop("Ann")
        await room.ended()
    assert (await room.training.get(run.id)).state is S.STOPPED


async def test_a_stop_of_the_bot_is_quick_and_the_next_one_goes_on_by_itself(room):
    run = await room.start(waits_at=3)
    async with room.supervised():
        await room.reaches(run, step=2)
        before = time.monotonic()
    assert time.monotonic() - before < 8  # with a trainer that ends by itself: far less
    await room.ended()
    assert (await room.training.get(run.id)).state is S.RUNNING
    room.plan(run, steps=5)
    room.wire()
    async with room.supervised():
        assert (await room.reaches(run, state=S.FINISHED)).restarts == 0
    steps = (room.path / "models" / run.name / "events.jsonl").read_text().count('"kind": "step"')
    assert steps == 5


async def test_a_stop_does_not_wait_for_a_trainer_that_is_slow_to_save(room, monkeypatch):
    run = await room.start(waits_at=2, is_deaf=True)
    async with room.supervised():
        await room.reaches(run, step=1)
    [pid] = room.trainers()
    os.kill(pid, signal.SIGKILL)


async def test_a_killed_trainer_is_begun_again_from_what_it_has_saved(room):
    run = await room.start(waits_at=3, validates_at=[2])
    async with room.supervised():
        await room.reaches(run, step=2)
        room.plan(run, steps=5)
        [pid] = room.trainers()
        os.kill(pid, signal.SIGKILL)
        ended = await room.reaches(run, state=S.FINISHED)
    assert (ended.restarts, ended.error) == (0, "")


async def test_a_trainer_that_always_dies_without_a_new_step_is_given_up_with_choices(room):
    run = await room.start(dies_at=2)
    async with room.supervised():
        failed = await room.reaches(run, state=S.FAILED)
    assert failed.error.startswith("The trainer was killed 4 times in a row, as the system does")
    assert "gradient_checkpointing" in failed.error
    assert not room.trainers()


async def test_steps_that_are_not_saved_are_no_progress(room):
    run = await room.start(dies_at=[5, 2, 4, 2, 4, 2])
    async with room.supervised():
        failed = await room.reaches(run, state=S.FAILED)
    assert "in a row" in failed.error
    events = (room.path / "models" / run.name / "events.jsonl").read_text()
    assert events.count('"started"') == 4


async def test_a_trainer_that_gets_further_each_time_is_begun_again_more_often(room):
    run = await room.start(steps=12, validates_at=list(range(1, 13)), dies_at=2)
    async with room.supervised():
        for step in range(2, 8):
            await room.reaches(run, step=step - 1)
            room.plan(run, steps=12, validates_at=list(range(1, 13)), dies_at=step + 1)
        room.plan(run, steps=12)
        await room.reaches(run, state=S.FINISHED)


async def test_a_bug_in_the_trainer_is_given_up_and_the_log_is_named(room):
    run = await room.start(exits=1)
    async with room.supervised():
        failed = await room.reaches(run, state=S.FAILED)
    assert "(exit code 1); the end of models/butcher-1/trainer.log says why" in failed.error


async def test_a_trainer_that_refuses_is_not_begun_again_and_its_sentence_is_shown(room):
    run = await room.start(exits=2)
    async with room.supervised():
        assert (await room.reaches(run, state=S.FAILED)).error == "This sentence says why."
    log = (room.path / "models" / run.name / "trainer.log").read_text()
    assert log.count("This sentence") == 1


async def test_a_failed_run_can_be_resumed_when_its_cause_is_gone(room):
    run = await room.start(exits=2)
    async with room.supervised():
        await room.reaches(run, state=S.FAILED)
        room.plan(run, steps=5)
        await room.training.resume("Ann")
        assert (await room.reaches(run, state=S.FINISHED)).error == ""


async def test_a_run_whose_folder_is_gone_fails_with_a_sentence(room):
    run = await room.start()
    (room.path / "models" / run.name).rename(room.path / "elsewhere")
    async with room.supervised():
        failed = await room.reaches(run, state=S.FAILED)
    assert failed.error.startswith("The training cannot begin (No such file or directory)")


async def test_lines_that_are_no_events_are_passed_over(room):
    lines = [
        *("no json", "{}", '{"kind": "dance"}', "\x00\xff", '{"kind": "step", "step": 1e99}'),
        '{"kind": "step", "step": 99999999999999999999, "loss": 0.5}',
        '{"kind": "step", "step": -4, "loss": 0.5}',
        '{"kind": "step", "step": 2, "loss": NaN}',
        '{"kind": "validation", "step": 2, "folder": "../../../etc"}',
        '{"kind": "warning", "note": "' + "long " * 1000 + '"}',
    ]
    run = await room.start(steps=3, lines=lines)
    async with room.supervised():
        ended = await room.reaches(run, state=S.FINISHED)
    assert (ended.step, len(ended.warning)) == (3, training_progress.LONGEST_TEXT)
    assert await room.training.validations(run.id) == []


async def test_each_line_is_taken_in_once_although_the_bot_starts_again(room):
    run = await room.start(steps=4, validates_at=[2, 4], waits_at=3)
    async with room.supervised():
        await room.reaches(run, step=2)
        await room.training.closed(run.id, 2, "its message was deleted")
    room.plan(run, steps=4, validates_at=[2, 4])
    room.wire()
    async with room.supervised():
        ended = await room.reaches(run, state=S.FINISHED)
    assert [v.step for v in await room.training.open_validations()] == [4]
    assert ended.event_offset == (room.path / "models/butcher-1/events.jsonl").stat().st_size


async def test_a_row_that_cannot_be_written_costs_no_line_and_no_training(room, monkeypatch):
    progress, refused = type(room.runs).progress, []

    async def full_at_first(self, run):
        if len(refused) < 3:
            refused.append(run.step)
            raise StorageUnusable("The database cannot be used: disk full.")
        await progress(self, run)

    monkeypatch.setattr(type(room.runs), "progress", full_at_first)
    run = await room.start(steps=4, validates_at=[2])
    async with room.supervised():
        ended = await room.reaches(run, state=S.FINISHED)
    assert (len(refused), ended.step, ended.restarts) == (3, 4, 0)
    assert [v.step for v in await room.training.validations(run.id)] == [2]


async def test_rows_that_cannot_be_read_are_tried_again(room, monkeypatch):
    running, refused = type(room.runs).running, []

    async def broken_at_first(self):
        if len(refused) < 3:
            refused.append(1)
            raise StorageUnusable("The database cannot be used: I/O error.")
        return await running(self)

    run = await room.start(steps=2)
    monkeypatch.setattr(type(room.runs), "running", broken_at_first)
    async with room.supervised():
        await room.reaches(run, state=S.FINISHED)


async def test_too_little_disk_pauses_before_it_begins_and_while_it_runs(room):
    run = await room.start(waits_at=2)
    room.free = 10**9
    async with room.supervised():
        paused = await room.reaches(run, state=S.PAUSED)
        assert paused.note.startswith("Paused: 1.0 GB of disk are free, and checkpoints need 2.0")
        room.free = 10**12
        await room.training.resume("Ann")
        await room.reaches(run, step=1)
        room.free = 10**9
        await room.reaches(run, state=S.PAUSED)
        await room.ended()
    assert (room.path / "models" / run.name / "checkpoint-2").is_dir()


async def test_three_more_checkpoints_must_fit_on_the_disk(room):
    run = await room.start(waits_at=3)
    checkpoint = room.path / "models" / run.name / "checkpoint-1"
    checkpoint.mkdir()
    with (checkpoint / "optimizer.safetensors").open("wb") as file:
        file.truncate(3 * 10**9)
    room.free = 8 * 10**9
    async with room.supervised():
        paused = await room.reaches(run, state=S.PAUSED)
    assert "8.0 GB of disk are free, and checkpoints need 9.0 GB" in paused.note


async def test_a_run_is_paused_after_a_day(room):
    run = await room.start(waits_at=2)
    async with room.supervised():
        await room.reaches(run, step=1)
        room.monotonic = supervision_module.LONGEST_S + 1
        paused = await room.reaches(run, state=S.PAUSED)
        await room.ended()
    assert paused.note == "Paused after 24 hours; `/train resume` goes on."


async def test_a_trainer_that_falls_silent_is_begun_again(room):
    run = await room.start(waits_at=3, validates_at=[2], is_deaf=True)
    async with room.supervised():
        await room.reaches(run, step=2)
        room.plan(run, steps=5)
        room.monotonic = supervision_module.LONGEST_SILENCE_S + 1
        await room.reaches(run, state=S.FINISHED)


async def test_a_loss_that_rises_twice_is_warned_of(room):
    losses = {"1": 0.3, "2": 0.1, "3": 0.2, "4": 0.25}
    run = await room.start(steps=4, validates_at=[1, 2, 3, 4], losses=losses)
    async with room.supervised():
        ended = await room.reaches(run, state=S.FINISHED)
    assert "risen twice in a row (0.1000, 0.2000, 0.2500)" in ended.warning


async def test_nothing_is_drawn_while_a_run_lives_and_all_is_afterwards(room):
    engine, gpu = room.desk.engine, room.desk.gpu
    run = await room.start(waits_at=2)
    assert engine._stages(Lane.GPU) == ("drawings",)
    await room.training.hold()
    assert engine._stages(Lane.GPU) == ()
    assert "images" in engine._stages(Lane.CPU)
    async with room.supervised():
        await room.reaches(run, step=1)
        assert gpu.is_taken
        engine._awake.clear()
        await room.training.pause("Ann")
        await asyncio.wait_for(engine._awake.wait(), 60)
        assert not room.trainers()
        assert engine._stages(Lane.GPU) == ("drawings",)
    assert not gpu.is_taken


async def test_what_is_drawn_already_is_waited_for_before_a_run_begins(room, monkeypatch):
    asked, drawn = [], asyncio.Event()

    async def until_idle(lane):
        asked.append((lane, room.desk.gpu.is_taken))
        await drawn.wait()

    async def waiting():
        return asked

    monkeypatch.setattr(room.desk.engine, "until_idle", until_idle)
    run = await room.start(steps=2)
    async with room.supervised():
        assert await room.until(waiting) == [(Lane.GPU, True)]
        assert not room.trainers()
        drawn.set()
        await room.reaches(run, state=S.FINISHED)


async def test_a_worker_of_before_draws_no_more_when_a_run_goes_on(room, monkeypatch):
    ended = []
    monkeypatch.setattr("pipeline.engine.end_old_workers", ended.append)
    await room.training.hold()
    assert not ended
    await room.start()
    await room.training.hold()
    assert ended == [room.desk.folder.run]


async def test_an_old_trainer_is_waited_for_before_another_begins(room):
    run = await room.start(waits_at=3)
    async with room.supervised() as task:
        await room.reaches(run, step=2)
        [old] = room.trainers()
        os.kill(old, signal.SIGSTOP)  # as slow as can be
        task.cancel()
    room.plan(run, steps=5)
    room.wire()
    async with room.supervised():
        await asyncio.sleep(0.2)
        assert room.trainers() == [old]
        os.kill(old, signal.SIGCONT)
        assert (await room.reaches(run, state=S.FINISHED)).restarts == 0


async def test_what_an_old_trainer_told_last_is_taken_in_before_the_next_begins(room):
    run = await room.start(steps=4, waits_at=3)
    async with room.supervised():
        await room.reaches(run, step=2)
    await room.ended()
    (room.path / "models" / run.name / "plan.json").write_text('{"exits": 2}')
    room.wire()
    async with room.supervised():
        assert (await room.reaches(run, state=S.FAILED)).step == 3


@pytest.mark.parametrize("size", [0, 10])
async def test_events_that_were_cut_are_read_from_their_beginning(room, size):
    run = await room.start(steps=3, waits_at=2)
    async with room.supervised():
        await room.reaches(run, step=1)
        await room.training.pause("Ann")
        await room.ended()
    events = room.path / "models" / run.name / "events.jsonl"
    events.write_bytes(b"x" * (size - 1) + b"\n" if size else b"")
    room.plan(run, steps=3)
    await room.training.resume("Ann")
    async with room.supervised():
        assert (await room.reaches(run, state=S.FINISHED)).step == 3
