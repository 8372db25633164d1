"""`kill -9` of the bot or of a worker in every stage: the reel is finished, nothing is redone."""

import os
import signal
from itertools import groupby

import pytest

STAGES = ("trends", "script", "voices", "images", "video", "preview")


def handed_out(night):
    """How often each stage was given to a worker, in order."""
    stages = [line.removeprefix("worker ") for line in night.steps("worker ")]
    return [(stage, len(list(group))) for stage, group in groupby(stages)]


async def finish(night):
    """From the draft to the post, as if nothing had happened."""
    draft = await night.draft(1, timeout_s=240)
    assert night.drafts() == [draft]
    await night.approve(draft)
    assert await night.slot_ends() == "posted"
    (post,) = night.instagram.posts
    assert post.sha256 == night.approved_sha256()


def all_succeeded_once(night):
    rows = night.rows("SELECT stage, state FROM jobs ORDER BY id")
    assert rows == [(stage, "succeeded") for stage in STAGES]


async def evening_of_kills(night, moment, stages):
    """The bot is killed once in each stage, at the same moment of it."""
    await night.launch_to_die(moment.format(stage=stages[0]))
    await night.discord.wait_ready(60)
    night.discord.invoke(night.approver, "make")
    await night.died()
    for stage in stages[1:]:
        await night.launch_to_die(moment.format(stage=stage))
        await night.died(timeout_s=180)
    await night.launch()
    await finish(night)
    all_succeeded_once(night)


async def test_a_kill_in_every_stage_costs_that_stage_alone(empty_night):
    await evening_of_kills(empty_night, "worker {stage}", STAGES)
    assert handed_out(empty_night) == [(stage, 2) for stage in STAGES]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before settle {stage}", "after settle {stage}"])
async def test_a_kill_around_the_end_of_a_stage_costs_no_work(empty_night, moment):
    await evening_of_kills(empty_night, moment, STAGES)
    assert handed_out(empty_night) == [(stage, 1) for stage in STAGES]


def files_of(night, pattern):
    folder = night.data_dir / "episodes" / "1" / "v2"
    return {path: path.stat().st_mtime_ns for path in sorted(folder.glob(pattern))}


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_the_drawing_keeps_the_voices(night):
    await night.launch()
    await night.edit()
    await night.until_running("video", fraction=0.2)
    voices = files_of(night, "audio/*")
    await night.kill()
    await night.nobody_is_left()
    await night.launch()
    await night.second_revision_goes_out()
    assert len(voices) == 5
    assert files_of(night, "audio/*") == voices
    assert handed_out(night) == [("voices", 1), ("images", 1), ("video", 2), ("preview", 1)]


async def test_a_killed_worker_costs_its_job_one_attempt(night):
    await night.launch()
    await night.edit()
    await night.until_running("video", fraction=0.1)
    for pid in night.workers():
        os.kill(pid, signal.SIGKILL)
    await night.second_revision_goes_out()
    attempts = dict(night.rows("SELECT stage, attempt FROM jobs WHERE revision = 2"))
    assert attempts == {"voices": 1, "images": 1, "video": 2, "preview": 1}
    assert handed_out(night) == [("voices", 1), ("images", 1), ("video", 2), ("preview", 1)]


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
async def test_a_signal_in_the_middle_of_the_drawing_loses_nothing(night, signum):
    await night.launch()
    await night.edit()
    await night.until_running("video", fraction=0.1)
    night.process.send_signal(signum)
    assert await night.ended(10) == 0
    assert night.alive() == []
    assert night.rows("SELECT state FROM jobs WHERE stage = 'video' AND revision = 2") == [
        ("queued",)
    ]
    await night.launch()
    await night.second_revision_goes_out()
    assert handed_out(night) == [("voices", 1), ("images", 1), ("video", 2), ("preview", 1)]
