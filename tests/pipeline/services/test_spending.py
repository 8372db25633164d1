from datetime import timedelta

import pytest

from pipeline.budget import Budget
from pipeline.ledger import Cost, Intent, Receipt
from pipeline.services.spending import Spending


@pytest.fixture
def budget(desk):
    return Budget(desk.db, clock=desk.clock, daily_usd=1.0, monthly_usd=20.0)


@pytest.fixture
def spending(desk, budget):
    return Spending(desk.db, budget)


@pytest.fixture
def pay(desk, budget):
    """Books one call of a stage of an episode (or of none)."""

    async def pay(stage, provider, cost, *, episode=None, is_certain=True, ago=timedelta(0)):
        revision = None if episode is None else 1
        job = await desk.engine.queue(
            stage, episode_id=None if episode is None else episode.id, revision=revision
        )
        await desk.engine.cancel(job.id)
        intent = Intent(
            call=1, provider=provider, model="m", what="line 3", greatest=cost, at=desk.now - ago
        )
        await budget.book(job, [Receipt(intent=intent, cost=cost, is_certain=is_certain)])

    return pay


async def test_an_episode_costs_what_its_calls_did_by_provider_and_stage(desk, spending, pay):
    episode = await desk.rows.create(topic="Coffee", now=desk.now)
    await pay("script", "openai", Cost(usd=0.002, tokens_in=2000, tokens_out=310), episode=episode)
    await pay("voices", "elevenlabs", Cost(usd=0.01, chars=812), episode=episode)
    cost = await spending.of_revision(episode.id, 1)
    assert (cost.revision.usd, cost.revision.chars) == (pytest.approx(0.012), 812)
    assert {name: total.usd for name, total in cost.by_provider.items()} == {
        "openai": 0.002,
        "elevenlabs": 0.01,
    }
    assert list(cost.by_stage) == ["voices", "script"]
    assert cost.episode == cost.revision
    other = await spending.of_revision(episode.id, 2)
    assert (other.revision.calls, other.episode.calls) == (0, 2)


async def test_the_overview_knows_today_this_month_and_what_is_left(desk, spending, pay):
    episode = await desk.rows.create(topic="Coffee", now=desk.now)
    await pay("pitches", "openai", Cost(usd=0.2))
    await pay("voices", "elevenlabs", Cost(usd=0.3), episode=episode, ago=timedelta(days=2))
    await pay("voices", "elevenlabs", Cost(usd=9.0), episode=episode, ago=timedelta(days=5))
    overview = await spending.overview()
    assert (overview.today.total.usd, overview.today.limit_usd) == (0.2, 1.0)
    assert (overview.month.total.usd, overview.month.limit_usd) == (0.5, 20.0)
    assert overview.left_usd == pytest.approx(0.8)
    assert list(overview.by_stage) == ["voices", "pitches"]
    assert list(overview.by_episode) == [episode.id]


async def test_calls_without_an_answer_are_counted_and_named(desk, spending, pay):
    await pay("voices", "elevenlabs", Cost(usd=0.1), is_certain=False)
    overview = await spending.overview()
    assert overview.month.total.lost == 1
    assert [call.what for call in overview.lost] == ["line 3"]


async def test_jobs_that_wait_for_the_budget_are_listed(desk, spending):
    job = await desk.engine.queue("pitches")
    assert await spending.waiting() == []
    (job,) = await desk.jobs.claim_due(desk.now, ["pitches"], 1)
    await desk.jobs.wait(job.id, run_after=desk.now, error="No money.", error_kind="budget")
    (waiting,) = (await spending.overview()).waiting
    assert (waiting.id, waiting.error) == (job.id, "No money.")
