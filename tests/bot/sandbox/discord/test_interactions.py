import discord
import pytest

from bot.sandbox.discord import NotPossible, Permission


@pytest.fixture
def ann(sandbox):
    return sandbox.add_member("Ann", [sandbox.approver])


def reason(problem):
    return problem.status, problem.code


async def test_a_deferred_command_is_filled_by_its_first_followup(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "make", {"topic": "cheese", "count": 2})
    await interaction.answered()
    assert interaction.is_deferred
    reply = await interaction.replied()
    assert (reply.content, reply) == ("cheese x2", interaction.response)
    await sandbox.wait_until(lambda: interaction.followups, 2, "the second followup")
    assert [each.content for each in interaction.messages] == ["cheese x2", "and more"]


async def test_a_subcommand_is_invoked_by_its_full_name(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "script write", {"topic": "taxes"})
    assert (await interaction.replied()).content == "wrote taxes"
    assert not interaction.is_ephemeral


async def test_members_and_files_are_options(sandbox, bot, ann):
    options = {"who": ann, "picture": ("a.png", b"12345")}
    interaction = sandbox.invoke(ann, "hello", options)
    assert (await interaction.replied()).content == "Ann ['@everyone', 'Approver'] 5"


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("unknown", {}, "no command /unknown"),
        ("script", {}, "is a group"),
        ("script read", {}, "no subcommand 'read'"),
        ("make", {}, "'topic' is required"),
        ("make", {"topic": "x", "colour": "red"}, "No such option: colour"),
        ("make", {"topic": 5}, "does not take 5"),
        ("make", {"topic": "x", "count": True}, "does not take True"),
        ("show", {"episode": 10}, "between 1 and 9"),
        ("show", {"episode": 1, "form": "long"}, "offers"),
    ],
)
async def test_a_client_refuses_what_the_schema_does_not_offer(
    sandbox, bot, ann, command, options, sentence
):
    with pytest.raises(NotPossible, match=sentence):
        sandbox.invoke(ann, command, options)


async def test_commands_need_their_permission_in_the_channel(sandbox, bot, ann):
    everyone = sandbox.guild.everyone
    denied = Permission.USE_APPLICATION_COMMANDS
    sandbox.set_permissions(sandbox.general, everyone, deny=denied)
    with pytest.raises(NotPossible, match="50013"):
        sandbox.invoke(ann, "make", {"topic": "x"})


async def test_autocomplete_returns_the_choices(sandbox, bot, ann):
    interaction = await sandbox.autocomplete(ann, "show", "episode", "4").answered()
    assert interaction.choices == [{"name": "Episode 4", "value": 4}]


async def test_autocomplete_is_asked_only_where_it_is_offered(sandbox, bot, ann):
    with pytest.raises(NotPossible):
        sandbox.autocomplete(ann, "make", "topic", "ch")


async def test_an_answer_after_three_seconds_is_refused(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "late")
    sandbox.advance(3.5)
    bot.may_go_on.set()
    assert reason(await bot.problems.get()) == (404, 10062)
    assert interaction.callback is None


async def test_nobody_answering_is_said_in_a_sentence(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "late")
    with pytest.raises(TimeoutError, match="an answer to the interaction"):
        await interaction.answered(timeout_s=0.01)
    bot.may_go_on.set()
    await interaction.answered()


async def test_a_second_answer_is_refused(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "twice")
    assert reason(await bot.problems.get()) == (400, 40060)
    assert [each.content for each in interaction.messages] == ["one"]


async def test_the_token_lives_for_fifteen_minutes(sandbox, bot, ann):
    interaction = await sandbox.invoke(ann, "hold").answered()
    sandbox.advance(901)
    bot.may_go_on.set()
    assert reason(await bot.problems.get()) == (401, 50027)
    assert interaction.messages == []


async def test_ephemeral_is_fixed_by_the_first_answer_and_not_in_the_channel(sandbox, bot, ann):
    interaction = await sandbox.invoke(ann, "hold").answered()
    bot.may_go_on.set()
    reply = await interaction.replied()
    assert (reply.content, interaction.is_ephemeral) == ("done", True)
    assert sandbox.messages(sandbox.general) == []


async def test_a_button_edits_its_message(sandbox, bot, ann):
    panel = await sandbox.invoke(ann, "panel").replied()
    await sandbox.click(ann, panel, "Yes").answered()
    assert (panel.content, panel.components) == ("picked yes", [])


async def test_a_select_sends_its_values(sandbox, bot, ann):
    panel = await sandbox.invoke(ann, "panel").replied()
    select = panel.components[1]["components"][0]["custom_id"]
    picked = sandbox.click(ann, panel, select, values=["B"])
    assert (await picked.replied()).content == "B"


@pytest.mark.parametrize("what", ["Off", "No"])
async def test_only_buttons_that_are_there_and_enabled_can_be_clicked(sandbox, bot, ann, what):
    panel = await sandbox.invoke(ann, "panel").replied()
    with pytest.raises(NotPossible, match=f"no '{what}'"):
        sandbox.click(ann, panel, what)


async def test_an_ephemeral_message_is_seen_by_its_person_only(sandbox, bot, ann):
    panel = await sandbox.invoke(ann, "panel").replied()
    with pytest.raises(NotPossible):
        sandbox.click(sandbox.owner, panel, "Yes")


async def test_a_modal_is_filled_and_submitted_with_files(sandbox, bot, ann):
    opened = await sandbox.invoke(ann, "form").answered()
    values = {"Line": "Bonjour", "Pictures": {"a.png": b"1", "b.png": b"22"}}
    await sandbox.submit_modal(opened, values).answered()
    assert await bot.submitted.get() == ("Bonjour", [b"1", b"22"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "'Line' is empty"),
        ({"Line": "x" * 21}, "takes 0 to 20"),
        ({"Line": "x", "Other": "y"}, "no input Other"),
    ],
)
async def test_a_modal_takes_only_what_its_inputs_allow(sandbox, bot, ann, values, sentence):
    opened = await sandbox.invoke(ann, "form").answered()
    with pytest.raises(NotPossible, match=sentence):
        sandbox.submit_modal(opened, values)


async def test_an_interaction_while_the_bot_is_away_is_not_answered_later(sandbox, start, ann):
    async with start(sandbox):
        pass
    interaction = sandbox.invoke(ann, "make", {"topic": "x"})
    async with start(sandbox):
        with pytest.raises(TimeoutError):
            await interaction.answered(timeout_s=0.1)


async def test_tokens_are_not_in_the_list_of_requests(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "script write", {"topic": "x"})
    await interaction.replied()
    paths = [each.path for each in sandbox.requests]
    assert f"/interactions/{interaction.id}/***/callback" in paths
    assert not any(interaction.token in path for path in paths)


async def test_a_reply_to_an_answer_does_not_ping_the_bot(sandbox, bot, ann):
    answer = await sandbox.invoke(ann, "script write", {"topic": "x"}).replied()
    sandbox.say(ann, sandbox.general, "thanks", reply_to=answer)
    event = await bot.wait_for("message", check=lambda m: m.author.id == ann.id, timeout=30)
    assert event.content == ""


async def test_a_followup_of_an_unknown_interaction_is_refused(sandbox, bot):
    webhook = discord.Webhook.partial(sandbox.bot.id, "made-up", client=bot)
    with pytest.raises(discord.NotFound) as refused:
        await webhook.send("hi", wait=True)
    assert reason(refused.value) == (404, 10015)


async def test_the_original_answer_can_be_fetched_and_deleted(sandbox, bot, ann):
    interaction = sandbox.invoke(ann, "script write", {"topic": "x"})
    await interaction.replied()
    webhook = discord.Webhook.partial(sandbox.bot.id, interaction.token, client=bot)
    fetched = await webhook.fetch_message(interaction.response.id)
    await webhook.delete_message(fetched.id)
    assert (fetched.content, interaction.messages) == ("wrote x", [])
