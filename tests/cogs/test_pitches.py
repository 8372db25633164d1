"""Boards of pitches in the approval channel: shown once, chosen from once, whatever happens."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.engine import EventKind, JobEvent
from pipeline.errors import UserError
from storage.pitches import BoardState
from storage.states import JobState

NUMBERS = ["1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣"]


def footers(message):
    return [embed.get("footer", {}).get("text", "") for embed in message.embeds]


def boards(world):
    return [m for m in world.messages(world.approvals) if any("pitches " in f for f in footers(m))]


@pytest.fixture
def board_message(world):
    """The message of a board, once all its reactions are there."""

    async def wait(board=1, count=5):
        return await world.wait_for_message(
            lambda message: (
                any(f"pitches {board} ·" in text for text in footers(message))
                and len(message.reactions) == count + 1
            )
        )

    return wait


@pytest.fixture
def pitched(studio, board_message):
    """A board that people can choose from."""

    async def posted(count=5):
        board = await studio.pitching.ask(count, "a test")
        return await board_message(board.id, count)

    return posted


@pytest.fixture
def pitched_unseen(studio, io):
    """A board that is written while no bot is there to show it."""

    async def written(count=5):
        board = await studio.pitching.ask(count, "a test")
        await studio.engine.finished()
        await studio.pitching.advance()
        await studio.engine.finished()
        return await studio.pitching.board(board.id)

    return written


async def episodes(studio):
    return [episode.topic for episode in await studio.episodes.newest()]


async def topics(studio, board=1):
    return [pitch.topic for pitch in await studio.pitching.pitches(board)]


# A board


async def test_pitches_asked_for_are_shown_in_the_approval_channel(
    bot, world, studio, margot, reply_to, board_message
):
    reply = await reply_to(margot, "script pitch", {"count": 3})
    assert reply.content == f"Three pitches are on the way to <#{world.approvals.id}>."
    message = await board_message(1, 3)
    assert [emoji.replace("\ufe0f", "") for emoji in message.reactions] == [
        emoji.replace("\ufe0f", "") for emoji in [*NUMBERS[:3], "🔁"]
    ]
    (embed,) = message.embeds
    for number, topic, field in zip(NUMBERS, await topics(studio), embed["fields"], strict=False):
        assert field["name"] == f"{number} {topic}"
        assert f"heard\\* of {topic}?" in field["value"]
        assert "*Everybody asks.*" in field["value"]
    assert not message.pings
    assert await episodes(studio) == []


async def test_pitches_that_wait_for_the_budget_say_so_where_they_were_asked_for(
    bot, world, studio, io
):
    io.holding = True
    board = await studio.pitching.ask(5, "a test")
    jobs = await studio.episodes.open_jobs()
    (job,) = (job for job in jobs if job.id == board.job_id)
    waiting = replace(
        job, state=JobState.QUEUED, error_kind="budget", error="Pitches may cost *$0.04*."
    )
    bot.dispatch("studio_job", JobEvent(EventKind.WAITING, replace(waiting, stage="pitches")))
    message = await world.wait_for_message(lambda message: "wait for the budget" in message.content)
    assert message.content == (
        r"Pitches 1 wait for the budget. Pitches may cost \*$0.04\*. Raise it and start the bot "
        f"again to go on now, or stop it with `/render cancel {job.id}`."
    )
    io.release()


async def test_a_board_is_posted_once(bot, world, pitched):
    await pitched()
    await asyncio.gather(*(bot.pitches.go_on() for _ in range(3)), bot.pitches.repair())
    assert len(boards(world)) == 1


async def test_a_board_that_was_sent_but_not_noted_is_found_again(
    bot, world, studio, pitched_unseen, monkeypatch
):
    async def crash(*args, **kwargs):
        raise UserError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(studio.pitching, "posted", crash)
        await pitched_unseen()
        await bot.pitches.repair()
    world.advance(600)  # the nonce is forgotten by now
    await bot.pitches.repair()
    (message,) = boards(world)
    assert (await studio.pitching.find(message.id)).id == 1


async def test_a_board_written_while_the_bot_was_away_is_posted(
    start_bot, pitched_unseen, board_message
):
    await pitched_unseen()
    async with start_bot():
        await board_message(1)


@pytest.mark.parametrize("is_slash", [True, False])
async def test_a_failure_is_told_where_it_was_asked(
    bot, world, studio, margot, reply_to, says, is_slash
):
    (studio.folder.path / "pitches fail").touch()
    if is_slash:
        await reply_to(margot, "script pitch")
    else:
        await studio.pitching.ask(5, "the studio", reason="3 slots are empty.")
    place = world.general if is_slash else world.approvals
    told = await says("No pitches: ", place)
    assert r"\*out of order\*" in told.content
    await bot.pitches.repair()
    assert len([m for m in world.messages(place) if "No pitches" in m.content]) == 1


async def test_a_board_made_by_itself_says_why(bot, studio, says):
    await studio.pitching.ask(2, "the studio", reason="2 of the next 3 slots are empty.")
    assert "2 of the next 3 slots are empty." in (await says("what shall we make?")).content


# Choosing


async def test_a_number_makes_a_reel_of_its_pitch(
    bot, world, studio, pitched, margot, draft_of, says
):
    message = await pitched()
    world.react(margot, message, NUMBERS[1])
    await draft_of(1)
    await world.wait_until(
        lambda: "→ episode 1" in message.embeds[0]["fields"][1]["name"], 10, "the choice"
    )
    view = await studio.episodes.view(1)
    pitch = (await studio.pitching.pitches(1))[1]
    assert (view.episode.topic, view.brief.premise.hook) == (pitch.topic, pitch.hook)
    assert view.episode.requested_by == str(await bot.fetch_user(margot.id))


async def test_several_pitches_of_one_board_can_be_chosen(
    bot, world, studio, pitched, margot, draft_of
):
    message = await pitched(2)
    for number in (0, 1):
        world.react(margot, message, NUMBERS[number])
        await draft_of(number + 1)
    await world.wait_until(lambda: "are closed" in message.content, 10, "the last choice")
    assert set(await episodes(studio)) == set(await topics(studio))


async def test_many_clicks_at_once_make_one_reel(bot, world, studio, pitched, margot, draft_of):
    message = await pitched()
    ann = world.add_member("Ann", [world.approver])
    for member in (margot, ann):
        world.react(member, message, NUMBERS[0])
    await asyncio.gather(*(bot.pitches.choose(1, 1, "Zoe") for _ in range(3)), bot.pitches.repair())
    await draft_of(1)
    await bot.pitches.repair()
    assert len(await episodes(studio)) == 1


async def test_who_has_no_role_chooses_nothing(
    bot, world, studio, pitched, passerby, margot, draft_of
):
    message = await pitched()
    for emoji in (NUMBERS[0], "🔁"):
        world.react(passerby, message, emoji)
    world.react(margot, message, "👍")
    await bot.pitches.repair()
    world.react(margot, message, NUMBERS[2])
    await draft_of(1)
    assert await episodes(studio) == [(await topics(studio))[2]]
    assert [board.id for board in await studio.pitching.open()] == [1]


async def test_a_choice_made_while_the_bot_was_away_is_read_back(
    start_bot, world, studio, pitched_unseen, board_message, margot, passerby, draft_of
):
    await pitched_unseen()
    async with start_bot():
        message = await board_message(1)
    world.react(passerby, message, NUMBERS[3])
    world.react(margot, message, NUMBERS[4])
    async with start_bot() as bot:
        await draft_of(1)
        assert await episodes(studio) == [(await topics(studio))[4]]
        await bot.pitches.repair()
    async with start_bot():
        assert len(await episodes(studio)) == 1


async def test_a_reel_is_made_although_the_bot_ended_before_it_could_show_that(
    start_bot, world, studio, pitched_unseen, board_message, margot, draft_of, monkeypatch
):
    await pitched_unseen()
    async with start_bot() as bot:
        message = await board_message(1)
        asked = asyncio.Event()

        async def killed(*args):
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(bot.pitches, "show", killed)
        world.react(margot, message, NUMBERS[0])
        await asyncio.wait_for(asked.wait(), 10)
    async with start_bot():
        await draft_of(1)
        assert len(await episodes(studio)) == 1


async def test_a_topic_that_is_used_by_now_is_a_sentence_and_stops_no_other(
    bot, world, studio, pitched, margot, says, draft_of
):
    message = await pitched()
    name = (await topics(studio))[0]
    other = await studio.episodes.make("Coffee", "a test", until="script")
    await studio.db.execute(
        "UPDATE trends SET used_in_episode = ? WHERE name = ?", (other.id, name)
    )
    world.react(margot, message, NUMBERS[0])
    await says("is the topic of episode 1 already", world.approvals)
    world.react(margot, message, NUMBERS[1])
    await draft_of(2)
    await bot.pitches.repair()
    assert len(await episodes(studio)) == 2


# Others, and the end of a board


async def test_five_others_close_the_board(bot, world, studio, pitched, margot, board_message):
    first = await pitched(2)
    world.react(margot, first, "🔁")
    await board_message(2, 2)
    await world.wait_until(lambda: "Pitches 1 are closed" in first.content, 10, "the end")
    assert set(await topics(studio, 1)).isdisjoint(await topics(studio, 2))
    world.react(margot, first, NUMBERS[0])
    await bot.pitches.repair()
    assert await episodes(studio) == []


async def test_others_asked_for_while_the_bot_was_away_come_once(
    start_bot, world, studio, pitched_unseen, board_message, margot
):
    await pitched_unseen(2)
    async with start_bot():
        message = await board_message(1, 2)
    world.react(margot, message, "🔁")
    async with start_bot() as bot:
        await board_message(2, 2)
        await bot.pitches.repair()
    assert [board.id for board in await studio.pitching.open()] == [2]


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_deleted_board_is_closed_and_not_posted_again(
    start_bot, world, studio, pitched_unseen, board_message, is_away
):
    await pitched_unseen()
    async with start_bot() as bot:
        message = await board_message(1)
        if not is_away:
            world.delete_message(message)
            await world.wait_until(lambda: message.is_deleted, 10, "the end")
            await bot.pitches.repair()
    if is_away:
        world.delete_message(message)
        async with start_bot():
            pass
    assert (await studio.pitching.board(1)).state is BoardState.CLOSED
    assert [m for m in boards(world) if not m.is_deleted] == []


async def test_a_stale_board_is_closed_after_its_reactions_are_read(
    start_bot, world, studio, pitched_unseen, board_message, margot, monkeypatch, draft_of
):
    await pitched_unseen()
    async with start_bot():
        message = await board_message(1)
    world.react(margot, message, NUMBERS[0])
    now = studio.pitching._clock()
    monkeypatch.setattr(studio.pitching, "_clock", lambda: now + timedelta(days=1))
    async with start_bot():
        await draft_of(1)
    assert "are closed" in message.content


async def test_a_board_in_trouble_stops_no_other(
    start_bot, world, studio, pitched_unseen, board_message, margot, draft_of
):
    for _ in range(2):
        await pitched_unseen(2)
    async with start_bot():
        first, second = await board_message(1, 2), await board_message(2, 2)
    reactions = f"/channels/*/messages/{first.id}/reactions/*"
    world.faults.add("GET", reactions, status=403, json={"message": "No", "code": 50013}, times=99)
    for message in (first, second):
        world.react(margot, message, NUMBERS[0])
    async with start_bot():
        await draft_of(1)
    assert await episodes(studio) == [(await topics(studio, 2))[0]]


# Commands


async def test_the_newest_board_is_chosen_from_by_command(
    studio, bot, pitched, margot, reply_to, draft_of
):
    await pitched(2)
    await pitched(2)
    reply = await reply_to(margot, "script choose", {"number": 2})
    assert reply.content == "Pitch 2 of pitches 2: episode 1 is on its way."
    await draft_of(1)
    assert await episodes(studio) == [(await topics(studio, 2))[1]]
    again = await reply_to(margot, "script choose", {"number": 2, "board": 2})
    assert again.content == "Pitch 2 of pitches 2: episode 1 has been made of it already."


@pytest.mark.parametrize(
    ("options", "words"),
    [({"number": 1}, "No pitches are open"), ({"number": 1, "board": 9}, "no pitches 9")],
)
async def test_choosing_what_is_not_there_is_a_sentence(bot, margot, reply_to, options, words):
    assert words in (await reply_to(margot, "script choose", options)).content


async def test_status_names_the_backlog(bot, margot, reply_to):
    shown = (await reply_to(margot, "status")).content
    assert "Backlog: 0 reels for the 3 slots of the next 3 days." in shown
