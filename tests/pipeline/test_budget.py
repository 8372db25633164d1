"""Days and months of TIMEZONE, and what is left of their budgets."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.budget import LOOK_AGAIN, Budget
from pipeline.ledger import Cost, Intent, Receipt
from storage.database import Database
from storage.folder import DataFolder
from storage.jobs import Jobs

PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
async def database(tmp_path):
    async with await Database.open(DataFolder(tmp_path).database) as database:
        yield database


@pytest.fixture
def now():
    return datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def job(database, now):
    await Jobs(database).queue("voices", until_stage="voices", max_attempts=3, now=now)
    (job,) = await Jobs(database).claim_due(now, ["voices"], 1)
    return job


@pytest.fixture
def budget_at(database):
    def budget_at(moment, zone=PARIS, **limits):
        return Budget(database, clock=lambda: moment, zone=zone, **limits)

    return budget_at


@pytest.fixture
def book(job, budget_at):
    async def book(usd, at, call=1):
        cost = Cost(usd=usd)
        intent = Intent(call=call, provider="toy", model="toy-1", what="line", greatest=cost, at=at)
        await budget_at(at).book(job, [Receipt(intent=intent, cost=cost)])

    return book


@pytest.mark.parametrize(
    ("zone", "moment", "day", "tomorrow"),
    [
        ("UTC", "2026-11-22T23:59", "2026-11-22T00:00", "2026-11-23T00:00"),
        ("Europe/Paris", "2026-11-22T23:30", "2026-11-22T23:00", "2026-11-23T23:00"),
        # 29 March 2026 has 23 hours in Paris, 25 October has 25.
        ("Europe/Paris", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Europe/Paris", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        # Where the clock jumps over midnight the day begins with the jump.
        ("Africa/Cairo", "2026-04-24T12:00", "2026-04-23T22:00", "2026-04-24T21:00"),
        ("Asia/Kolkata", "2026-11-22T18:29", "2026-11-21T18:30", "2026-11-22T18:30"),
    ],
)
def test_a_day_is_that_of_the_time_zone(budget_at, zone, moment, day, tomorrow):
    at = datetime.fromisoformat(f"{moment}+00:00")
    budget = budget_at(at, ZoneInfo(zone))
    assert budget.day().start == datetime.fromisoformat(f"{day}+00:00")
    last = budget_at(datetime.fromisoformat(f"{tomorrow}+00:00") - LOOK_AGAIN / 2, ZoneInfo(zone))
    assert last.look_again() == datetime.fromisoformat(f"{tomorrow}+00:00")


def test_a_month_begins_with_its_first_midnight(budget_at):
    at = datetime(2026, 4, 30, 22, 30, tzinfo=UTC)  # 1 May in Paris
    assert budget_at(at).month().start == datetime(2026, 4, 30, 22, tzinfo=UTC)
    assert budget_at(at, UTC).month().start == datetime(2026, 4, 1, tzinfo=UTC)


def test_a_job_that_waits_looks_again_soon(budget_at, now):
    assert budget_at(now).look_again() == now + LOOK_AGAIN


async def test_without_limits_there_is_no_allowance_and_nothing_is_set_aside(
    budget_at, job, now, database
):
    budget = budget_at(now)
    assert not budget.is_limited
    assert await budget.left_usd() is None
    assert await budget.reserve(job, 5.0) is None
    assert await database.fetch_all("SELECT * FROM reservations") == []


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"daily_usd": 1.0}, 0.6),
        ({"monthly_usd": 1.0}, 0.3),
        ({"daily_usd": 0.5, "monthly_usd": 1.0}, 0.1),
        ({"daily_usd": 9.0, "monthly_usd": 0.5}, 0.0),
        ({"daily_usd": 0.0}, 0.0),
    ],
)
async def test_the_tighter_limit_says_what_is_left(budget_at, book, now, limits, left):
    await book(0.4, now, call=1)
    await book(0.3, now - timedelta(days=3), call=2)
    await book(7.0, now - timedelta(days=40), call=3)
    assert await budget_at(now, **limits).left_usd() == pytest.approx(left)


async def test_what_is_paid_before_midnight_belongs_to_the_day_that_ends(budget_at, book):
    midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)  # in Paris, before a day of 25 hours
    await book(0.25, midnight - timedelta(seconds=1), call=1)
    await book(0.5, midnight, call=2)
    late = midnight + timedelta(hours=24, minutes=59)
    assert await budget_at(late, daily_usd=1.0).left_usd() == 0.5
    assert await budget_at(late + timedelta(minutes=1), daily_usd=1.0).left_usd() == 1.0


async def test_an_allowance_is_the_greatest_cost_or_what_is_left(budget_at, book, job, now):
    await book(0.4, now)
    budget = budget_at(now, daily_usd=1.0)
    assert await budget.reserve(job, 0.25) == 0.25
    assert await budget.left_usd() == pytest.approx(0.35)
    assert await budget.reserve(job, 0.25) == 0.25  # takes the place of the first
    assert await budget.left_usd() == pytest.approx(0.35)


async def test_booking_frees_what_was_set_aside(budget_at, book, job, now):
    budget = budget_at(now, daily_usd=1.0)
    assert await budget.reserve(job, 5.0) == 1.0
    assert await budget.left_usd() == 0.0
    await book(0.1, now)
    assert await budget.left_usd() == pytest.approx(0.9)


async def test_a_job_gets_another_try_when_there_is_more_than_when_it_was_refused(
    budget_at, job, now, database
):
    budget = budget_at(now, daily_usd=1.0)
    await budget.reserve(job, 5.0)
    await budget.book(job, [])
    assert await budget.with_more_room([job]) == []
    budget = budget_at(now, daily_usd=1.0)  # a new life has forgotten it
    assert await budget.with_more_room([job]) == [job.id]
