import asyncio
from datetime import timedelta

import pytest

from storage.errors import InvalidTransition, RecordNotFound
from storage.states import JobState

LATER = timedelta(minutes=5)


@pytest.fixture
def queue(jobs, now):
    async def queue(stage="script", **options):
        options = {"until_stage": "video", "max_attempts": 3, "now": now, **options}
        return await jobs.queue(stage, **options)

    return queue


async def test_two_clicks_at_once_make_one_job(queue, episode):
    one, two = await asyncio.gather(
        queue(episode_id=episode.id, revision=1), queue(episode_id=episode.id, revision=1)
    )
    assert one == two


async def test_jobs_without_an_episode_are_independent(queue):
    assert (await queue("trends")).id != (await queue("trends")).id


async def test_of_two_claims_at_once_one_gets_the_job(jobs, queue, now):
    await queue()
    claims = await asyncio.gather(*(jobs.claim_due(now, ["script"], 1) for _ in range(5)))
    assert [len(claim) for claim in claims] == [1, 0, 0, 0, 0]


async def test_a_claim_counts_the_attempt(jobs, queue, now):
    await queue()
    (job,) = await jobs.claim_due(now, ["script"], 1)
    assert (job.state, job.attempt, job.started_at) == (JobState.RUNNING, 1, now)


async def test_only_due_jobs_of_the_wanted_stages_are_claimed(jobs, queue, now):
    await queue("voices")
    await queue("script", run_after=now + LATER)
    due = await queue("script")
    assert [job.id for job in await jobs.claim_due(now, ["script"], 9)] == [due.id]


async def test_no_more_are_claimed_than_asked_for_and_the_oldest_first(jobs, queue, now):
    ids = [(await queue("trends")).id for _ in range(3)]
    assert [job.id for job in await jobs.claim_due(now, ["trends"], 2)] == ids[:2]


async def test_the_next_due_time_is_that_of_the_first_queued_job(jobs, queue, now):
    await queue("trends", run_after=now + 2 * LATER)
    await queue("trends", run_after=now + LATER)
    assert await jobs.next_due(["trends"]) == now + LATER
    assert await jobs.next_due(["video"]) is None


async def test_a_requeued_job_is_due_later_and_keeps_its_error(jobs, queue, now):
    await queue()
    (job,) = await jobs.claim_due(now, ["script"], 1)
    again = await jobs.requeue(
        job.id, run_after=now + LATER, error="overloaded", error_kind="provider"
    )
    assert (again.state, again.error, again.attempt) == (JobState.QUEUED, "overloaded", 1)
    assert await jobs.claim_due(now, ["script"], 1) == []
    assert len(await jobs.claim_due(now + LATER, ["script"], 1)) == 1


async def test_an_interrupted_attempt_is_made_good_up_to_a_ceiling(jobs, queue, now):
    await queue(max_attempts=3)
    allowed = []
    for _ in range(4):
        (job,) = await jobs.claim_due(now, ["script"], 1)
        allowed.append((await jobs.give_back(job.id, now=now, ceiling=5)).max_attempts)
    assert allowed == [4, 5, 5, 5]


async def test_a_retried_job_has_its_attempts_again(jobs, queue, now):
    await queue(max_attempts=1)
    (job,) = await jobs.claim_due(now, ["script"], 1)
    await jobs.finish(job.id, JobState.FAILED, now=now, error="no", error_kind="user")
    again = await jobs.retry(job.id, attempts=3, now=now)
    assert (again.state, again.max_attempts, again.error) == (JobState.QUEUED, 4, "")


async def test_cancelling_a_queued_job_is_immediate(jobs, queue, now):
    job = await queue()
    assert (await jobs.cancel(job.id, now=now)).state is JobState.CANCELLED


async def test_cancelling_a_running_job_is_a_wish(jobs, queue, now):
    job = await queue()
    await jobs.claim_due(now, ["script"], 1)
    asked = await jobs.cancel(job.id, now=now)
    assert (asked.state, asked.cancel_asked) == (JobState.RUNNING, True)


async def test_a_finished_job_cannot_be_cancelled(jobs, queue, now):
    job = await queue()
    await jobs.claim_due(now, ["script"], 1)
    await jobs.finish(job.id, JobState.SUCCEEDED, now=now)
    with pytest.raises(InvalidTransition, match="has succeeded already"):
        await jobs.cancel(job.id, now=now)


async def test_progress_is_kept_while_the_job_runs(jobs, queue, now):
    job = await queue()
    await jobs.progress(job.id, 0.9, "too early")
    await jobs.claim_due(now, ["script"], 1)
    await jobs.progress(job.id, 0.5, "half way")
    shown = await jobs.get(job.id)
    assert (shown.fraction, shown.note) == (0.5, "half way")


async def test_jobs_are_listed_by_what_is_asked(jobs, queue, now, episode):
    mine = await queue(episode_id=episode.id, revision=1)
    other = await queue("trends")
    await jobs.claim_due(now, ["trends"], 1)
    assert [job.id for job in await jobs.running()] == [other.id]
    assert [job.id for job in await jobs.open()] == [mine.id, other.id]
    assert [job.id for job in await jobs.open(episode.id)] == [mine.id]
    assert [job.id for job in await jobs.of_episode(episode.id)] == [mine.id]
    assert [job.id for job in await jobs.history(1)] == [other.id]


async def test_a_missing_job_is_a_sentence(jobs):
    with pytest.raises(RecordNotFound, match=r"There is no job 5\."):
        await jobs.get(5)
