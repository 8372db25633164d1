"""The live message of a training: one, true, found again, renewed when it is old."""

import pytest

from storage.states import TrainingState


def live_messages(world, channel=None):
    return [
        message
        for message in world.messages(channel or world.approvals)
        for embed in message.embeds
        if embed.get("title", "").startswith("Training ")
    ]


def text_of(message):
    return message.embeds[0]["description"]


@pytest.fixture
def live(bot, world, studio):
    """The live message of a run in the general channel."""

    async def begin(run):
        channel = bot.get_channel(world.general.id)
        await bot.live_runs.begin(channel, await run.row())
        (message,) = live_messages(world, world.general)
        return message

    return begin


@pytest.fixture
def always(bot, monkeypatch):
    """Every event is shown, without the pause between two edits."""
    monkeypatch.setattr("cogs._training_progress.EVERY_S", 0)


def shows(world, message, words):
    return world.wait_until(lambda: words in text_of(message), 10, words)


async def test_it_says_how_far_it_is(always, world, live, training_of):
    run = await training_of()
    message = await live(run)
    assert "Begins with 20 pictures" in text_of(message)
    await run.steps(200, loss=0.0712, seconds_left=600)
    await shows(world, message, "▰▰▰▰▱▱▱▱▱▱▱▱▱▱▱▱ step 200 of 800")
    assert "loss 0.0712 · about 10 min left" in text_of(message)


async def test_steps_are_shown_every_few_seconds_and_a_pause_at_once(
    bot, world, studio, live, training_of
):
    run = await training_of()
    message = await live(run)
    edits = sum(r.method == "PATCH" for r in world.requests)
    for step in range(1, 6):
        await run.steps(step)
    await studio.training.pause("Margot")
    await shows(world, message, "is paused; `/train resume` goes on")
    assert "step 5 of 800" in text_of(message)
    assert sum(r.method == "PATCH" for r in world.requests) <= edits + 2


async def test_the_plot_comes_with_the_first_validation_and_is_renewed(
    always, world, live, training_of
):
    run = await training_of()
    message = await live(run)
    assert message.attachments == []
    await run.steps(90)
    await run.validates(100)
    await world.wait_until(lambda: message.attachments, 30, "the plot")
    (first,) = message.attachments
    assert (first.filename, first.data[:4]) == ("loss.png", b"\x89PNG")
    assert message.embeds[0]["image"]["url"] == "attachment://loss.png"
    await run.steps(150)
    await shows(world, message, "step 150")
    assert message.attachments == [first]
    await run.validates(200)
    await world.wait_until(lambda: message.attachments != [first], 30, "the next plot")
    assert len(message.attachments) == 1


async def test_it_is_the_same_message_after_a_restart(
    always, bot, world, live, training_of, start_bot
):
    run = await training_of()
    message = await live(run)
    await bot.close()
    await run.steps(300)
    async with start_bot():
        await shows(world, message, "step 300")
    assert live_messages(world) == []
    assert live_messages(world, world.general) == [message]


async def test_a_run_without_a_message_gets_one_at_the_start(
    bot, world, studio, training_of, start_bot
):
    await bot.close()
    run = await training_of()
    async with start_bot() as another:
        await world.wait_until(lambda: live_messages(world), 10, "the message")
        await another.repair()
    (message,) = live_messages(world)
    assert (await run.row()).message_id == message.id


async def test_a_message_sent_just_before_the_end_is_found_again(
    bot, world, studio, training_of, start_bot, monkeypatch
):
    run = await training_of()

    async def dies(*_):
        raise OSError("the bot is killed here")

    with monkeypatch.context() as patch:
        patch.setattr(studio.training, "live_message", dies)
        await bot.live_runs.repair()
        await bot.close()
    world.advance(400)  # a nonce is forgotten by then
    async with start_bot():
        pass
    (message,) = live_messages(world)
    assert (await run.row()).message_id == message.id


async def test_a_message_of_fifty_minutes_is_followed_by_a_new_one(
    always, world, live, training_of, monkeypatch
):
    run = await training_of()
    old = await live(run)
    monkeypatch.setattr("cogs._training_progress.TOO_OLD_S", -1)
    await run.steps(300)
    await world.wait_until(lambda: len(live_messages(world, world.general)) > 1, 10, "a new one")
    new = live_messages(world, world.general)[-1]
    assert "step 300" in text_of(new)
    assert "step 0" in text_of(old)


async def test_a_deleted_message_is_followed_by_a_new_one(always, world, live, training_of):
    run = await training_of()
    world.delete_message(await live(run))
    await run.steps(300)
    await world.wait_until(lambda: live_messages(world, world.general), 10, "a new one")


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        (TrainingState.FINISHED, "", "is trained; a ✅ on one of its checkpoints"),
        (TrainingState.FAILED, "The *disk* is full.", r"tries again: The \*disk\* is full."),
        (TrainingState.STOPPED, "", "was stopped; `/train resume` goes on after all."),
    ],
)
async def test_an_end_is_told_once(
    always, bot, world, live, training_of, start_bot, says, state, error, words
):
    run = await training_of()
    message = await live(run)
    await run.ends(state, error=error)
    said = await says(words, world.approvals)
    await world.wait_until(lambda: "is being trained" not in text_of(message), 10, "its end")
    await bot.repair()
    await bot.close()
    async with start_bot() as another:
        await another.repair()
    assert [m for m in world.messages(world.approvals) if words in m.content] == [said]


async def test_an_end_during_an_absence_is_told_at_the_start(
    bot, world, training_of, start_bot, says
):
    run = await training_of()
    await bot.close()
    await run.ends(TrainingState.FINISHED)
    async with start_bot():
        await says("is trained", world.approvals)


async def test_a_channel_that_cannot_be_written_stops_nothing(
    always, bot, world, live, training_of
):
    run = await training_of()
    message = await live(run)
    world.faults.add("PATCH", f"/channels/*/messages/{message.id}", status=500, times=99)
    await run.steps(10)
    await run.validates(100)
    await world.wait_for_message(lambda m: "shall it draw" in m.content)


async def test_a_paused_run_gets_no_new_message_however_old_its_own_is(
    bot, world, studio, live, training_of, monkeypatch
):
    run = await training_of()
    message = await live(run)
    await studio.training.pause("Margot")
    await shows(world, message, "is paused")
    monkeypatch.setattr("cogs._training_progress.TOO_OLD_S", -1)
    monkeypatch.setattr("cogs._training_progress.EVERY_S", 0)
    requests = len([r for r in world.requests if r.method == "PATCH"])
    for _ in range(3):
        await bot.live_runs.repair()
    assert live_messages(world, world.general) == [message]
    assert len([r for r in world.requests if r.method == "PATCH"]) == requests


async def test_a_pause_is_shown_while_a_plot_waits_for_the_workers(
    always, bot, world, studio, cpu, live, training_of, eventually
):
    run = await training_of()
    message = await live(run)
    cpu.holding = True
    await run.validates(100)
    await eventually(lambda: cpu.held)
    await studio.training.pause("Margot")
    await shows(world, message, "is paused")
    assert message.attachments == []
    cpu.release()
    await world.wait_until(lambda: message.attachments, 30, "the plot")


async def test_a_plot_that_discord_did_not_take_comes_with_the_next_look(
    always, bot, world, studio, live, training_of, eventually, caplog
):
    run = await training_of()
    message = await live(run)
    path = f"/channels/*/messages/{message.id}"
    fault = world.faults.add("PATCH", path, status=400, times=99)
    await run.validates(100)
    await eventually(lambda: f"run={run.id} plot:" in caplog.text)
    fault.times = 0
    await run.steps(101)
    await shows(world, message, "step 101")
    assert "image" not in message.embeds[0]
    await bot.live_runs.repair()
    await world.wait_until(lambda: message.attachments, 30, "the plot")


# Commands


async def test_a_run_is_paused_resumed_and_stopped_by_command(
    bot, world, training_of, margot, reply_to
):
    run = await training_of()
    for command, state in (
        ("pause", TrainingState.PAUSED),
        ("resume", TrainingState.RUNNING),
        ("stop", TrainingState.STOPPED),
    ):
        reply = await reply_to(margot, f"train {command}")
        assert reply.content.startswith("Training 1 of Butcher")
        assert (await run.row()).state is state
    reply = await reply_to(margot, "train pause")
    assert "No training is running" in reply.content


async def test_the_status_shows_runs_models_and_pictures(
    bot, world, training_of, margot, passerby, reply_to
):
    before = await reply_to(passerby, "train status")
    assert "Butcher has 0 pictures." in before.content
    assert "Nothing has been trained yet" in before.content
    run = await training_of()
    await run.validates(100)
    await reply_to(margot, "train promote")
    status = (await reply_to(passerby, "train status")).content
    assert "Butcher is drawn by training 1, step 100" in status
    assert "`training 1` Butcher · running" in status


async def test_the_overview_names_the_training_under_way(bot, training_of, passerby, reply_to):
    assert "training 1" not in (await reply_to(passerby, "status")).content
    run = await training_of()
    await run.steps(400)
    assert (
        "`training 1` Butcher is being trained: ▰" in (await reply_to(passerby, "status")).content
    )
    await run.ends(TrainingState.FINISHED)
    assert "training 1" not in (await reply_to(passerby, "status")).content


async def test_starting_without_pictures_is_a_sentence(bot, margot, reply_to):
    reply = await reply_to(margot, "train start", {"character": "Butcher"})
    assert reply.content.startswith("Butcher has 0 pictures to learn from; `/train upload`")


def test_steps_are_a_number_and_step_too(bot, world):
    (train,) = [command for command in world.commands if command["name"] == "train"]
    kinds = {
        (command["name"], option["name"]): option["type"]
        for command in train["options"]
        for option in command["options"]
    }
    assert kinds["start", "steps"] == kinds["promote", "step"] == 4
    assert kinds["upload", "picture10"] == 11


async def test_bases_and_checkpoints_are_offered(bot, world, studio, margot, training_of):
    base = studio.folder.path / "bases" / "sd15"
    base.mkdir(parents=True)
    (base / "model_index.json").write_text("{}")
    asked = world.autocomplete(
        margot, "train start", "base", "sd", options={"character": "Butcher"}
    )
    await asked.answered()
    assert [choice["value"] for choice in asked.choices] == ["sd15"]
    run = await training_of()
    for step in (100, 200):
        await run.validates(step)
    asked = await world.autocomplete(margot, "train promote", "step", "").answered()
    assert [choice["value"] for choice in asked.choices] == [200, 100]
    await run.ends(TrainingState.FINISHED)
    await training_of(name="newer")
    asked = world.autocomplete(margot, "train promote", "step", "", options={"training": run.id})
    await asked.answered()
    assert [choice["value"] for choice in asked.choices] == [200, 100]
