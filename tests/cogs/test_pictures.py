"""Boards of what a model drew: shown once, judged by those who may, used after a yes only."""

import asyncio

import pytest

from storage.pitches import BoardState

NUMBERS = ("1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣", "6️⃣", "7️⃣", "8️⃣")
TAKE, NONE, AGAIN = "✅", "❌", "🔁"


def footers(message):
    return [embed.get("footer", {}).get("text", "") for embed in message.embeds]


def boards(world):
    return [m for m in world.messages(world.approvals) if any("pictures " in f for f in footers(m))]


@pytest.fixture
def board_message(world):
    """The message of a board, once all its reactions are there."""

    async def wait(board=1, pictures=8):
        return await world.wait_for_message(
            lambda message: (
                any(f"pictures {board} ·" in text for text in footers(message))
                and len(message.reactions) == pictures + 3
            )
        )

    return wait


@pytest.fixture
def promote(studio, training_of):
    """A model in use, without votes."""

    async def promoted(character="Butcher", step=100):
        run = await training_of(character)
        await run.validates(step)
        for user in range(1, studio.settings.approvals_needed + 1):
            standing = await studio.training.vote(run.id, step, user)
        assert standing.promotion is not None
        return standing.promotion

    return promoted


@pytest.fixture
def drawn_unseen(studio, promote):
    """A board that is drawn while no bot is there to show it."""

    async def drawn():
        await promote()
        await studio.engine.finished()
        (board,) = await studio.pictures.open()
        return board

    return drawn


async def library(studio):
    facts = await studio.engine._runner._hooks.facts(None, "images")
    return sorted(p.emotion.value for p in facts["library"].pictures if p.source == "model")


def ends(world, message, words):
    return world.wait_until(lambda: words in message.content, 30, words)


# A board


async def test_a_promotion_shows_what_the_model_draws(bot, world, promote, board_message, studio):
    await promote()
    message = await board_message()
    assert message.content.startswith("**Pictures 1: Butcher, drawn by the model.** A number")
    assert [a.filename for a in message.attachments] == ["pictures.png"]
    (embed,) = message.embeds
    lines = embed["description"].splitlines()
    assert [line.split(" ")[1] for line in lines] == [
        *("happy", "sad", "excited", "sarcastic", "angry", "confused", "surprised", "neutral")
    ]
    assert embed["image"]["url"]
    assert await library(studio) == []


async def test_a_board_is_posted_once(bot, world, promote, board_message):
    await promote()
    await board_message()
    await asyncio.gather(*(bot.pictures.go_on() for _ in range(3)), bot.pictures.repair())
    assert len(boards(world)) == 1


async def test_a_board_drawn_while_nobody_was_there_is_posted_later(
    world, studio, drawn_unseen, start_bot, board_message
):
    await drawn_unseen()
    async with start_bot():
        await board_message()
    assert len(boards(world)) == 1


async def test_a_board_that_was_sent_but_not_noted_is_found_again(
    world, studio, drawn_unseen, start_bot, board_message, monkeypatch
):
    board = await drawn_unseen()

    async def die(*_, **__):
        raise OSError("the bot has died")

    with monkeypatch.context() as patch:
        patch.setattr(studio.pictures, "posted", die)
        async with start_bot():
            pass
    assert (await studio.pictures.shown(board.id)).board.message_id is None
    async with start_bot():
        await board_message()
    assert len(boards(world)) == 1


# Judgements


async def test_what_nobody_crossed_out_is_taken(bot, world, studio, margot, promote, board_message):
    await promote()
    message = await board_message()
    for number in (2, 3, 5, 6, 7, 8):
        world.react(margot, message, NUMBERS[number - 1])
    world.react(margot, message, TAKE)
    await ends(world, message, "2 of 8 taken by")
    assert await library(studio) == ["happy", "sarcastic"]


async def test_members_without_the_role_neither_take_nor_cross_out(
    bot, world, studio, margot, passerby, promote, board_message
):
    await promote()
    message = await board_message()
    robot = world.add_member("Robot", [world.approver], bot=True)
    for member in (passerby, robot):
        for emoji in (NUMBERS[0], NONE, TAKE, AGAIN):
            world.react(member, message, emoji)
    await bot.repair()
    assert [board.state for board in await studio.pictures.open()] == [BoardState.OPEN]
    assert await library(studio) == []
    world.react(margot, message, TAKE)
    await ends(world, message, "All taken by")
    assert len(await library(studio)) == 8


async def test_none_is_taken_when_somebody_says_so(
    bot, world, studio, margot, promote, board_message
):
    await promote()
    message = await board_message()
    world.react(margot, message, NONE)
    await ends(world, message, "None taken by")
    assert await library(studio) == []
    world.react(margot, message, TAKE)
    await bot.repair()
    assert await library(studio) == []


async def test_others_are_drawn_on_a_board_of_their_own(
    bot, world, studio, margot, promote, board_message
):
    await promote()
    first = await board_message()
    world.react(margot, first, AGAIN)
    await ends(world, first, "Others were asked for")
    second = await board_message(2)
    world.react(margot, second, TAKE)
    await ends(world, second, "All taken by")
    assert len(await library(studio)) == 8
    assert len(boards(world)) == 2


@pytest.mark.parametrize(
    ("emojis", "taken"), [((NUMBERS[0], TAKE), 7), ((TAKE, NONE), 0), ((NONE, AGAIN), 0)]
)
async def test_reactions_of_an_absence_are_read_back(
    world, studio, margot, drawn_unseen, start_bot, board_message, emojis, taken
):
    await drawn_unseen()
    async with start_bot():
        message = await board_message()
    for emoji in emojis:
        world.react(margot, message, emoji)
    async with start_bot():
        await ends(world, message, "taken by")
    assert len(await library(studio)) == taken


async def test_a_judgement_waits_for_no_reactions_of_ours(
    bot, world, studio, margot, promote, board_message, monkeypatch
):
    await promote()
    message = await board_message()

    async def forbidden(*_):
        raise OSError("reactions cannot be added now")

    monkeypatch.setattr("cogs._pictures.seed", forbidden)
    world.react(margot, message, TAKE)
    await ends(world, message, "All taken by")


async def test_a_judgement_that_was_cut_short_is_made_by_the_next_bot(
    world, studio, margot, drawn_unseen, start_bot, board_message, monkeypatch, caplog, eventually
):
    await drawn_unseen()

    async def die(*_, **__):
        raise OSError("the bot has died")

    async with start_bot():
        message = await board_message()
        with monkeypatch.context() as patch:
            patch.setattr("storage.images.Images.add", die)
            world.react(margot, message, NUMBERS[3])
            world.react(margot, message, TAKE)
            await eventually(lambda: "pictures=1 the bot has died" in caplog.text)
            assert await library(studio) == []
    async with start_bot():
        await ends(world, message, "7 of 8 taken by")
    assert len(await library(studio)) == 7


async def test_a_board_whose_message_is_deleted_gives_nothing(
    bot, world, studio, promote, board_message, eventually
):
    await promote()
    message = await board_message()
    world.delete_message(message)
    async with asyncio.timeout(30):
        while await studio.pictures.open():  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0.01)
    assert await library(studio) == []


async def test_a_board_whose_sheet_is_gone_is_not_shown(
    world, studio, drawn_unseen, start_bot, says
):
    board = await drawn_unseen()
    (studio.folder.path / board.sheet).unlink()
    async with start_bot():
        message = await says("No pictures of Butcher", world.approvals)
    assert "Their sheet is not there any more" in message.content
    assert "`/train drawings`" in message.content
    assert boards(world) == []


async def test_a_model_that_cannot_draw_says_so_in_the_channel(
    bot, world, studio, promote, says, monkeypatch
):
    def fail(**_):
        from pipeline.errors import UserError

        raise UserError("The model *is* damaged.")

    monkeypatch.setattr("quick_drawings.run", fail)
    await promote()
    message = await says("No pictures of Butcher", world.approvals)
    assert message.content == (
        r"No pictures of Butcher: The model \*is\* damaged. `/train drawings` draws them anew."
    )


# By command


async def test_drawings_can_be_asked_for(
    bot, world, studio, margot, promote, board_message, reply_to
):
    await promote()
    first = await board_message()
    world.react(margot, first, NONE)
    await ends(world, first, "None taken")
    reply = await reply_to(margot, "train drawings", {"character": "Butcher"})
    assert reply.content == f"Pictures 2 of Butcher are on the way to <#{world.approvals.id}>."
    await board_message(2)


async def test_without_a_model_there_is_nothing_to_draw_with(bot, margot, reply_to):
    reply = await reply_to(margot, "train drawings", {"character": "Nutsy"})
    assert reply.content == "Nutsy has no model in use; `/train promote` chooses one."


async def test_drawing_needs_the_role(bot, passerby, reply_to, world):
    reply = await reply_to(passerby, "train drawings", {"character": "Nutsy"})
    assert f"<@&{world.approver.id}>" in reply.content
