"""Stages that wait for something else: those that draw, while a network is trained."""

import asyncio
from concurrent.futures import Future
from dataclasses import replace

import pytest

from pipeline.executors import InlineExecutor
from pipeline.workflow import Lane, Workflow
from storage.states import JobState

LIMIT_S = 60


class Patient(InlineExecutor):
    """Runs its call when it is told to."""

    def __init__(self):
        super().__init__()
        self.asked = asyncio.Event()

    def submit(self, function, /, *args, timeout_s, fresh=False):
        future = Future()
        self.go = lambda: future.set_result(function(*args))
        self.asked.set()
        return future


@pytest.fixture
async def studio(toys, tmp_path):
    """Its script is written on the GPU, and its voices are not."""
    from toy_studio import TOYS, toy_studio

    script, voices = TOYS.stage("script"), TOYS.stage("voices")
    workflow = Workflow((replace(script, lane=Lane.GPU), voices))
    executors = {lane: InlineExecutor() for lane in Lane} | {Lane.GPU: Patient()}
    async with toy_studio(tmp_path, executors, workflow=workflow) as studio:
        studio.gpu = executors[Lane.GPU]
        yield studio


async def test_a_held_stage_does_not_begin_until_it_is_let_go_and_woken(studio):
    held = [True]
    studio.engine.hold("script", lambda: held[0])
    episode = await studio.make(until="script")
    await studio.engine.start()
    await asyncio.sleep(0.1)
    [job] = await studio.jobs.of_episode(episode.id)
    assert job.state is JobState.QUEUED
    held[0] = False
    studio.engine.wake()
    async with asyncio.timeout(LIMIT_S):
        await studio.gpu.asked.wait()
        studio.gpu.go()
        await studio.engine.finished(episode.id)
    [job] = await studio.jobs.of_episode(episode.id)
    assert job.state is JobState.SUCCEEDED


async def test_other_stages_go_on_while_one_is_held(studio):
    studio.engine.hold("voices", lambda: True)
    episode = await studio.make(until="voices")
    await studio.engine.start()
    async with asyncio.timeout(LIMIT_S):
        await studio.gpu.asked.wait()
        studio.gpu.go()
        await studio.engine.until_idle(Lane.GPU)
    jobs = await studio.jobs.of_episode(episode.id)
    assert [(job.stage, job.state) for job in jobs] == [
        ("script", "succeeded"),
        ("voices", "queued"),
    ]


async def test_a_held_stage_keeps_no_other_of_its_lane_waiting(toys, tmp_path):
    from toy_studio import PAID, TOYS, toy_studio

    stages = (TOYS.stage("script"), PAID.stage("voices"))
    workflow = Workflow(tuple(replace(stage, lane=Lane.GPU) for stage in stages))
    executors = {lane: InlineExecutor() for lane in Lane}
    async with toy_studio(tmp_path, executors, workflow=workflow) as studio:
        studio.engine.hold("script", lambda: True)
        held = await studio.make(until="script")
        spoken = await studio.speak()
        await studio.engine.start()
        async with asyncio.timeout(LIMIT_S):
            await studio.engine.finished(spoken.episode_id)
        assert (await studio.jobs.get(spoken.id)).state is JobState.SUCCEEDED
        [job] = await studio.jobs.of_episode(held.id)
        assert job.state is JobState.QUEUED


async def test_a_job_that_is_being_claimed_is_waited_for(studio, monkeypatch):
    claimed, settled = asyncio.Event(), asyncio.Event()
    claim_due = studio.engine._jobs.claim_due

    async def slowly(*given):
        jobs = await claim_due(*given)
        if jobs:
            claimed.set()
            await settled.wait()
        return jobs

    monkeypatch.setattr(studio.engine._jobs, "claim_due", slowly)
    await studio.make(until="script")
    await studio.engine.start()
    async with asyncio.timeout(LIMIT_S):
        await claimed.wait()
        idle = asyncio.create_task(studio.engine.until_idle(Lane.GPU))
        await asyncio.sleep(0)
        settled.set()
        await studio.gpu.asked.wait()
        assert not idle.done()
        studio.gpu.go()
        await idle


async def test_a_lane_is_idle_once_its_jobs_have_ended(studio):
    await studio.engine.until_idle(Lane.GPU)
    await studio.make(until="script")
    await studio.engine.start()
    async with asyncio.timeout(LIMIT_S):
        await studio.gpu.asked.wait()
        idle = asyncio.create_task(studio.engine.until_idle(Lane.GPU))
        await asyncio.sleep(0)
        assert not idle.done()
        studio.gpu.go()
        await idle
