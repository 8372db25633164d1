import itertools

import pytest

from storage.errors import InvalidTransition
from storage.states import (
    EPISODE_MOVES,
    JOB_MOVES,
    POST_MOVES,
    EpisodeState,
    JobState,
    PostState,
)

EPISODE_PAIRS = list(itertools.product(EpisodeState, EpisodeState))
FINISHES = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
UNFINISHABLE = [
    (before, to)
    for before, to in itertools.product(JobState, FINISHES)
    if to not in JOB_MOVES[before]
]


async def put(database, table, row_id, state):
    await database.execute(f"UPDATE {table} SET state = ? WHERE id = ?", (state, row_id))


@pytest.mark.parametrize(
    ("table", "states"),
    [(EPISODE_MOVES, EpisodeState), (JOB_MOVES, JobState), (POST_MOVES, PostState)],
)
def test_every_state_has_its_moves(table, states):
    assert set(table) == set(states)


@pytest.mark.parametrize(
    ("before", "to"), [(a, b) for a, b in EPISODE_PAIRS if b in EPISODE_MOVES[a]]
)
async def test_an_allowed_move_is_made_and_written_down(
    database, episodes, episode, now, before, to
):
    await put(database, "episodes", episode.id, before)
    moved = await episodes.move(episode.id, to, who="Ann", reason="why", now=now)
    (transition,) = await episodes.transitions(episode.id)
    assert moved.state is to
    assert (transition.who, transition.from_state, transition.to_state) == ("Ann", before, to)


@pytest.mark.parametrize(
    ("before", "to"), [(a, b) for a, b in EPISODE_PAIRS if b not in EPISODE_MOVES[a]]
)
async def test_any_other_move_is_refused_and_changes_nothing(
    database, episodes, episode, now, before, to
):
    await put(database, "episodes", episode.id, before)
    with pytest.raises(InvalidTransition, match=f"cannot become {to.value.replace('_', ' ')}"):
        await episodes.move(episode.id, to, who="Ann", now=now)
    assert (await episodes.get(episode.id)).state is before
    assert await episodes.transitions(episode.id) == []


@pytest.mark.parametrize(("before", "to"), UNFINISHABLE)
async def test_only_a_running_job_can_be_finished(database, jobs, now, before, to):
    job = await jobs.queue("script", until_stage="video", max_attempts=3, now=now)
    await put(database, "jobs", job.id, before)
    with pytest.raises(InvalidTransition, match=f"Job {job.id} is {before}"):
        await jobs.finish(job.id, to, now=now)
    assert (await jobs.get(job.id)).state is before


@pytest.mark.parametrize("to", FINISHES)
async def test_a_running_job_can_be_finished_once(jobs, now, to):
    job = await jobs.queue("script", until_stage="video", max_attempts=3, now=now)
    await jobs.claim_due(now, ["script"], 1)
    finished = await jobs.finish(job.id, to, now=now, error="because")
    assert (finished.state, finished.error, finished.finished_at) == (to, "because", now)
    with pytest.raises(InvalidTransition):
        await jobs.finish(job.id, to, now=now)


@pytest.mark.parametrize("before", [s for s in JobState if s is not JobState.FAILED])
async def test_only_a_failed_job_can_be_retried(database, jobs, now, before):
    job = await jobs.queue("script", until_stage="video", max_attempts=3, now=now)
    await put(database, "jobs", job.id, before)
    with pytest.raises(InvalidTransition):
        await jobs.retry(job.id, attempts=3, now=now)
