"""Checkpoints in the approval channel: who may decide, when it counts, and that it counts once."""

import asyncio

import pytest

from bot.settings import load_settings
from storage.states import TrainingState
from training.model_info import LORA_FILE

PROMOTE, STOP, PAUSE = "✅", "❌", "⏸️"


@pytest.fixture
def state_of(studio, eventually):
    async def wait(run, state):
        async with asyncio.timeout(30):
            while (await run.row()).state is not state:  # noqa: ASYNC110 - nothing sets an event
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def model_of(studio):
    """(training, step) of the model in use."""

    async def model():
        models = (await studio.training.status()).promotions
        return [(model.run_id, model.step) for model in models]

    return model


@pytest.fixture
async def colette(world):
    return world.add_member("Colette", [world.approver])


def shows(world, message, words):
    return world.wait_until(lambda: words in message.content, 10, words)


def checkpoints(world):
    """Messages of checkpoints, of any run."""
    return [
        message
        for message in world.messages(world.approvals)
        if any("· step" in embed.get("footer", {}).get("text", "") for embed in message.embeds)
    ]


async def test_a_checkpoint_is_shown_once_with_its_pictures(bot, world, training_of, checkpoint_of):
    run = await training_of()
    await run.validates(100, loss=0.1)
    first = await checkpoint_of(run, 100)
    assert [a.filename for a in first.attachments] == ["grid.png"]
    assert first.content.startswith("**Butcher at step 100 of 800: shall it draw?** (0 of 1 votes)")
    assert "Loss with fixed noise: 0.1000." in first.embeds[0]["description"]
    await run.validates(200, loss=0.075)
    second = await checkpoint_of(run, 200)
    assert r"0.0750 (-25.0% since step 100)" in second.embeds[0]["description"].replace("\\", "")
    await bot.repair()
    assert checkpoints(world) == [first, second]


async def test_pictures_too_large_for_the_server_are_named_instead(
    bot, world, training_of, checkpoint_of
):
    run = await training_of()
    await run.validates(100, grid=bytes(10 * 2**20 + 1))
    message = await checkpoint_of(run, 100)
    assert message.attachments == []
    (field,) = message.embeds[0]["fields"]
    assert "validation" in field["value"]
    assert field["value"].endswith("grid.png: they are too large for this server.")


async def test_pictures_that_somebody_removed_are_not_called_too_large(
    bot, world, studio, training_of, checkpoint_of, start_bot
):
    run = await training_of()
    await bot.close()
    await run.validates(100)
    (run.folder / "validation-100" / "grid.png").unlink()
    async with start_bot():
        (field,) = (await checkpoint_of(run, 100)).embeds[0]["fields"]
    assert field["value"].endswith("grid.png: they are not there any more.")


async def test_a_message_whose_answer_is_lost_is_not_sent_twice(
    bot, world, training_of, checkpoint_of
):
    run = await training_of()
    world.faults.add("POST", f"/channels/{world.approvals.id}/messages", drop="after")
    await run.validates(100)
    await world.wait_for_message(lambda m: "shall it draw" in m.content)
    await bot.validations.repair()
    await checkpoint_of(run, 100)
    assert len(checkpoints(world)) == 1


async def test_enough_approvers_promote_and_it_says_what_is_next(
    bot, world, margot, training_of, checkpoint_of, model_of
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    world.react(margot, message, PROMOTE)
    await shows(world, message, "is in use")
    assert "`/train back` takes the model before it" in message.content
    assert await model_of() == [(run.id, 100)]


async def test_the_checkpoint_before_says_that_it_is_closed(
    bot, world, margot, training_of, checkpoint_of, model_of
):
    run = await training_of()
    for step in (100, 200):
        await run.validates(step)
        message = await checkpoint_of(run, step)
        world.react(margot, message, PROMOTE)
        await shows(world, message, "is in use")
    first = await checkpoint_of(run, 100)
    await shows(world, first, "is closed")
    assert f"`/train promote 100 {run.id}` still takes it" in first.content
    assert await model_of() == [(run.id, 200)]


async def test_members_without_the_role_and_bots_count_for_nothing(
    bot, world, margot, passerby, training_of, checkpoint_of, model_of, says
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    robot = world.add_member("Robot", [world.approver], bot=True)
    for emoji in (PROMOTE, STOP, PAUSE):
        world.react(passerby, message, emoji)
        world.react(robot, message, emoji)
    await says(f"{passerby.mention}: checkpoints need the role", world.approvals)
    await bot.validations.repair()
    assert await model_of() == []
    assert (await run.row()).state is TrainingState.RUNNING
    told = [m for m in world.messages(world.approvals) if "need the role" in m.content]
    assert len(told) == 1
    assert not told[0].pings


async def test_one_approver_pauses_and_one_stops(
    bot, world, margot, training_of, checkpoint_of, state_of
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    world.react(margot, message, PAUSE)
    await state_of(run, TrainingState.PAUSED)
    world.react(margot, message, STOP, burst=True)
    await state_of(run, TrainingState.STOPPED)
    assert (await run.row()).note == "Stopped by Margot"


@pytest.mark.parametrize("emoji", [PAUSE, STOP])
async def test_a_reaction_that_was_done_does_not_undo_a_resume(
    bot, world, studio, margot, training_of, checkpoint_of, state_of, reply_to, start_bot, emoji
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    world.react(margot, message, emoji)
    await state_of(run, TrainingState.PAUSED if emoji == PAUSE else TrainingState.STOPPED)
    assert "goes on" in (await reply_to(margot, "train resume")).content
    await bot.repair()
    assert (await run.row()).state is TrainingState.RUNNING
    await bot.close()
    async with start_bot() as another:
        await another.repair()
        assert (await run.row()).state is TrainingState.RUNNING
        world.unreact(margot, message, emoji)
        await another.repair()
        world.react(margot, message, emoji)
        await state_of(run, TrainingState.PAUSED if emoji == PAUSE else TrainingState.STOPPED)


async def test_reactions_of_an_absence_are_read_back(
    bot, world, margot, training_of, checkpoint_of, start_bot, model_of, state_of
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    await bot.close()
    world.react(margot, message, PROMOTE)
    world.react(margot, message, PAUSE)
    async with start_bot():
        await shows(world, message, "is in use")
        await state_of(run, TrainingState.PAUSED)
    assert await model_of() == [(run.id, 100)]


async def test_a_checkpoint_of_an_absence_is_shown_at_the_start(
    bot, world, training_of, checkpoint_of, start_bot
):
    run = await training_of()
    await bot.close()
    await run.validates(100)
    async with start_bot():
        await checkpoint_of(run, 100)


async def test_a_message_sent_just_before_the_end_is_found_again(
    bot, world, studio, training_of, checkpoint_of, start_bot, monkeypatch
):
    run = await training_of()

    async def dies(*_):
        raise OSError("the bot is killed here")

    with monkeypatch.context() as patch:
        patch.setattr(studio.training, "shown", dies)
        await run.validates(100)
        await world.wait_for_message(lambda m: "shall it draw" in m.content)
        await bot.close()
    world.advance(400)  # a nonce is forgotten by then
    async with start_bot():
        message = await checkpoint_of(run, 100)
    assert checkpoints(world) == [message]


async def test_a_deleted_message_closes_its_checkpoint_until_somebody_asks_for_it(
    bot, world, studio, margot, training_of, checkpoint_of, reply_to, model_of, eventually
):
    run = await training_of()
    await run.validates(100)
    world.delete_message(await checkpoint_of(run, 100))
    async with asyncio.timeout(30):
        while await studio.training.open_validations():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    await bot.repair()
    assert checkpoints(world) == []
    assert "is in use now" in (await reply_to(margot, "train promote")).content
    assert await model_of() == [(run.id, 100)]


async def test_a_deletion_during_an_absence_is_seen(
    bot, world, studio, training_of, checkpoint_of, start_bot
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    await bot.close()
    world.delete_message(message)
    async with start_bot():
        assert await studio.training.open_validations() == []


async def test_a_named_checkpoint_is_promoted_by_command_and_shown(
    bot, world, margot, training_of, checkpoint_of, reply_to, model_of
):
    run = await training_of()
    for step in (100, 200):
        await run.validates(step)
    first = await checkpoint_of(run, 100)
    reply = await reply_to(margot, "train promote", {"step": 100})
    assert reply.content.startswith("Butcher at step 100 is in use now.")
    await shows(world, first, "is in use")
    assert await model_of() == [(run.id, 100)]


@pytest.mark.parametrize("step", [None, 300])
async def test_a_checkpoint_that_is_not_there_is_a_sentence(
    bot, margot, training_of, reply_to, step
):
    run = await training_of()
    if step is not None:
        await run.validates(100)
    reply = await reply_to(margot, "train promote", {} if step is None else {"step": step})
    assert reply.content.endswith(".")
    assert "went wrong" not in reply.content


async def test_the_way_back_is_one_command(
    bot, world, margot, training_of, checkpoint_of, reply_to, model_of
):
    run = await training_of()
    for step in (100, 200):
        await run.validates(step)
        await reply_to(margot, "train promote", {"step": step})
    back = await reply_to(margot, "train back", {"character": "butcher"})
    assert back.content == f"Butcher is drawn by training {run.id}, step 100, again."
    await shows(world, await checkpoint_of(run, 100), "is in use")
    await shows(world, await checkpoint_of(run, 200), "is closed")
    back = await reply_to(margot, "train back", {"character": "Butcher"})
    assert back.content == "No model draws Butcher any more; the rig does."
    back = await reply_to(margot, "train back", {"character": "Butcher"})
    assert "no model in use" in back.content


async def test_a_damaged_checkpoint_is_said_once_and_not_promoted(
    bot, world, margot, training_of, checkpoint_of, model_of, says
):
    run = await training_of()
    await run.validates(100)
    (run.folder / "promoted-100" / LORA_FILE).write_bytes(b"*flipped*")
    message = await checkpoint_of(run, 100)
    world.react(margot, message, PROMOTE)
    said = await world.wait_for_message(
        lambda m: m.channel is world.approvals and "config.yaml" in m.content
    )
    await bot.repair()
    await bot.repair()
    assert [m for m in world.messages(world.approvals) if m.content == said.content] == [said]
    assert await model_of() == []


async def test_a_second_server_decides_nothing(
    bot, world, margot, training_of, checkpoint_of, model_of
):
    run = await training_of()
    await run.validates(100)
    await checkpoint_of(run, 100)
    other = world.add_guild("The Cattery")
    channel = world.add_channel("approvals", guild=other)
    role = world.add_role("Approver", guild=other)
    felix = world.add_member("Felix", [role], guild=other)
    world.say(felix, channel, f"{world.bot.mention} train promote")
    answer = await world.wait_for_message(lambda m: m.channel is channel and m.author.bot)
    assert answer.content == "This bot works in one server only, and this is not it."
    assert await model_of() == []


async def test_checkpoints_of_old_trainings_close_and_can_still_be_promoted(
    bot, world, studio, margot, training_of, checkpoint_of, reply_to, model_of
):
    first = await training_of(name="first")
    await first.validates(100)
    message = await checkpoint_of(first, 100)
    await first.ends(TrainingState.FINISHED)
    for name in ("second", "third", "fourth"):
        await (await training_of(name=name)).ends(TrainingState.FINISHED)
    await bot.repair()
    await shows(world, message, "is closed**: Newer trainings have begun.")
    world.react(margot, message, PROMOTE)
    await reply_to(margot, "train promote", {"step": 100, "training": first.id})
    await shows(world, message, "is in use")
    assert await model_of() == [(first.id, 100)]


async def test_what_an_old_training_that_goes_on_shows_stays_open(
    bot, world, studio, margot, training_of, checkpoint_of, reply_to
):
    first = await training_of(name="first")
    await first.ends(TrainingState.PAUSED)
    for name in ("second", "third", "fourth"):
        await (await training_of(name=name)).ends(TrainingState.FINISHED)
    await reply_to(margot, "train resume")
    await first.validates(100)
    message = await checkpoint_of(first, 100)
    await bot.repair()
    assert "shall it draw?" in message.content
    assert [v.step for v in await studio.training.open_validations()] == [100]


async def test_the_message_of_a_promoted_checkpoint_still_pauses_and_stops(
    bot, world, margot, training_of, checkpoint_of, state_of, start_bot
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    world.react(margot, message, PROMOTE)
    await shows(world, message, "is in use")
    world.react(margot, message, PAUSE)
    await state_of(run, TrainingState.PAUSED)
    await bot.studio.training.resume("Margot")
    await bot.close()
    world.react(margot, message, STOP)
    async with start_bot():
        await state_of(run, TrainingState.STOPPED)


async def test_the_model_of_an_old_training_no_longer_says_that_it_is_in_use(
    bot, world, margot, training_of, checkpoint_of, reply_to
):
    first = await training_of(name="first")
    await first.validates(100)
    message = await checkpoint_of(first, 100)
    await reply_to(margot, "train promote")
    await first.ends(TrainingState.FINISHED)
    for name in ("second", "third", "fourth"):
        await (await training_of(name=name)).ends(TrainingState.FINISHED)
    last = await training_of(name="last")
    await last.validates(200)
    await reply_to(margot, "train promote")
    await shows(world, await checkpoint_of(last, 200), "is in use")
    await shows(world, message, "is closed")
    await reply_to(margot, "train back", {"character": "Butcher"})
    await shows(world, message, "is in use")


async def test_a_verdict_counts_where_the_bot_cannot_add_reactions(
    bot, world, margot, training_of, checkpoint_of, state_of, model_of
):
    run = await training_of()
    await run.validates(100)
    message = await checkpoint_of(run, 100)
    world.faults.add(
        "PUT", f"/channels/*/messages/{message.id}/reactions/*/@me", status=403, times=99
    )
    world.clear_reactions(message)
    world.react(margot, message, PAUSE)
    world.react(margot, message, PROMOTE)
    await state_of(run, TrainingState.PAUSED)
    await shows(world, message, "is in use")


async def test_a_checkpoint_that_cannot_be_posted_is_not_tried_again_at_every_step(
    bot, world, training_of, checkpoint_of
):
    run = await training_of()
    fault = world.faults.add(
        "POST", f"/channels/{world.approvals.id}/messages", status=403, times=99
    )
    await run.validates(100)
    for step in range(101, 111):
        await run.steps(step)
    await bot.validations.post_missing()
    assert fault.times >= 98
    fault.times = 0
    await bot.validations.repair()
    await checkpoint_of(run, 100)


class TestTwoApprovals:
    """When the channel wants two."""

    @pytest.fixture
    def settings(self, settings):
        given = settings.model_dump(exclude_unset=True)
        return load_settings(None, **{**given, "approvals_needed": 2})

    async def test_two_different_members_are_needed_whatever_kind_of_reaction(
        self, bot, world, margot, colette, training_of, checkpoint_of, model_of
    ):
        run = await training_of()
        await run.validates(100)
        message = await checkpoint_of(run, 100)
        world.react(margot, message, PROMOTE)
        world.react(margot, message, PROMOTE, burst=True)
        await shows(world, message, "(1 of 2 votes)")
        assert await model_of() == []
        world.react(colette, message, PROMOTE, burst=True)
        await shows(world, message, "is in use")

    async def test_a_vote_taken_back_before_does_not_count(
        self, bot, world, margot, colette, training_of, checkpoint_of, model_of
    ):
        run = await training_of()
        await run.validates(100)
        message = await checkpoint_of(run, 100)
        world.react(margot, message, PROMOTE)
        await shows(world, message, "(1 of 2 votes)")
        world.unreact(margot, message, PROMOTE)
        await shows(world, message, "(0 of 2 votes)")
        world.react(colette, message, PROMOTE)
        await shows(world, message, "(1 of 2 votes)")
        world.clear_reactions(message)
        await shows(world, message, "(0 of 2 votes)")
        assert await model_of() == []

    async def test_two_clicks_at_once_promote_once(
        self, bot, world, studio, margot, colette, training_of, checkpoint_of
    ):
        run = await training_of()
        await run.validates(100)
        message = await checkpoint_of(run, 100)
        world.react(margot, message, PROMOTE)
        world.react(colette, message, PROMOTE)
        await shows(world, message, "is in use")
        rows = await studio.db.fetch_all("SELECT * FROM promotions")
        assert len(rows) == 1

    async def test_a_vote_by_command_and_one_by_reaction_are_two(
        self, bot, world, margot, colette, training_of, checkpoint_of, reply_to
    ):
        run = await training_of()
        await run.validates(100)
        message = await checkpoint_of(run, 100)
        reply = await reply_to(margot, "train promote")
        assert reply.content == "Butcher at step 100 has 1 of 2 votes."
        world.react(margot, message, PROMOTE)
        await bot.validations.repair()
        assert "(1 of 2 votes)" in message.content
        world.react(colette, message, PROMOTE)
        await shows(world, message, "is in use")
