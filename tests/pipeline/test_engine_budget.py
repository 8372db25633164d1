"""Paid calls: what is set aside, what is booked, and who waits."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.attempts import Outcome, OutcomeState, write_outcome
from pipeline.budget import LOOK_AGAIN
from pipeline.context import receipts_file
from pipeline.executors import InlineExecutor
from pipeline.ledger import Cost, Ledger
from pipeline.workflow import Lane
from storage.database import Database
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.states import EpisodeState, JobState

DIME = Cost(usd=0.1, chars=10)
WHOLE_USD = 0.8
"""Eight lines, a dime each."""


class Clock:
    """Runs on from now only when told to: receipts carry the real time."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def plan(tmp_path):
    def plan(runs):
        (tmp_path / "plan.json").write_text(json.dumps(runs))

    return plan


@pytest.fixture
def open_studio(toys, tmp_path, clock):
    """A studio whose voices are paid for; each is a new life of the bot."""
    from toy_studio import PAID, toy_studio

    def open_studio(daily_usd=None, *, monthly_usd=None, executors=None, **options):
        executors = executors or {lane: InlineExecutor(2) for lane in Lane}
        limits = {"daily_usd": daily_usd, "monthly_usd": monthly_usd}
        options = {"workflow": PAID, "greatest_usd": lambda stage, known: WHOLE_USD, **options}
        return toy_studio(tmp_path, executors, clock=clock, limits=limits, **options)

    return open_studio


async def rests(studio, job):
    """Work until the job has ended or waits; give it back as it is then."""
    if not studio.engine.is_alive():
        await studio.engine.start()
    async with asyncio.timeout(30):
        await studio.engine.finished(job.episode_id, or_waiting=True)
    return await studio.jobs.get(job.id)


def sent(folder):
    file = folder / "runs.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.removesuffix(" start") for line in lines if line.endswith(" start")]


async def until_sent(folder, line):
    async with asyncio.timeout(30):
        while line not in sent(folder):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


ALL = [f"line {number}" for number in range(1, 9)]


async def test_a_budget_for_three_lines_of_eight_waits_after_three_and_goes_on_when_raised(
    open_studio, tmp_path
):
    async with open_studio(daily_usd=0.3) as studio:
        job = await rests(studio, await studio.speak())
        assert (job.state, job.error_kind) == (JobState.QUEUED, "budget")
        assert job.error.startswith("Line 4 may cost $0.1000 and $0.0000 of the budget is left")
        assert sent(tmp_path) == ALL[:3]
        assert (await studio.spend.total()).usd == pytest.approx(0.3)
        assert await studio.spend.reserved() == 0
        assert studio.heard()[-2:] == ["voices started", "voices waiting"]
    async with open_studio(daily_usd=5.0) as studio:
        job = await rests(studio, job)
        assert job.state is JobState.SUCCEEDED
        assert sent(tmp_path) == ALL
        assert (await studio.spend.total()).usd == pytest.approx(0.8)


async def test_a_wait_costs_no_attempt(open_studio, clock):
    async with open_studio(daily_usd=0.0) as studio:
        job = await studio.speak()
        for waits in range(1, 20):
            job = await rests(studio, job)
            assert (job.waits, job.max_attempts - job.attempt) == (waits, 3)
            clock.now += LOOK_AGAIN
            studio.engine.wake()
            await until_attempt(studio, job, waits + 1)


async def until_attempt(studio, job, attempt):
    async with asyncio.timeout(20):
        while (await studio.jobs.get(job.id)).attempt < attempt:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_job_that_has_waited_often_may_still_be_interrupted(open_studio, clock):
    async with open_studio(daily_usd=0.0) as studio:
        job = await studio.speak()
        for waits in range(1, 12):
            job = await rests(studio, job)
            clock.now += LOOK_AGAIN
            studio.engine.wake()
            await until_attempt(studio, job, waits + 1)
        job = await rests(studio, job)
    async with open_studio(daily_usd=0.0) as studio:
        clock.now += LOOK_AGAIN
        (job,) = await studio.jobs.claim_due(clock(), ["voices"], 1)
    async with open_studio(daily_usd=5.0) as studio:
        assert (await rests(studio, job)).state is JobState.SUCCEEDED


async def test_a_job_that_waits_is_tried_again_by_itself(open_studio, clock, tmp_path):
    async with open_studio(daily_usd=0.3) as studio:
        job = await rests(studio, await studio.speak())
        assert job.run_after == min(clock() + LOOK_AGAIN, studio.budget.day().start + DAY)
        studio.budget._daily_usd = 0.8
        clock.now = job.run_after
        studio.engine.wake()
        await until_attempt(studio, job, 2)
        assert (await rests(studio, job)).state is JobState.SUCCEEDED
        assert sent(tmp_path) == ALL


DAY = timedelta(days=1)


async def test_two_jobs_claimed_at_once_do_not_both_get_the_last_dollar(open_studio, tmp_path):
    async with open_studio(daily_usd=0.8) as studio:
        jobs = [await studio.speak(), await studio.speak()]
        given = {}
        prepare = studio.engine._runner._prepare

        async def watch(attempt):
            given[attempt.job.id] = attempt.allowance_usd
            return await prepare(attempt)

        studio.engine._runner._prepare = watch
        first, second = [await rests(studio, job) for job in jobs]
    assert given == {jobs[0].id: pytest.approx(0.8), jobs[1].id: 0.0}
    assert (first.state, second.error_kind) == (JobState.SUCCEEDED, "budget")
    assert sent(tmp_path) == ALL


async def test_what_one_job_did_not_need_frees_another_at_once(open_studio, plan, tmp_path):
    plan({"line 1": ["user_error"]})
    # The first sets aside so much that the second cannot begin, nor meet the planned error.
    async with open_studio(daily_usd=0.95, greatest_usd=lambda stage, known: 0.9) as studio:
        jobs = [await studio.speak(), await studio.speak()]
        first, second = [await rests(studio, job) for job in jobs]
        second = await rests(studio, second)
    # The call that failed counts in full, and leaves 0.85 of 0.95.
    assert (first.state, second.state) == (JobState.FAILED, JobState.SUCCEEDED)


async def test_two_jobs_that_both_do_not_fit_do_not_free_each_other_for_ever(open_studio, tmp_path):
    async with open_studio(daily_usd=0.05) as studio:
        jobs = [await studio.speak(), await studio.speak()]
        jobs = [await rests(studio, job) for job in jobs]
        assert all(job.error_kind == "budget" for job in jobs)
        assert max(job.attempt for job in jobs) <= 2
        assert sent(tmp_path) == []


async def test_without_a_budget_nothing_waits_and_everything_is_booked(open_studio):
    async with open_studio() as studio:
        job = await rests(studio, await studio.speak())
        assert job.state is JobState.SUCCEEDED
        total = await studio.spend.total()
        assert (total.usd, total.chars, total.calls) == (pytest.approx(0.8), 80, 8)
        assert await studio.spend.reserved() == 0


async def test_a_job_that_is_paid_for_already_needs_no_budget(open_studio, plan, tmp_path):
    plan({"line 8": ["provider_error"]})
    async with open_studio() as studio:
        job = await studio.speak()
        await studio.engine.start()
        await until_attempt(studio, job, 1)
        async with asyncio.timeout(20):
            while not await studio.jobs.queued_because("provider"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    for number in range(1, 9):
        (tmp_path / "paid" / str(job.id) / f"line-{number}.txt").write_text("spoken")
    await due(tmp_path, job)
    async with open_studio(daily_usd=0.0) as studio:
        assert (await rests(studio, job)).state is JobState.SUCCEEDED


async def due(folder, job):
    async with await Database.open(DataFolder(folder).database) as database:
        await Jobs(database).hurry([job.id], now=datetime.now(UTC) - DAY)


async def test_money_of_the_month_is_as_good_a_limit(open_studio, tmp_path):
    async with open_studio(daily_usd=10.0, monthly_usd=0.2) as studio:
        job = await rests(studio, await studio.speak())
        assert job.error_kind == "budget"
        assert sent(tmp_path) == ALL[:2]


# However an attempt ends, it is booked.


async def test_a_failed_attempt_is_booked_and_the_next_pays_only_for_the_rest(
    open_studio, plan, tmp_path, clock
):
    plan({"line 3": ["provider_error"]})
    async with open_studio() as studio:
        job = await studio.speak()
        await studio.engine.start()
        await until_attempt(studio, job, 1)
        async with asyncio.timeout(20):
            while not await studio.jobs.queued_because("provider"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [(c.what, c.is_certain) for c in await studio.spend.of_job(job.id)] == [
            ("line 1", True),
            ("line 2", True),
            ("line 3", False),
        ]
        assert (tmp_path / "paid" / str(job.id) / "line-2.txt").exists()
        clock.now += timedelta(minutes=1)
        studio.engine.wake()
        await until_attempt(studio, job, 2)
        assert (await rests(studio, job)).state is JobState.SUCCEEDED
        assert sent(tmp_path) == [*ALL[:3], *ALL[2:]]
        calls = await studio.spend.of_job(job.id)
        assert [(c.attempt, c.call) for c in calls] == [
            *((1, call) for call in (1, 2, 3)),
            *((2, call) for call in range(1, 7)),
        ]
        row = await studio.database.fetch_one("SELECT * FROM generation_metrics")
        assert (row["cost_usd"], row["chars_tts"]) == (pytest.approx(0.9), 90)
        assert row["result"] == "succeeded"


async def test_an_attempt_that_fails_for_good_is_booked_and_its_folder_goes(
    open_studio, plan, tmp_path
):
    plan({"line 3": ["user_error"]})
    async with open_studio(daily_usd=5.0) as studio:
        job = await rests(studio, await studio.speak())
        assert job.state is JobState.FAILED
        assert (await studio.spend.total()).calls == 3
        assert await studio.spend.reserved() == 0
        assert list((tmp_path / "paid").iterdir()) == []
        row = await studio.database.fetch_one("SELECT * FROM generation_metrics")
        assert (row["cost_usd"], row["result"]) == (pytest.approx(0.3), "failed")


async def test_a_job_that_waits_keeps_what_it_has_paid_for(open_studio, tmp_path):
    async with open_studio(daily_usd=0.3) as studio:
        job = await rests(studio, await studio.speak())
        paid = tmp_path / "paid" / str(job.id)
        assert sorted(path.name for path in paid.iterdir()) == [
            "line-1.txt",
            "line-2.txt",
            "line-3.txt",
            "receipts-1.jsonl",
        ]
        await studio.engine.stop()
    async with open_studio(daily_usd=0.3) as studio:
        await rests(studio, job)
        assert (paid / "line-3.txt").exists()


async def test_a_job_that_waits_can_be_cancelled(open_studio, tmp_path):
    async with open_studio(daily_usd=0.3) as studio:
        job = await rests(studio, await studio.speak())
        assert (await studio.engine.cancel(job.id)).state is JobState.CANCELLED
        await studio.engine.stop()
        assert list((tmp_path / "paid").iterdir()) == []
        assert (await studio.spend.total()).calls == 3


async def test_a_cancel_that_is_undone_keeps_what_was_paid_for(open_studio, tmp_path):
    async with open_studio(daily_usd=0.3) as studio:
        job = await rests(studio, await studio.speak())

        async def cancel_and_fail():
            async with studio.database.transaction():
                await studio.engine.cancel(job.id)
                raise LookupError

        with pytest.raises(LookupError):
            await cancel_and_fail()
        await asyncio.gather(*studio.engine._helpers)
        assert (await studio.jobs.get(job.id)).state is JobState.QUEUED
        assert (tmp_path / "paid" / str(job.id) / "line-3.txt").exists()


async def test_a_waiting_job_of_a_rejected_episode_ends(open_studio, clock):
    async with open_studio(daily_usd=0.3) as studio:
        job = await rests(studio, await studio.speak())
        await studio.episodes.move(job.episode_id, EpisodeState.REJECTED, who="Ann", now=clock())
        clock.now = job.run_after
        studio.engine.wake()
        await until_attempt(studio, job, 2)
        assert (await rests(studio, job)).state is JobState.CANCELLED


async def test_what_a_refused_result_has_cost_is_booked_once(open_studio):
    from pipeline.errors import UserError

    def refuse(job, result):
        raise UserError("No.")

    async with open_studio(daily_usd=5.0) as studio:
        studio.hooks.on_settled = refuse
        assert (await rests(studio, await studio.speak())).state is JobState.FAILED
        assert (await studio.spend.total()).calls == 8
        row = await studio.database.fetch_one("SELECT cost_usd FROM generation_metrics")
        assert row["cost_usd"] == pytest.approx(0.8)


# A bot that ends at any moment.


async def left_running(studio, clock, *, calls, lost=0):
    """A job whose attempt was under way when the bot was killed, with its receipts."""
    job = await studio.speak()
    (job,) = await studio.jobs.claim_due(clock(), ["voices"], 1)
    await studio.budget.reserve(job, WHOLE_USD)
    ledger = Ledger(receipts_file(studio.folder.path, job.id, job.attempt))
    for number in range(1, calls + lost + 1):
        with ledger.paying(
            provider="toy", model="toy-1", what=f"line {number}", greatest=DIME
        ) as call:
            if number <= calls:
                kept = studio.folder.paid / str(job.id) / f"line-{number}.txt"
                kept.write_text("spoken")
                call.paid(DIME)
    return job


async def test_what_a_killed_bot_had_paid_is_booked_at_its_start(open_studio, clock, tmp_path):
    async with open_studio(daily_usd=5.0) as studio:
        job = await left_running(studio, clock, calls=2, lost=1)
    async with open_studio(daily_usd=5.0) as studio:
        assert await studio.spend.reserved() == pytest.approx(WHOLE_USD)
        assert (await rests(studio, job)).state is JobState.SUCCEEDED
        assert await studio.spend.reserved() == 0
        total = await studio.spend.total()
        assert (total.calls, total.lost) == (3 + 6, 1)
        assert sent(tmp_path) == ALL[2:]  # what had arrived is not asked for again
        (lost,) = await studio.spend.lost(since=clock() - DAY, limit=9)
        assert (lost.what, lost.usd) == ("line 3", 0.1)


async def test_receipts_that_are_booked_already_are_not_booked_again(open_studio, clock):
    async with open_studio() as studio:
        job = await left_running(studio, clock, calls=2)
        async with studio.engine._settlement._paying(job):
            pass
        async with studio.engine._settlement._paying(job):
            pass
        assert (await studio.spend.total()).calls == 2
        row = await studio.database.fetch_one("SELECT cost_usd FROM generation_metrics")
        assert row["cost_usd"] == pytest.approx(0.2)


async def test_folders_of_final_jobs_are_swept_at_a_start_and_others_are_kept(
    open_studio, tmp_path
):
    async with open_studio(daily_usd=0.95) as studio:
        done, waiting = await studio.speak(), await studio.speak()
        await rests(studio, done)
        assert (await rests(studio, waiting)).error_kind == "budget"
    # As if the last life had ended between the commit and the sweep.
    (tmp_path / "paid" / str(done.id)).mkdir()
    (tmp_path / "paid" / "9-1.old").mkdir()
    async with open_studio(daily_usd=0.95) as studio:
        await studio.engine.start()
        assert [path.name for path in (tmp_path / "paid").iterdir()] == [str(waiting.id)]


async def test_an_estimate_that_fails_sets_aside_what_is_left(open_studio, caplog):
    def fail(stage, known):
        raise KeyError("price")

    async with open_studio(daily_usd=2.0, greatest_usd=fail) as studio:
        assert (await rests(studio, await studio.speak())).state is JobState.SUCCEEDED
    assert "its greatest cost is not known" in caplog.text


async def test_an_estimate_gets_the_facts_and_sections_of_the_job(open_studio):
    seen = {}

    def look(stage, known):
        seen[stage] = sorted(known)
        return WHOLE_USD

    async with open_studio(daily_usd=2.0, greatest_usd=look) as studio:
        await rests(studio, await studio.speak())
    assert seen == {"voices": ["library", "memory", "models", "script"]}


# In worker processes.


async def test_a_worker_killed_between_intent_and_result_is_paid_in_full_and_asks_once_more(
    open_studio, plan, pools, tmp_path
):
    plan({"line 3": ["die"]})
    async with open_studio(daily_usd=5.0, executors=pools) as studio:
        job = await studio.speak()
        await studio.engine.start()
        async with asyncio.timeout(30):
            while not await studio.jobs.queued_because("worker_died"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        total = await studio.spend.total()
        assert (total.calls, total.lost, total.usd) == (3, 1, pytest.approx(0.3))
        assert await studio.spend.reserved() == 0
        await studio.jobs.hurry([job.id], now=studio.engine._clock())
        studio.engine.wake()
        await until_attempt(studio, job, 2)
        assert (await rests(studio, job)).state is JobState.SUCCEEDED
        assert sent(tmp_path) == [*ALL[:3], *ALL[2:]]
        assert (await studio.spend.total()).calls == 9


async def test_an_attempt_that_is_cancelled_by_force_is_booked(open_studio, plan, pools, tmp_path):
    plan({"line 2": ["sleep"]})
    async with open_studio(daily_usd=5.0, executors=pools, cancel_grace_s=0.1) as studio:
        from dataclasses import replace

        from toy_studio import PAID

        studio.engine._workflow = type(PAID)((replace(PAID.stages[0], grace_s=0.0),))
        job = await studio.speak()
        await studio.engine.start()
        await until_sent(tmp_path, "line 2")
        await studio.engine.cancel(job.id)
        assert (await rests(studio, job)).state is JobState.CANCELLED
        total = await studio.spend.total()
        assert (total.calls, total.lost) == (2, 1)
        assert list((tmp_path / "paid").iterdir()) == []


@pytest.mark.parametrize(
    ("how_it_ends", "lost", "sent_again"),
    [
        pytest.param("sleep", 1, ["line 4"], id="cut off and sent again"),
        pytest.param("end_after_the_stop", 0, [], id="finished and not paid again"),
    ],
)
async def test_a_call_under_way_when_the_bot_stops_is_booked_and_the_job_goes_on_later(
    how_it_ends, lost, sent_again, open_studio, plan, pools, tmp_path
):
    plan({"line 4": [how_it_ends]})
    async with open_studio(daily_usd=5.0, executors=pools) as studio:
        job = await studio.speak()
        await studio.engine.start()
        await until_sent(tmp_path, "line 4")
        await studio.engine.stop()
        total = await studio.spend.total()
        assert (total.calls, total.lost) == (4, lost)
        assert (await studio.jobs.get(job.id)).state is JobState.QUEUED
    async with open_studio(daily_usd=5.0) as studio:
        assert (await rests(studio, job)).state is JobState.SUCCEEDED
        assert sent(tmp_path) == [*ALL[:4], *sent_again, *ALL[4:]]


async def test_workers_are_held_to_the_budget_too(open_studio, pools, tmp_path):
    async with open_studio(daily_usd=0.3, executors=pools) as studio:
        job = await rests(studio, await studio.speak())
        assert job.error_kind == "budget"
        assert sent(tmp_path) == ALL[:3]


async def test_a_stop_that_was_killed_itself_leaves_the_job_to_the_next_start(
    open_studio, plan, tmp_path
):
    """The stage had stopped at the bot's wish, and nobody was there to settle it."""
    async with open_studio(daily_usd=5.0) as studio:
        job = await studio.speak()
        (claimed,) = await studio.jobs.claim_due(studio.engine._clock(), ["voices"], 1)
        folder = DataFolder(tmp_path).attempt(job.id, claimed.attempt)
        folder.mkdir(parents=True)
        write_outcome(folder, Outcome(state=OutcomeState.CANCELLED))
    async with open_studio(daily_usd=5.0) as studio:
        await studio.engine.start()
        assert (await rests(studio, job)).state is JobState.SUCCEEDED
