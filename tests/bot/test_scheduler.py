"""Crontabs on the wall clock of a zone, and the clock that runs the slots."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.scheduler import Schedule, StudioScheduler, Timed
from pipeline.errors import UserError

PARIS = ZoneInfo("Europe/Paris")
SPRING = datetime(2026, 3, 28, 23, tzinfo=UTC)  # midnight of the night that lacks 02:00-03:00
AUTUMN = datetime(2026, 10, 24, 22, tzinfo=UTC)  # midnight of the night that has it twice
SUNDAY = datetime(2026, 3, 1, 0, tzinfo=UTC)


def wall_and_utc(slots):
    return [(slot.key[11:16], f"{slot.at:%H:%M}") for slot in slots]


def weekdays(cron):
    slots = Schedule(cron, ZoneInfo("UTC")).slots_between(SUNDAY, SUNDAY + timedelta(days=7))
    return [f"{slot.at:%a}".lower() for slot in slots]


async def test_the_key_is_the_wall_clock_and_the_zone():
    (slot,) = Schedule("0 18 * * *", PARIS).next_slots(SPRING, 1)

    assert (slot.key, slot.at) == (
        "2026-03-29 18:00 Europe/Paris",
        datetime(2026, 3, 29, 16, tzinfo=UTC),
    )


def test_a_time_that_spring_skips_is_moved_on_once():
    slots = Schedule("30 2 * * *", PARIS).slots_between(SPRING, SPRING + timedelta(hours=48))

    assert wall_and_utc(slots) == [("02:30", "01:30"), ("02:30", "00:30")]


def test_a_skipped_time_is_not_posted_beside_the_slot_at_its_moment():
    slots = Schedule("0 * * * *", PARIS).slots_between(SPRING, SPRING + timedelta(hours=4))

    assert wall_and_utc(slots) == [
        ("01:00", "00:00"),
        ("03:00", "01:00"),
        ("04:00", "02:00"),
        ("05:00", "03:00"),
    ]


def test_the_hour_that_autumn_repeats_counts_once():
    slots = Schedule("*/30 * * * *", PARIS).slots_between(AUTUMN, AUTUMN + timedelta(hours=4))

    assert wall_and_utc(slots) == [
        ("00:30", "22:30"),
        ("01:00", "23:00"),
        ("01:30", "23:30"),
        ("02:00", "00:00"),
        ("02:30", "00:30"),
        ("03:00", "02:00"),
    ]


def test_asking_inside_the_repeated_hour_gives_the_next_new_time():
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)

    assert wall_and_utc(Schedule("30 2 * * *", PARIS).next_slots(second_pass, 1)) == [
        ("02:30", "01:30")
    ]


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("cron", ["*/15 * * * *", "30 2 * * *", "0 2,3 * * *"])
def test_going_slot_by_slot_visits_every_slot_once(start, cron):
    schedule = Schedule(cron, PARIS)
    expected = schedule.slots_between(start, start + timedelta(hours=30))
    walked, at = [], start
    while len(walked) < len(expected):
        (slot,) = schedule.next_slots(at, 1)
        walked.append(slot)
        at = slot.at

    assert walked == expected
    assert len({slot.key for slot in walked}) == len({slot.at for slot in walked}) == len(walked)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0", ["sun"]),
        ("7", ["sun"]),
        ("1", ["mon"]),
        ("1-5", ["mon", "tue", "wed", "thu", "fri"]),
        ("5-7", ["sun", "fri", "sat"]),
        ("0-7", ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
        ("fri-sun", ["sun", "fri", "sat"]),
        ("MON,WED", ["mon", "wed"]),
        ("*/2", ["sun", "tue", "thu", "sat"]),
        ("1-5/2", ["mon", "wed", "fri"]),
        ("*", ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ],
)
def test_weekdays_are_those_of_crontab(field, expected):
    assert weekdays(f"0 18 * * {field}") == expected


def test_with_two_day_fields_either_is_enough():
    slots = Schedule("0 9 15 * mon", ZoneInfo("UTC")).next_slots(
        datetime(2026, 4, 10, tzinfo=UTC), 3
    )

    assert [slot.at.day for slot in slots] == [13, 15, 20]


def test_several_lines_are_one_schedule():
    schedule = Schedule("0 18 * * *; 0 9 * * 6 ;", ZoneInfo("UTC"))

    slots = schedule.slots_between(SUNDAY + timedelta(days=5), SUNDAY + timedelta(days=7))

    assert [f"{slot.at:%a %H}" for slot in slots] == ["Fri 18", "Sat 09", "Sat 18"]


def test_the_end_is_a_slot_and_the_start_is_not():
    schedule = Schedule("0 * * * *", ZoneInfo("UTC"))

    slots = schedule.slots_between(SUNDAY, SUNDAY + timedelta(hours=1))

    assert [slot.at for slot in slots] == [SUNDAY + timedelta(hours=1)]


def test_a_day_that_comes_every_four_years_comes():
    (slot,) = Schedule("0 18 29 2 *", ZoneInfo("UTC")).next_slots(SUNDAY, 1)

    assert slot.key == "2028-02-29 18:00 UTC"


@pytest.mark.parametrize(
    "cron",
    [
        "",
        ";",
        "x",
        "@daily",
        "0 18 * *",
        "0 18 * * * *",
        "61 18 * * *",
        "0 24 * * *",
        "0 18 * * 8",
        "0 18 * * 5-1",
        "0 18 * * mon-xyz",
        "0 18 * * 1/0",
        "*/0 18 * * *",
        "0 18 31 2 *",
        "0 18 * * *; nonsense",
        "0 18 1st * *;",
        "0 18 * * *\n; rm",
    ],
)
def test_a_line_that_cannot_be_read_is_one_sentence_naming_the_setting(cron):
    with pytest.raises(UserError, match=r"^PUBLISH_CRON") as caught:
        Schedule(cron, PARIS)

    assert str(caught.value).endswith(".")


def test_the_sentence_names_the_setting_it_was_given():
    with pytest.raises(UserError, match=r"^MAKE_CRON"):
        Schedule("x", PARIS, name="MAKE_CRON")


class Publishing:
    """Notes what the clock asks for."""

    def __init__(self):
        self.asked = []
        self.ran = asyncio.Event()
        self.schedule = ""

    async def note_schedule(self, schedule):
        self.schedule = schedule

    async def resume_due(self):
        self.asked.append("resume_due")

    async def run_due(self, slots_between):
        self.asked.append(slots_between(SUNDAY, SUNDAY + timedelta(days=1)))
        self.ran.set()


@pytest.fixture
async def scheduler():
    made = StudioScheduler(
        Schedule("0 18 * * *", PARIS), Publishing(), now=lambda: SUNDAY, safety_net_s=0.01
    )
    yield made
    await made.stop()


async def test_a_tick_goes_on_with_posts_and_then_does_the_slots(scheduler):
    await scheduler.tick()

    first, slots = scheduler._publishing.asked
    assert first == "resume_due"
    assert [slot.key for slot in slots] == ["2026-03-01 18:00 Europe/Paris"]


async def test_the_safety_net_ticks_without_any_slot(scheduler):
    await scheduler.start()

    await asyncio.wait_for(scheduler._publishing.ran.wait(), 30)

    assert scheduler._publishing.schedule == "0 18 * * * Europe/Paris"


async def test_work_that_fails_comes_again():
    times, done = [], asyncio.Event()

    async def fail():
        times.append(1)
        if len(times) == 2:
            done.set()
        raise RuntimeError("broken")

    scheduler = StudioScheduler(
        Schedule("0 18 * * *", PARIS), Publishing(), (Timed("broken", 0.01, fail),)
    )
    await scheduler.start()

    await asyncio.wait_for(done.wait(), 30)

    await scheduler.stop()


def test_the_next_slots_are_counted_from_now(scheduler):
    assert [slot.key[:10] for slot in scheduler.next_slots(2)] == ["2026-03-01", "2026-03-02"]


async def test_stopping_cuts_off_what_takes_too_long(monkeypatch):
    monkeypatch.setattr("bot.scheduler.PATIENCE_S", 0.01)
    started, ended = asyncio.Event(), []

    async def linger():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    scheduler = StudioScheduler(
        Schedule("0 18 * * *", PARIS), Publishing(), (Timed("slow", 0.01, linger),)
    )
    await scheduler.start()
    await asyncio.wait_for(started.wait(), 30)

    await scheduler.stop()

    assert ended


async def test_a_post_in_trouble_holds_no_slot_up(scheduler):
    async def fail():
        raise RuntimeError("broken")

    scheduler._publishing.resume_due = fail

    with pytest.raises(RuntimeError):
        await scheduler.tick()

    assert scheduler._publishing.ran.is_set()


async def test_stopping_before_the_start_is_harmless(scheduler):
    await scheduler.stop()
