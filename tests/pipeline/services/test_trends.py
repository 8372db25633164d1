"""What people can ask for about trends."""

from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_a_fetch_under_way_is_the_one_that_is_asked_for_again(desk):
    assert await desk.trends.fetch() == await desk.trends.fetch()
    assert len(await desk.trends.history()) == 1


async def test_older_days_are_left_out_of_the_list(desk):
    await desk.trend("Pigeons")
    desk.now = NOW + timedelta(days=5)
    assert await desk.trends.listed(days=4) == []
    assert len(await desk.trends.listed(days=5)) == 1
