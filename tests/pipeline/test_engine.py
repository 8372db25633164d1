import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pipeline import runner
from pipeline.attempts import Outcome, OutcomeState, write_outcome
from pipeline.errors import UserError
from pipeline.executors import InlineExecutor
from pipeline.facts import Memory
from pipeline.sections import Brief, Script
from pipeline.settlement import ErrorKind, retry_delay_s
from pipeline.workflow import Lane
from storage.errors import InvalidTransition, RecordNotFound, StorageUnusable
from storage.states import EpisodeState, JobState

NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
BRIEF = Brief(episode=1, topic="pigeons", created_at=NOW)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def plan(tmp_path):
    def plan(**runs):
        (tmp_path / "plan.json").write_text(json.dumps(runs))

    return plan


@pytest.fixture
async def studio(toys, tmp_path, clock):
    from toy_studio import toy_studio

    executors = {lane: InlineExecutor() for lane in Lane}
    async with toy_studio(tmp_path, executors, clock=clock) as studio:
        yield studio


async def settled(studio, job):
    """Waits until the job is neither running nor due."""
    async with asyncio.timeout(30):
        while True:
            shown = await studio.jobs.get(job.id)
            if shown.state is not JobState.RUNNING and shown.attempt > job.attempt:
                return shown
            await asyncio.sleep(0.01)


async def ended(studio, episode):
    if not studio.engine.is_alive():  # a second start would take running jobs for old ones
        await studio.engine.start()
    async with asyncio.timeout(30):
        await studio.engine.finished(episode.id)
    return await studio.jobs.of_episode(episode.id)


async def test_a_chain_runs_to_its_last_stage(studio):
    episode = await studio.make()
    jobs = await ended(studio, episode)
    assert [(job.stage, job.state) for job in jobs] == [
        ("script", "succeeded"),
        ("voices", "succeeded"),
        ("images", "succeeded"),
        ("video", "succeeded"),
    ]
    sections = (await studio.episodes.revision(episode.id, 1)).sections
    assert list(sections) == ["brief", "script", "voices", "images", "video"]


async def test_a_chain_ends_where_it_was_asked_to(studio):
    jobs = await ended(studio, await studio.make(until="voices"))
    assert [job.stage for job in jobs] == ["script", "voices"]


async def test_artefacts_lie_in_the_revisions_folder_and_nothing_is_left_over(studio, tmp_path):
    episode = await studio.make()
    await ended(studio, episode)
    assert sorted(p.name for p in studio.folder.revision(episode.id, 1).iterdir()) == [
        "images.txt",
        "reel.mp4",
        "script.txt",
        "video.txt",
        "voices.txt",
    ]
    assert list((tmp_path / "jobs").iterdir()) == []


async def test_events_and_hooks_come_in_order(studio):
    await ended(studio, await studio.make(until="voices"))
    assert studio.heard() == [
        "script queued",
        "script started",
        "script succeeded",
        "voices queued",
        "voices started",
        "voices succeeded",
    ]
    assert studio.hooks.told == ["script settled", "voices settled"]


async def test_progress_is_heard_and_kept(studio):
    await ended(studio, await studio.make(until="script"))
    progress = [event.job for event in studio.events if event.kind == "progress"]
    assert [(job.fraction, job.note) for job in progress] == [(0.5, "half way")]


async def test_the_metrics_of_the_run_are_recorded(studio):
    await ended(studio, await studio.make(until="voices"))
    row = await studio.database.fetch_one("SELECT * FROM generation_metrics")
    assert (row["result"], row["cost_usd"], row["seconds_video"]) == ("succeeded", 0.5, None)
    assert row["seconds_total"] == pytest.approx(row["seconds_script"] + row["seconds_audio"])


async def test_the_newest_metrics_of_a_finished_chain_have_all_its_seconds(studio):
    await ended(studio, await studio.make())
    row = await studio.database.fetch_one(
        "SELECT * FROM generation_metrics ORDER BY timestamp DESC LIMIT 1;"
    )
    stages = ("seconds_script", "seconds_audio", "seconds_images", "seconds_video")
    assert row["result"] == "succeeded"
    assert row["seconds_total"] == pytest.approx(sum(row[name] for name in stages))


async def test_a_user_error_is_not_tried_again(studio, plan):
    plan(script=["user_error"])
    (job,) = await ended(studio, await studio.make())
    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert (job.error, job.error_kind) == ("The topic is too sad; choose another.", "user")
    assert studio.hooks.told == ["script failed"]


async def test_a_provider_that_may_recover_is_asked_again_after_a_pause(studio, plan, clock):
    plan(script=["provider_error"])
    await studio.make(until="script")
    (queued,) = await studio.jobs.open()
    await studio.engine.start()
    waiting = await settled(studio, queued)
    assert (waiting.state, waiting.error) == (JobState.QUEUED, "openai: is overloaded.")
    assert waiting.run_after == NOW + timedelta(seconds=5)
    clock.now = waiting.run_after
    studio.engine.wake()
    assert (await settled(studio, waiting)).state is JobState.SUCCEEDED
    assert "script retrying" in studio.heard()


async def test_a_service_that_names_its_pause_gets_it(studio, plan):
    plan(script=["asked_to_wait"])
    await studio.make()
    (queued,) = await studio.jobs.open()
    await studio.engine.start()
    assert (await settled(studio, queued)).run_after == NOW + timedelta(seconds=120)


async def test_a_service_that_refuses_is_not_asked_again(studio, plan):
    plan(script=["refused"])
    (job,) = await ended(studio, await studio.make())
    assert (job.state, job.error) == (JobState.FAILED, "openai: does not know this key.")


async def test_a_job_that_always_fails_is_tried_as_often_as_allowed(studio, plan, clock):
    plan(script=["bug"] * 9)
    await studio.make()
    (job,) = await studio.jobs.open()
    await studio.engine.start()
    for _ in range(3):
        clock.now += timedelta(hours=1)
        studio.engine.wake()
        job = await settled(studio, job)
    assert (job.state, job.attempt, job.error_kind) == (JobState.FAILED, 3, "bug")


async def test_the_traceback_of_a_bug_is_in_the_log_only(studio, plan, caplog):
    plan(script=["bug"])
    await studio.make()
    (job,) = await studio.jobs.open()
    await studio.engine.start()
    job = await settled(studio, job)
    assert "KeyError: 'secret detail'" in caplog.text
    assert "secret detail" not in job.error


async def test_a_failed_job_can_be_retried_and_the_chain_goes_on(studio, plan):
    plan(voices=["user_error"])
    episode = await studio.make(until="images")
    failed = (await ended(studio, episode))[-1]
    await studio.engine.retry(failed.id)
    jobs = await ended(studio, episode)
    assert [(job.stage, job.state) for job in jobs][1:] == [
        ("voices", "succeeded"),
        ("images", "succeeded"),
    ]


async def test_what_a_hook_refuses_fails_the_job_and_leaves_nothing(studio):
    def refuse(job, result):
        raise UserError("Every topic of today is used.")

    studio.hooks.on_settled = refuse
    episode = await studio.make()
    (job,) = await ended(studio, episode)
    assert (job.state, job.error) == (JobState.FAILED, "Every topic of today is used.")
    assert "script" not in (await studio.episodes.revision(episode.id, 1)).sections


async def test_a_bug_in_a_hook_fails_the_job_instead_of_running_the_stage_again(studio, caplog):
    def break_down(job, result):
        raise KeyError("hook")

    studio.hooks.on_settled = break_down
    (job,) = await ended(studio, await studio.make())
    assert (job.state, job.attempt, job.error_kind) == (JobState.FAILED, 1, "bug")
    assert "KeyError: 'hook'" in caplog.text


async def test_a_bug_in_a_hook_that_gives_facts_is_an_attempt_like_any_other(studio):
    async def break_down(job, stage):
        raise KeyError("facts")

    studio.hooks.facts = break_down
    await studio.make()
    (job,) = await studio.jobs.open()
    await studio.engine.start()
    job = await settled(studio, job)
    assert (job.state, job.attempt, job.error_kind) == (JobState.QUEUED, 1, "bug")


async def test_a_listener_that_fails_does_not_stop_the_work(studio):
    def break_down(event):
        raise KeyError("listener")

    studio.engine._on_event = break_down
    jobs = await ended(studio, await studio.make())
    assert [job.state for job in jobs] == ["succeeded"] * 4


async def test_a_stage_whose_input_is_missing_fails_with_a_sentence(studio):
    episode = await studio.episodes.create(topic="x", now=NOW)
    await studio.engine.queue("video", episode_id=episode.id, revision=1)
    (job,) = await ended(studio, episode)
    assert job.error == (
        "The video stage needs the script, which is not made yet; make that first."
    )


async def test_facts_fixed_when_queued_win_over_those_of_the_services(studio, tmp_path):
    episode = await studio.make()
    (job,) = await studio.jobs.open()
    await studio.engine.cancel(job.id)
    await studio.engine.queue(
        "script", episode_id=episode.id, revision=1, facts={"memory": Memory(texts=("old",))}
    )
    known = await studio.engine._runner.known((await studio.jobs.open())[0])
    assert known["memory"]["texts"] == ["old"]


async def test_a_job_of_a_closed_episode_is_cancelled(studio):
    episode = await studio.make()
    await studio.episodes.move(episode.id, EpisodeState.REJECTED, who="Ann", now=NOW)
    (job,) = await ended(studio, episode)
    assert (job.state, job.error) == (JobState.CANCELLED, "Episode 1 is rejected.")


async def test_a_job_of_a_superseded_revision_is_cancelled(studio):
    episode = await studio.make()
    await studio.episodes.new_revision(episode.id, who="Ann", now=NOW)
    (job,) = await ended(studio, episode)
    assert (job.state, job.error) == (
        JobState.CANCELLED,
        "Episode 1 has moved on to revision 2.",
    )


async def test_a_chain_does_not_go_on_for_a_revision_superseded_meanwhile(studio):
    episode = await studio.make()

    async def supersede(job, stage, result):
        await studio.episodes.new_revision(episode.id, who="Ann", now=NOW)

    studio.hooks.settled = supersede
    jobs = await ended(studio, episode)
    assert [(job.stage, job.state) for job in jobs] == [("script", "succeeded")]


async def test_a_queued_job_is_cancelled_at_once(studio):
    await studio.make()
    (job,) = await studio.jobs.open()
    assert (await studio.engine.cancel(job.id)).state is JobState.CANCELLED
    assert studio.heard()[-1] == "script cancelled"
    with pytest.raises(InvalidTransition):
        await studio.engine.cancel(job.id)


async def test_cancelling_a_missing_job_is_a_sentence(studio):
    with pytest.raises(RecordNotFound, match="There is no job 99"):
        await studio.engine.cancel(99)


async def test_a_job_without_an_episode_runs_too(studio):
    job = await studio.engine.queue("script", facts={"brief": BRIEF, "memory": Memory()})
    await studio.engine.start()
    assert (await settled(studio, job)).state is JobState.SUCCEEDED


async def test_queueing_joins_the_callers_transaction(studio):
    async def queue_and_fail():
        async with studio.database.transaction():
            await studio.engine.queue("script")
            raise LookupError

    with pytest.raises(LookupError):
        await queue_and_fail()
    assert await studio.jobs.open() == []


def fails_once(monkeypatch, owner, name):
    """Storage that is out of order the first time, as with a full disk."""
    works = getattr(owner, name)
    errors = [StorageUnusable("The disk is full.")]

    async def call(*arguments):
        if errors:
            raise errors.pop()
        return await works(*arguments)

    monkeypatch.setattr(owner, name, call)
    monkeypatch.setattr("pipeline.engine.AFTER_TROUBLE_S", 0.01)


async def test_a_finished_stage_waits_until_it_can_be_stored(studio, monkeypatch, tmp_path, caplog):
    fails_once(monkeypatch, studio.engine._settlement, "settle")
    (job,) = await ended(studio, await studio.make(until="script"))
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
    assert "cannot be stored (The disk is full.); look at the disk" in caplog.text
    assert "Traceback" not in caplog.text
    assert (tmp_path / "runs.txt").read_text() == "script start\nscript end\n"


async def test_jobs_that_cannot_be_read_are_read_later(studio, monkeypatch):
    fails_once(monkeypatch, studio.engine._jobs, "claim_due")
    (job,) = await ended(studio, await studio.make(until="script"))
    assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (lambda engine: engine._settlement, "why_not"),
        (lambda engine: engine._runner._hooks, "facts"),
        (lambda engine: engine._runner._episodes, "revision"),
    ],
)
async def test_an_attempt_waits_until_it_can_begin_and_is_not_spent(
    studio, monkeypatch, owner, name
):
    fails_once(monkeypatch, owner(studio.engine), name)
    (job,) = await ended(studio, await studio.make(until="script"))
    assert (job.state, job.attempt, job.error) == (JobState.SUCCEEDED, 1, "")
    assert studio.heard() == ["script queued", "script started", "script succeeded"]


async def test_an_attempt_whose_folder_cannot_be_made_waits_too(studio, monkeypatch):
    def fail(folder, works=runner._make_anew):
        monkeypatch.setattr(runner, "_make_anew", works)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "_make_anew", fail)
    monkeypatch.setattr("pipeline.engine.AFTER_TROUBLE_S", 0.01)
    (job,) = await ended(studio, await studio.make(until="script"))
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)


async def test_an_attempt_that_waits_for_storage_is_given_back_at_the_end(studio, monkeypatch):
    waits = asyncio.Event()

    async def fail(job):
        waits.set()
        raise StorageUnusable("The disk is full.")

    monkeypatch.setattr(studio.engine._settlement, "why_not", fail)
    monkeypatch.setattr("pipeline.engine.AFTER_TROUBLE_S", 0.01)
    await studio.make()
    await studio.engine.start()
    await waits.wait()
    await studio.engine.stop()
    (job,) = await studio.jobs.open()
    assert (job.state, job.max_attempts) == (JobState.QUEUED, 4)


async def test_progress_that_cannot_be_stored_does_not_end_the_attempt(studio, monkeypatch, caplog):
    fails_once(monkeypatch, studio.engine._runner._jobs, "progress")
    (job,) = await ended(studio, await studio.make(until="script"))
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
    assert "its progress cannot be told" in caplog.text


async def test_a_running_job_that_nobody_attends_is_cancelled_at_once(studio):
    await studio.engine.start()
    job, _ = await left_running(studio)
    assert (await studio.engine.cancel(job.id)).state is JobState.CANCELLED
    assert studio.heard()[-1] == "script cancelled"


async def test_an_engine_is_alive_from_its_start_to_its_stop(studio):
    assert not studio.engine.is_alive()
    await studio.engine.start()
    assert studio.engine.is_alive()
    watching = asyncio.create_task(studio.engine.watch())
    await studio.engine.stop()
    await watching
    assert not studio.engine.is_alive()


async def test_whoever_watches_hears_what_ended_the_work(studio, monkeypatch):
    async def break_down(*arguments):
        raise KeyError("claim")

    monkeypatch.setattr(studio.engine._jobs, "claim_due", break_down)
    await studio.engine.start()
    with pytest.raises(KeyError, match="claim"):
        await studio.engine.watch()
    assert not studio.engine.is_alive()


async def test_an_engine_cannot_be_watched_before_its_start(studio):
    with pytest.raises(RuntimeError, match="after its start"):
        await studio.engine.watch()


async def test_everybody_who_waits_for_the_end_hears_of_it(studio):
    episode = await studio.make()
    await studio.engine.start()
    async with asyncio.timeout(30):
        await asyncio.gather(*(studio.engine.finished(who) for who in (episode.id, None, 99)))
    assert await studio.jobs.open() == []


async def test_a_running_job_whose_cancel_was_asked_for_stays_cancelled_after_a_restart(studio):
    await studio.make()
    (job,) = await studio.jobs.claim_due(NOW, ["script"], 1)
    await studio.engine.cancel(job.id)
    await studio.engine.start()
    assert (await studio.jobs.get(job.id)).state is JobState.CANCELLED


async def left_running(studio, result=None):
    """A job that an earlier run claimed and, with a result, brought to its end."""
    episode = await studio.make()
    (job,) = await studio.jobs.claim_due(NOW, ["script"], 1)
    if result is not None:
        folder = studio.folder.attempt(job.id, job.attempt)
        folder.mkdir(parents=True)
        write_outcome(folder, Outcome(state=OutcomeState.SUCCEEDED, result=result))
    return job, episode


@pytest.mark.parametrize("result", ["", '{"lines": 3}', '{"of": "another version"}'])
async def test_a_result_that_nobody_can_read_fails_its_job_and_not_the_start(studio, result):
    job, _ = await left_running(studio, result)
    await studio.engine.start()
    job = await studio.jobs.get(job.id)
    assert (job.state, job.error_kind) == (JobState.FAILED, "bug")
    assert job.error.startswith("An internal error stopped the script stage")


async def test_a_bug_in_a_hook_fails_the_job_that_a_start_finds_and_not_the_start(studio):
    def break_down(job, result):
        raise KeyError("hook")

    studio.hooks.on_settled = break_down
    job, _ = await left_running(studio, Script(lines=()).model_dump_json())
    await studio.engine.start()
    assert (await studio.jobs.get(job.id)).state is JobState.FAILED


async def test_a_running_job_of_a_stage_that_is_no_more_fails_and_others_go_on(studio):
    job, episode = await left_running(studio)
    await studio.database.execute("UPDATE jobs SET stage = 'puppets' WHERE id = ?", (job.id,))
    other = await studio.make(until="script")
    jobs = await ended(studio, other)
    assert (await studio.jobs.of_episode(episode.id))[0].state is JobState.FAILED
    assert [job.state for job in jobs] == [JobState.SUCCEEDED]


async def test_a_job_that_cannot_even_fail_does_not_keep_the_others_from_their_start(
    studio, monkeypatch
):
    async def break_down(job):
        raise KeyError("settle")

    job, _ = await left_running(studio, "")
    monkeypatch.setattr(studio.hooks, "failed", break_down)
    (other,) = await ended(studio, await studio.make(until="script"))
    assert (await studio.jobs.get(job.id)).state is JobState.RUNNING
    assert other.state is JobState.SUCCEEDED


async def test_stopping_twice_is_harmless(studio):
    await studio.engine.start()
    await studio.engine.stop()
    await studio.engine.stop()


@pytest.mark.parametrize(
    ("kind", "attempt", "asked", "chance", "seconds"),
    [
        (ErrorKind.BUG, 1, None, 0.0, 1.0),
        (ErrorKind.BUG, 3, None, 0.0, 4.0),
        (ErrorKind.PROVIDER, 1, None, 0.0, 5.0),
        (ErrorKind.PROVIDER, 2, None, 1.0, 12.5),
        (ErrorKind.PROVIDER, 20, None, 0.0, 600.0),
        (ErrorKind.PROVIDER, 1, 900.0, 0.0, 900.0),
        (ErrorKind.PROVIDER, 3, 2.0, 0.0, 20.0),
    ],
)
def test_pauses_double_and_honour_what_was_asked(kind, attempt, asked, chance, seconds):
    assert retry_delay_s(kind, attempt, asked, chance) == seconds


def test_importing_the_engine_loads_nothing_heavy():
    script = (
        "import sys, pipeline.engine;"
        "print([n for n in ('torch', 'moviepy', 'httpx', 'discord', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
