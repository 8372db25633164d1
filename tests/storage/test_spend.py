from dataclasses import replace
from datetime import timedelta

import pytest

from storage.metrics import Metrics
from storage.spend import PaidCall, Spend, Total


@pytest.fixture
def spend(database):
    return Spend(database)


@pytest.fixture
async def call(jobs, episode, now):
    job = await jobs.queue(
        "voices",
        until_stage="voices",
        max_attempts=3,
        now=now,
        episode_id=episode.id,
        revision=1,
    )
    return PaidCall(
        job_id=job.id,
        attempt=1,
        call=1,
        at=now,
        episode_id=episode.id,
        revision=1,
        stage="voices",
        provider="elevenlabs",
        model="eleven_v3",
        what="line 1",
        usd=0.25,
        chars=100,
        tokens_in=0,
        tokens_out=0,
        is_certain=True,
        request_id="req-1",
    )


async def test_a_call_is_booked_once(spend, call):
    assert await spend.book([call]) == [call]
    assert await spend.book([call, replace(call, call=2)]) == [replace(call, call=2)]
    assert await spend.of_job(call.job_id) == [call, replace(call, call=2)]


async def test_the_same_call_of_another_attempt_is_another_one(spend, call):
    await spend.book([call, replace(call, attempt=2)])
    assert (await spend.total()).calls == 2


async def test_nothing_booked_is_a_total_of_nothing(spend, now):
    assert await spend.total(since=now, episode_id=1, revision=1) == Total()
    assert await spend.totals("provider") == {}


async def test_totals_are_by_time_episode_and_revision(spend, call, now):
    script = replace(
        call,
        call=2,
        at=now - timedelta(days=1),
        stage="script",
        provider="openai",
        usd=0.5,
        chars=0,
        tokens_in=900,
        tokens_out=100,
        revision=2,
        is_certain=False,
    )
    pitch = replace(script, call=3, at=now, stage="pitches", episode_id=None, revision=None)
    await spend.book([call, script, pitch])
    assert await spend.total() == Total(1.25, 100, 1800, 200, calls=3, lost=2)
    assert await spend.total(since=now) == Total(0.75, 100, 900, 100, calls=2, lost=1)
    assert (await spend.total(episode_id=call.episode_id)).usd == 0.75
    assert (await spend.total(episode_id=call.episode_id, revision=1)).usd == 0.25
    by_provider = await spend.totals("provider")
    assert {name: total.usd for name, total in by_provider.items()} == {
        "openai": 1.0,
        "elevenlabs": 0.25,
    }
    assert list(by_provider) == ["openai", "elevenlabs"]
    assert list(await spend.totals("episode_id")) == [call.episode_id]
    assert [c.what for c in await spend.lost(since=now, limit=5)] == ["line 1"]


async def test_what_is_set_aside_is_replaced_and_freed(spend, call, now):
    await spend.reserve(call.job_id, 1.0, now=now)
    await spend.reserve(call.job_id, 0.5, now=now)
    assert await spend.reserved() == 0.5
    await spend.release(call.job_id)
    await spend.release(call.job_id)
    assert await spend.reserved() == 0


async def test_costs_add_to_the_metrics_of_a_revision(database, call, now):
    metrics = Metrics(database)
    await metrics.add_cost(call.episode_id, 1, [], now=now)
    assert await metrics.get(call.episode_id, 1) is None
    await metrics.add_cost(call.episode_id, 1, [call], now=now)
    assert (await metrics.get(call.episode_id, 1)).result == "failed"
    await metrics.record(call.episode_id, 1, stage="voices", seconds=2.0, now=now)
    spoken = replace(call, call=2, tokens_in=10, tokens_out=20)
    await metrics.add_cost(call.episode_id, 1, [call, spoken], now=now)
    row = await metrics.get(call.episode_id, 1)
    assert (row.cost_usd, row.chars_tts, row.tokens_in, row.tokens_out) == (0.75, 300, 10, 20)
    assert (row.result, row.seconds_audio) == ("succeeded", 2.0)
