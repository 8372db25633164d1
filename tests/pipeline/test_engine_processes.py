"""The engine on real worker processes: what is killed, stopped or cancelled."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from storage.states import JobState


@pytest.fixture
def plan(tmp_path):
    def plan(**runs):
        (tmp_path / "plan.json").write_text(json.dumps(runs))

    return plan


@pytest.fixture
def make_studio(toys, tmp_path, pools):
    from toy_studio import toy_studio

    def make_studio(**options):
        return toy_studio(tmp_path, pools, **options)

    return make_studio


@pytest.fixture
async def studio(make_studio):
    async with make_studio() as studio:
        await studio.engine.start()
        yield studio


def lines(folder):
    file = folder / "runs.txt"
    return file.read_text().splitlines() if file.exists() else []


def pids(folder):
    return [int(line.split()[1]) for line in lines(folder) if line.startswith("pid ")]


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until(condition, timeout_s=30.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it looks at files
            await asyncio.sleep(0.01)


async def finished(studio, episode):
    async with asyncio.timeout(30):
        await studio.engine.finished(episode.id)
    return await studio.jobs.of_episode(episode.id)


async def test_a_chain_runs_in_worker_processes(studio):
    jobs = await finished(studio, await studio.make())
    assert [job.state for job in jobs] == ["succeeded"] * 4


async def test_a_stage_whose_worker_is_killed_is_run_again(studio, plan, tmp_path):
    plan(voices=["sleep"])
    episode = await studio.make()
    await until(lambda: pids(tmp_path))
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    jobs = await finished(studio, episode)
    assert [(job.stage, job.state, job.attempt) for job in jobs] == [
        ("script", "succeeded", 1),
        ("voices", "succeeded", 2),
        ("images", "succeeded", 1),
        ("video", "succeeded", 1),
    ]
    retried = next(event.job for event in studio.events if event.kind == "retrying")
    assert (retried.error_kind, retried.error) == (
        "worker_died",
        "The process of the voices stage was killed.",
    )


async def test_killing_one_worker_leaves_the_job_of_another_alone(studio, plan, tmp_path):
    plan(voices=["sleep"], script=["work", "until_cancelled"])
    first = await studio.make(until="voices")
    await until(lambda: pids(tmp_path))
    await studio.make(until="script")
    await until(lambda: lines(tmp_path).count("script start") == 2)
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    await finished(studio, first)
    (other,) = await studio.jobs.open()
    assert (other.stage, other.state, other.attempt) == ("script", JobState.RUNNING, 1)


async def test_a_stage_that_kills_its_process_every_time_is_bounded(studio, plan):
    plan(script=["die"] * 9)
    (job,) = await finished(studio, await studio.make())
    assert (job.state, job.attempt, job.error_kind) == (JobState.FAILED, 3, "worker_died")


async def test_a_stage_that_takes_too_long_is_ended_and_run_again(
    make_studio, plan, tmp_path, toys
):
    from toy_studio import with_limit

    plan(script=["sleep_with_child"])
    async with make_studio(workflow=with_limit(4.0)) as studio:
        await studio.engine.start()
        (job,) = await finished(studio, await studio.make(until="script"))
    retried = next(event.job for event in studio.events if event.kind == "retrying")
    assert retried.error == "The script stage took longer than 4 s and was ended."
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)
    await until(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))


async def test_a_cancelled_stage_may_stop_by_itself(studio, plan):
    plan(script=["until_cancelled"])
    episode = await studio.make()
    (job,) = await studio.jobs.open()
    await until(lambda: any(event.kind == "progress" for event in studio.events))
    await studio.engine.cancel(job.id)
    (job,) = await finished(studio, episode)
    assert job.state is JobState.CANCELLED
    assert studio.heard()[-1] == "script cancelled"


async def test_a_cancelled_stage_that_does_not_stop_is_ended_with_its_children(
    make_studio, plan, tmp_path
):
    plan(script=["sleep_with_child"])
    async with make_studio(cancel_grace_s=0.1) as studio:
        await studio.engine.start()
        episode = await studio.make()
        (job,) = await studio.jobs.open()
        await until(lambda: len(pids(tmp_path)) == 2)
        await studio.engine.cancel(job.id)
        (job,) = await finished(studio, episode)
    assert job.state is JobState.CANCELLED
    await until(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))


async def test_a_stage_that_needs_longer_to_stop_cleanly_gets_it(make_studio, plan, tmp_path):
    plan(voices=["stop_when_it_can"])
    async with make_studio(cancel_grace_s=0.0) as studio:
        await studio.engine.start()
        episode = await studio.make(until="voices")
        await until(lambda: lines(tmp_path).count("voices start") == 1)
        (job,) = await studio.jobs.open()
        await studio.engine.cancel(job.id)
        job = (await finished(studio, episode))[-1]
    assert (job.stage, job.state) == ("voices", JobState.CANCELLED)
    assert "voices finished its line" in lines(tmp_path)


async def test_progress_is_heard_while_the_stage_runs(studio, plan):
    plan(script=["sleep"])
    await studio.make()
    await until(lambda: any(event.kind == "progress" for event in studio.events))
    (job,) = await studio.jobs.running()
    assert (job.fraction, job.note) == (0.25, "sleeping")


async def test_an_attempt_that_is_given_up_takes_its_worker_along(studio, plan, tmp_path):
    plan(script=["sleep_with_child"])
    await studio.make()
    await until(lambda: len(pids(tmp_path)) == 2)
    (attempt,) = studio.engine._attempts.values()
    attempt.task.cancel()
    await until(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))


async def test_stopping_takes_no_time_and_gives_the_job_back(studio, plan, tmp_path):
    plan(script=["sleep_with_child"])
    await studio.make()
    await until(lambda: len(pids(tmp_path)) == 2)
    await asyncio.wait_for(studio.engine.stop(grace_s=60), 30)
    (job,) = await studio.jobs.open()
    assert (job.state, job.attempt, job.max_attempts) == (JobState.QUEUED, 1, 4)
    await until(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))


async def test_workers_of_a_stage_see_no_secret(studio, plan, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    plan(script=["show_environment"])
    await finished(studio, await studio.make(until="script"))
    shown = (tmp_path / "environ").read_bytes() + (tmp_path / "cmdline").read_bytes()
    assert b"pipeline.worker" in shown
    assert b"secret" not in shown


async def test_a_lane_claims_no_more_than_it_has_workers(studio, plan):
    plan(script=["sleep"] * 3)
    for _ in range(3):
        await studio.make(until="script")
    await until(lambda: any(event.kind == "progress" for event in studio.events))
    assert [job.state for job in await studio.jobs.open()] == ["running", "queued", "queued"]
