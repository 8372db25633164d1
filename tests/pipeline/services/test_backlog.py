"""How many reels the coming slots need, and when pitches are asked for by themselves."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.publishing.base import Slot
from pipeline.publishing.folder import FolderPublisher
from pipeline.services.backlog import Backlog, empty_slots
from pipeline.services.publishing import Publishing
from storage.pitches import BoardState
from storage.states import EpisodeState

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def hours(*numbers):
    return [NOW + timedelta(hours=number) for number in numbers]


def at(*moments):
    """A schedule with slots at these moments."""
    return lambda start, end: [
        Slot(key=moment.isoformat(), at=moment) for moment in moments if start < moment <= end
    ]


DAILY = at(*hours(6, 30, 54, 78))  # 18:00 of four days


@pytest.fixture
def publishing(desk, tmp_path):
    return Publishing(
        db=desk.db,
        publisher=FolderPublisher(tmp_path / "posts"),
        reels=None,  # nothing is posted here
        reviews=None,
        reader=None,
        on_event=print,
        clock=desk.clock,
    )


@pytest.fixture
def backlog_of(desk, publishing):
    return lambda days: Backlog(
        db=desk.db, pitching=desk.pitching, publishing=publishing, days=days, clock=desk.clock
    )


@pytest.fixture
def backlog(backlog_of):
    return backlog_of(3)


@pytest.fixture
def reel(desk):
    """An episode as far as it was brought, good until so many hours from now."""

    async def made(*states, good_for=None):
        best_before = None if good_for is None else NOW + timedelta(hours=good_for)
        episode = await desk.rows.create(topic="Tea", best_before=best_before, now=NOW)
        for state in states:
            await desk.rows.move(episode.id, state, who="a test", now=NOW)
        return episode

    return made


IN_REVIEW = (EpisodeState.IN_REVIEW,)
APPROVED = (EpisodeState.IN_REVIEW, EpisodeState.APPROVED)


# Arithmetic


@pytest.mark.parametrize(
    ("good_for", "empty"),
    [
        ([], 3),
        ([99, 99], 1),
        ([99, 99, 99, 99], 0),
        ([7, 7, 7], 2),  # all are good for the first slot only
        ([7, 31, 55], 0),
        ([55, 31, 7], 0),  # in whatever order they come
        ([6], 3),  # spoiled just when the slot comes
        ([5, 99], 2),
    ],
)
def test_a_slot_takes_what_spoils_first_and_is_still_good(good_for, empty):
    assert empty_slots(hours(6, 30, 54), hours(*good_for)) == empty


@pytest.mark.parametrize("states", [IN_REVIEW, APPROVED])
async def test_reels_in_review_and_approved_ones_count(backlog, reel, states):
    await reel(*states)
    level = await backlog.level(DAILY)
    assert (level.reels, level.slots, level.empty) == (1, 3, 2)


@pytest.mark.parametrize(
    "states",
    [
        (EpisodeState.REJECTED,),
        (*IN_REVIEW, EpisodeState.SPOILED),
        (*APPROVED, EpisodeState.PUBLISHED),
        (),  # a draft that nobody is working on
    ],
)
async def test_what_will_not_go_out_by_itself_does_not_count(backlog, reel, states):
    await reel(*states)
    assert (await backlog.level(DAILY)).reels == 0


async def test_a_reel_that_has_spoiled_or_will_have_does_not_fill_a_slot(backlog, reel):
    await reel(*APPROVED, good_for=0)
    await reel(*APPROVED, good_for=5)
    level = await backlog.level(DAILY)
    assert (level.reels, level.empty) == (1, 3)


async def test_what_is_being_made_up_to_its_draft_counts(backlog, desk):
    await desk.episodes.make("Coffee", "Margot")
    await desk.episodes.make("Pigeons", "Margot", until="script")
    assert (await backlog.level(DAILY)).reels == 1


async def test_a_reel_made_anew_counts_once(backlog, desk):
    episode = await desk.episodes.make("Coffee", "Margot")
    await desk.episodes.again(episode.id, "Margot")
    assert (await backlog.level(DAILY)).reels == 1


async def test_a_reel_whose_post_is_under_way_is_gone(backlog, reel, publishing, monkeypatch):
    episode = await reel(*APPROVED)
    await publishing._posts.claim(
        episode.id,
        "folder",
        revision=1,
        fingerprint="f",
        sha256="0" * 64,
        caption="",
        slot=None,
        now=NOW,
    )
    assert (await backlog.level(DAILY)).reels == 0


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (3, "0 reels for the 3 slots of the next 3 days"),
        (1, "0 reels for the 1 slot of the next 1 day"),
        (0, "0 reels for the 0 slots of the next 0 days"),
    ],
)
async def test_the_level_in_words(backlog_of, days, words):
    assert str(await backlog_of(days).level(DAILY)) == words


# Filling up


@pytest.mark.parametrize(
    ("reels", "count", "reason"),
    [
        (0, 3, "3 of the next 3 slots are empty."),
        (2, 1, "1 of the next 3 slots is empty."),
    ],
)
async def test_so_many_pitches_are_asked_for_as_slots_are_empty(
    backlog, desk, reel, reels, count, reason
):
    await desk.trend("Pigeons")
    for _ in range(reels):
        await reel(*APPROVED)
    board = await backlog.fill(DAILY)
    assert (board.count, board.reason, board.asked_in) == (count, reason, None)
    assert [job.stage for job in await desk.jobs.open()] == ["pitches"]


async def test_no_more_than_five_are_asked_for(backlog, desk):
    board = await backlog.fill(at(*hours(*range(1, 9))))
    assert (board.count, board.reason) == (5, "8 of the next 8 slots are empty.")


async def test_nothing_is_made_without_a_choice(backlog, desk):
    await desk.trend("Pigeons")
    await backlog.fill(DAILY)
    assert await desk.episodes.newest() == []


async def test_without_todays_topics_they_are_fetched_first(backlog, desk):
    await backlog.fill(DAILY)
    assert [job.stage for job in await desk.jobs.open()] == ["trends"]


async def test_with_all_slots_filled_nothing_is_asked_for(backlog, desk, reel):
    for _ in range(3):
        await reel(*APPROVED)
    assert await backlog.fill(DAILY) is None
    assert await desk.jobs.open() == []


async def test_zero_days_ask_for_nothing(backlog_of, desk):
    assert await backlog_of(0).fill(DAILY) is None


async def test_while_posting_is_paused_nothing_is_asked_for(backlog, desk, publishing):
    await publishing.pause("Margot")
    assert await backlog.fill(DAILY) is None
    await publishing.resume()
    assert await backlog.fill(DAILY) is not None


async def test_while_people_can_choose_nothing_more_is_asked_for(backlog, desk):
    board = await desk.pitched("Pigeons")
    assert await backlog.fill(DAILY) is None
    await desk.pitching.gone(board.id)
    assert await backlog.fill(DAILY) is not None


async def test_two_slots_at_once_ask_once(backlog, desk):
    boards = await asyncio.gather(backlog.fill(DAILY), backlog.fill(DAILY))
    assert sorted(board is None for board in boards) == [False, True]


# When


HOURLY = at(*hours(1, 2, 3, 4))


async def test_a_slot_of_the_schedule_is_done_once_across_restarts(backlog, backlog_of, desk):
    await backlog.note_schedule("0 * * * * UTC")
    assert await backlog.run_due(HOURLY, DAILY) is None
    desk.now = NOW + timedelta(hours=1)
    board = await backlog.run_due(HOURLY, DAILY)
    assert board.state is BoardState.MAKING
    await desk.settle(board.job_id, error="The sources are out of order.")

    reborn = backlog_of(3)
    await reborn.note_schedule("0 * * * * UTC")
    assert await reborn.run_due(HOURLY, DAILY) is None
    desk.now = NOW + timedelta(hours=2)
    assert await reborn.run_due(HOURLY, DAILY) is not None


async def test_slots_missed_while_the_bot_was_down_are_made_up_for_once(backlog, backlog_of, desk):
    await backlog.note_schedule("0 * * * * UTC")
    desk.now = NOW + timedelta(hours=4)
    reborn = backlog_of(3)
    await reborn.note_schedule("0 * * * * UTC")
    board = await reborn.run_due(HOURLY, DAILY)
    await desk.settle(board.job_id, error="The sources are out of order.")
    assert await reborn.run_due(HOURLY, DAILY) is None


async def test_a_changed_schedule_makes_up_for_none_of_its_past(backlog, desk):
    await backlog.note_schedule(" UTC")
    desk.now = NOW + timedelta(hours=4)
    await backlog.note_schedule("0 * * * * UTC")
    assert await backlog.run_due(HOURLY, DAILY) is None


async def test_a_crash_before_the_board_is_there_leaves_the_slot_to_the_next_start(
    backlog, desk, monkeypatch
):
    await backlog.note_schedule("0 * * * * UTC")
    desk.now = NOW + timedelta(hours=1)

    async def crash(*args, **kwargs):
        raise OSError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(desk.pitching, "ask", crash)
        with pytest.raises(OSError, match="power"):
            await backlog.run_due(HOURLY, DAILY)
    assert await backlog.run_due(HOURLY, DAILY) is not None
