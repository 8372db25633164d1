"""What people can ask for about trends."""

import json
from datetime import UTC, datetime, timedelta

from pipeline.sections import SourceState, Trends

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_a_fetch_under_way_is_the_one_that_is_asked_for_again(desk):
    assert await desk.trends.fetch() == await desk.trends.fetch()
    assert len(await desk.trends.history()) == 1


async def test_older_days_are_left_out_of_the_list(desk):
    await desk.trend("Pigeons")
    desk.now = NOW + timedelta(days=5)
    assert await desk.trends.listed(days=4) == []
    assert len(await desk.trends.listed(days=5)) == 1


async def test_a_person_has_resting_sources_asked_but_not_before_a_time_they_named(desk):
    later = NOW + timedelta(hours=1)
    states = (
        SourceState(name="google", failures=3, not_before=later, has_named=True, error="429"),
        SourceState(name="wikipedia", failures=3, not_before=later, error="503"),
    )
    job = await desk.trends.fetch()
    await desk.bookkeeping.settled(job, "trends", Trends(items=(), sources=states))
    await desk.engine.cancel(job.id)
    insisting = json.loads((await desk.trends.fetch(insist=True)).facts)["sources"]["states"]
    assert [(state["failures"], bool(state["not_before"])) for state in insisting] == [
        (3, True),
        (3, False),
    ]


async def test_a_fetch_that_nobody_insists_on_lets_sources_rest(desk):
    assert json.loads((await desk.trends.fetch()).facts) == {}
