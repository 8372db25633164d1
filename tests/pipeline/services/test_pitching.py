"""What people can ask for about pitches, and what follows by itself."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import UserError
from pipeline.sections import Brief, Pitch, Pitches, Premise, TrendItem, Trends
from pipeline.services.bookkeeping import SHELF_LIFE
from pipeline.services.pitching import STALE_AFTER
from storage.errors import InvalidTransition, RecordNotFound
from storage.pitches import BoardState
from storage.states import JobState
from storage.trends import Trends as TrendRows

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def pitch(topic):
    return Pitch(topic=topic, source="google", hook=f"Why {topic}?", last_line="No.")


def fetched(*names):
    items = (TrendItem(name=n, score=0.5, timestamp=NOW, source="google") for n in names)
    return Trends(items=tuple(items))


async def numbered(desk, board):
    return {p.number: p.topic for p in await desk.pitching.pitches(board.id)}


# Asking


async def test_topics_of_today_are_pitched_at_once(desk):
    await desk.trend("Pigeons")
    board = await desk.pitching.ask(1, "Margot", asked_in=7)
    (job,) = await desk.jobs.open()
    assert (job.id, job.stage, job.until_stage) == (board.job_id, "pitches", "pitches")
    assert (board.state, board.asked_in) == (BoardState.MAKING, 7)


async def test_the_writer_is_told_what_was_made_before(desk):
    await desk.trend("Pigeons")
    await desk.pitching.ask(1, "Margot")
    (job,) = await desk.jobs.open()
    assert set(await desk.bookkeeping.facts(job, "pitches")) == {"memory"}


@pytest.mark.parametrize("yesterdays", [[], ["Pigeons"]])
async def test_without_topics_of_today_the_sources_are_asked_first(desk, yesterdays):
    for name in yesterdays:
        await desk.trend(name)
    desk.now = NOW + timedelta(days=1)
    board = await desk.pitching.ask(1, "Margot")
    (fetch,) = await desk.jobs.open()
    assert fetch.stage == "trends"

    await desk.settle(fetch.id, fetched("Coffee"))

    (job,) = await desk.jobs.open()
    assert job.stage == "pitches"
    await desk.settle(job.id, Pitches(pitches=(pitch("Coffee"),)))
    assert await numbered(desk, board) == {1: "Coffee"}


async def test_two_boards_wait_for_the_same_fetch_and_share_no_topic(desk):
    boards = [await desk.pitching.ask(1, "Margot") for _ in range(2)]
    assert boards[0].job_id == boards[1].job_id
    await desk.settle(boards[0].job_id, fetched("Coffee", "Pigeons"))
    both = Pitches(pitches=(pitch("Coffee"), pitch("Pigeons")))
    for _ in boards:  # one board is pitched at a time
        (job,) = await desk.jobs.open()
        await desk.settle(job.id, both)
    topics = [topic for board in boards for topic in (await numbered(desk, board)).values()]
    assert len(set(topics)) == len(topics) == 2


async def test_a_fetch_that_finds_nothing_new_fails_the_board_with_a_sentence(desk):
    board = await desk.pitching.ask(5, "Margot")
    await desk.settle(board.job_id, fetched())
    (failed,) = await desk.pitching.untold()
    assert failed.state is BoardState.FAILED
    assert failed.ended == "Every topic of today is used, refused or pitched already."


@pytest.mark.parametrize("stage", ["trends", "pitches"])
async def test_a_failed_job_fails_its_board_with_the_same_sentence(desk, stage):
    if stage == "pitches":
        await desk.trend("Pigeons")
    board = await desk.pitching.ask(5, "Margot")
    await desk.settle(board.job_id, error="The writer is out of order.")
    (failed,) = await desk.pitching.untold()
    assert (failed.id, failed.ended) == (board.id, "The writer is out of order.")
    await desk.pitching.told(board.id)
    assert await desk.pitching.untold() == []


async def test_a_cancelled_job_fails_its_board(desk):
    await desk.trend("Pigeons")
    board = await desk.pitching.ask(5, "Margot")
    await desk.engine.cancel(board.job_id)
    await desk.pitching.advance()
    assert (await desk.pitching.board(board.id)).ended == "Somebody has stopped the job."


@pytest.mark.parametrize("count", [0, 6])
async def test_a_board_has_one_to_five_pitches(desk, count):
    with pytest.raises(UserError, match="1 to 5 pitches"):
        await desk.pitching.ask(count, "Margot")


# What the writer answers


async def test_only_what_was_asked_for_gets_on_a_board(desk):
    for name in ("Coffee", "Pigeons", "Socks"):
        await desk.trend(name)
    board = await desk.pitching.ask(2, "Margot")
    answer = ["My Own Idea", "PIGEONS", "Pigeons", "Coffee", "Socks"]
    await desk.settle(board.job_id, Pitches(pitches=tuple(pitch(name) for name in answer)))
    assert await numbered(desk, board) == {1: "Pigeons", 2: "Coffee"}


async def test_a_topic_used_while_it_was_pitched_is_left_out(desk):
    for name in ("Coffee", "Pigeons"):
        await desk.trend(name)
    board = await desk.pitching.ask(2, "Margot")
    used = await desk.episodes.make(None, "Ann")
    await desk.settle(board.job_id, Pitches(pitches=(pitch("Coffee"), pitch("Pigeons"))))
    assert set((await numbered(desk, board)).values()) == {"Coffee", "Pigeons"} - {used.topic}


async def test_pitches_of_nothing_that_was_asked_for_are_refused(desk):
    await desk.trend("Pigeons")
    board = await desk.pitching.ask(1, "Margot")
    with pytest.raises(UserError, match="None of the pitches"):
        await desk.settle(board.job_id, Pitches(pitches=(pitch("My Own Idea"),)))
    assert (await desk.pitching.board(board.id)).state is BoardState.MAKING


# Choosing


async def test_a_chosen_pitch_becomes_an_episode_with_its_premise(desk):
    await desk.trend("Pigeons", headlines=("Pigeons win",))
    board = await desk.pitched(count=1)
    chosen = await desk.pitching.choose(board.id, 1, "Margot")
    view = await desk.episodes.view(chosen.episode_id)
    (job,) = await desk.jobs.open(chosen.episode_id)
    assert view.brief.premise == Premise(hook="Why Pigeons?", last_line="No.")
    assert (view.brief.topic, view.brief.headlines) == ("Pigeons", ("Pigeons win",))
    assert (view.episode.requested_by, view.episode.best_before) == ("Margot", NOW + SHELF_LIFE)
    assert (job.stage, job.until_stage) == ("script", "preview")
    trend = await TrendRows(desk.db).newest_named("pigeons")
    assert trend.used_in_episode == chosen.episode_id


async def test_the_premise_survives_another_revision(desk):
    board = await desk.pitched("Pigeons")
    chosen = await desk.pitching.choose(board.id, 1, "Margot")
    await desk.episodes.again(chosen.episode_id, "Margot")
    brief = await desk.rows.section(chosen.episode_id, 2, "brief")
    assert Brief.model_validate_json(brief).premise.hook == "Why Pigeons?"


async def test_of_two_people_at_once_both_get_the_same_episode(desk):
    board = await desk.pitched("Pigeons", "Coffee")
    both = await asyncio.gather(
        desk.pitching.choose(board.id, 1, "Margot"), desk.pitching.choose(board.id, 1, "Ann")
    )
    assert sorted(chosen.is_new for chosen in both) == [False, True]
    assert both[0].episode_id == both[1].episode_id
    assert len(await desk.episodes.newest()) == 1


async def test_a_crash_in_between_leaves_neither_an_episode_nor_a_chosen_pitch(desk, monkeypatch):
    board = await desk.pitched("Pigeons", "Coffee")

    async def crash(*args):
        raise OSError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr("storage.pitches.PitchBoards.take", crash)
        with pytest.raises(OSError, match="power"):
            await desk.pitching.choose(board.id, 1, "Margot")
    assert await desk.episodes.newest() == []
    assert await desk.jobs.open() == []
    assert (await desk.pitching.choose(board.id, 1, "Margot")).is_new


async def test_a_board_closes_with_its_last_pitch(desk):
    board = await desk.pitched("Pigeons", "Coffee")
    await desk.pitching.choose(board.id, 2, "Margot")
    assert (await desk.pitching.board(board.id)).state is BoardState.OPEN
    await desk.pitching.choose(board.id, 1, "Margot")
    assert (await desk.pitching.board(board.id)).state is BoardState.CLOSED
    with pytest.raises(UserError, match="are closed"):
        await desk.pitching.choose(board.id, 1, "Margot")


@pytest.mark.parametrize("number", [0, 3])
async def test_a_number_that_is_not_there_is_a_sentence(desk, number):
    board = await desk.pitched("Pigeons", "Coffee")
    with pytest.raises(UserError, match="numbers 1 to 2"):
        await desk.pitching.choose(board.id, number, "Margot")


async def test_what_is_not_there_yet_cannot_be_chosen(desk):
    await desk.trend("Pigeons")
    board = await desk.pitching.ask(1, "Margot")
    with pytest.raises(UserError, match="are making"):
        await desk.pitching.choose(board.id, 1, "Margot")
    with pytest.raises(RecordNotFound, match="no pitches 9"):
        await desk.pitching.choose(9, 1, "Margot")
    with pytest.raises(UserError, match="No pitches are open"):
        await desk.pitching.newest_open()


async def test_a_topic_that_another_episode_has_by_now_is_refused(desk):
    board = await desk.pitched("Pigeons", "Coffee")
    other = await desk.episodes.make("Pigeons", "Ann")
    trend = await TrendRows(desk.db).newest_named("Pigeons")
    await TrendRows(desk.db).mark_used(trend.id, other.id)
    number = {t: n for n, t in (await numbered(desk, board)).items()}["Pigeons"]
    with pytest.raises(InvalidTransition, match=f"topic of episode {other.id}"):
        await desk.pitching.choose(board.id, number, "Margot")
    assert await desk.episodes.newest() == [other]


# Topics people may choose belong to them


async def test_a_topic_on_an_open_board_is_neither_pitched_again_nor_made_by_itself(desk):
    first = await desk.pitched("Pigeons")
    second = await desk.pitched("Coffee", count=1)
    assert (await numbered(desk, first), await numbered(desk, second)) == (
        {1: "Pigeons"},
        {1: "Coffee"},
    )
    episode = await desk.episodes.make(None, "Ann")
    (job,) = await desk.jobs.open()
    assert (episode.topic, job.stage) == ("", "trends")


async def test_a_topic_of_a_closed_board_is_free_again(desk):
    board = await desk.pitched("Pigeons")
    await desk.pitching.gone(board.id)
    assert (await desk.episodes.make(None, "Ann")).topic == "Pigeons"


# Others


async def test_others_are_about_other_topics_and_close_the_board(desk):
    first = await desk.pitched("Pigeons", "Coffee", count=1)
    second = await desk.pitching.again(first.id, "Margot")
    assert (await desk.pitching.board(first.id)).state is BoardState.CLOSED
    await desk.settle(second.job_id, Pitches(pitches=(pitch("Pigeons"), pitch("Coffee"))))
    assert set((await numbered(desk, second)).values()).isdisjoint(
        (await numbered(desk, first)).values()
    )


async def test_others_of_others_repeat_neither(desk):
    first = await desk.pitched("Pigeons")
    await desk.trend("Coffee")
    second = await desk.pitching.again(first.id, "Margot")
    await desk.settle(second.job_id, Pitches(pitches=(pitch("Coffee"),)))
    third = await desk.pitching.again(second.id, "Margot")
    assert (await desk.jobs.get(third.job_id)).stage == "trends"
    await desk.settle(third.job_id, fetched("Pigeons", "Coffee"))
    assert (await desk.pitching.board(third.id)).state is BoardState.FAILED


async def test_two_wishes_for_others_make_one_board(desk):
    first = await desk.pitched("Pigeons", "Coffee", count=1)
    boards = await asyncio.gather(
        *(desk.pitching.again(first.id, who) for who in ("Margot", "Ann"))
    )
    assert sorted(board is None for board in boards) == [False, True]
    assert len(await desk.jobs.open()) == 1


# Age


async def test_yesterdays_board_is_closed_and_todays_is_not(desk):
    old = await desk.pitched("Pigeons")
    desk.now = NOW + STALE_AFTER - timedelta(seconds=1)
    await desk.pitching.close_stale()
    assert [board.id for board in await desk.pitching.open()] == [old.id]
    desk.now = NOW + STALE_AFTER
    await desk.pitching.close_stale()
    assert await desk.pitching.open() == []
    assert [board.ended for board in await desk.pitching.untold()] == [
        "Their topics have gone stale"
    ]


async def test_pitches_that_have_waited_for_a_day_are_not_paid_for_any_more(desk):
    await desk.trend("Pigeons")
    board = await desk.pitching.ask(1, "the studio")
    desk.now = NOW + STALE_AFTER - timedelta(seconds=1)
    await desk.pitching.close_stale()
    assert (await desk.jobs.get(board.job_id)).state is JobState.QUEUED

    desk.now = NOW + STALE_AFTER
    await desk.pitching.close_stale()

    assert (await desk.jobs.get(board.job_id)).state is JobState.CANCELLED
    assert [board.ended for board in await desk.pitching.untold()] == [
        "Their topics have gone stale before they could be pitched."
    ]
    assert not await desk.pitching.is_any_alive()


async def test_a_fetch_goes_on_without_the_board_that_has_waited_for_it_for_a_day(desk):
    board = await desk.pitching.ask(1, "Margot")
    desk.now = NOW + STALE_AFTER
    await desk.pitching.close_stale()
    (fetch,) = await desk.jobs.open()
    assert fetch.id == board.job_id
    assert not await desk.pitching.is_any_alive()


async def test_pitches_under_way_are_waited_for(desk):
    await desk.trend("Pigeons")
    board = await desk.pitching.ask(1, "Margot")
    await desk.jobs.claim_due(NOW, ("pitches",), 1)
    desk.now = NOW + STALE_AFTER
    await desk.pitching.close_stale()
    assert (await desk.jobs.get(board.job_id)).state is JobState.RUNNING
    assert await desk.pitching.is_any_alive()


async def test_a_wish_that_is_read_too_late_makes_no_spoiled_reel(desk):
    board = await desk.pitched("Pigeons")
    desk.now = NOW + SHELF_LIFE
    with pytest.raises(UserError, match="no longer news"):
        await desk.pitching.choose(board.id, 1, "Margot")
