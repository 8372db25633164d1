import io

import aiohttp
import discord
import pytest
from discord import AllowedMentions

from bot.sandbox.discord import DiscordSandbox, Intents, NotPossible, Permission


def file_of(size_bytes, name="reel.mp4"):
    return discord.File(io.BytesIO(b"x" * size_bytes), name)


def reason(refused):
    return refused.value.status, refused.value.code


async def test_a_message_with_a_file_can_be_read_back(sandbox, channel):
    sent = await channel.send("draft", file=file_of(3), embed=discord.Embed(title="Reel"))
    seen = await channel.fetch_message(sent.id)
    assert (seen.content, seen.embeds[0].title) == ("draft", "Reel")
    assert await seen.attachments[0].read() == b"xxx"
    assert sandbox.messages(sandbox.approvals)[0].attachments[0].filename == "reel.mp4"


async def test_the_address_of_a_file_expires_and_a_fetch_gives_a_fresh_one(sandbox, channel):
    sent = await channel.send(file=file_of(3))
    sandbox.advance(25 * 3600)
    with pytest.raises(discord.NotFound):
        await sent.attachments[0].read()
    assert await (await channel.fetch_message(sent.id)).attachments[0].read() == b"xxx"


async def test_a_forged_address_of_a_file_is_not_served(sandbox, channel):
    sent = await channel.send(file=file_of(3))
    forged = sent.attachments[0].url.replace("hm=", "hm=0")
    async with aiohttp.ClientSession() as session, session.get(forged) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("content", "code"), [("", 50006), (None, 50006), ("x" * 2001, 50035)], ids=str
)
async def test_content_is_neither_empty_nor_too_long(channel, content, code):
    with pytest.raises(discord.HTTPException) as refused:
        await channel.send(content)
    assert reason(refused) == (400, code)


@pytest.mark.parametrize(
    "embed",
    [
        discord.Embed(title="x" * 257),
        discord.Embed(description="x" * 4097),
        discord.Embed().add_field(name="x" * 257, value="x"),
        discord.Embed().add_field(name="x", value="x" * 1025),
        discord.Embed().set_footer(text="x" * 2049),
        discord.Embed(description="x" * 4000).set_footer(text="x" * 2001),
    ],
    ids=["title", "description", "field name", "field value", "footer", "6000 in all"],
)
async def test_an_embed_over_a_limit_is_refused(channel, embed):
    with pytest.raises(discord.HTTPException) as refused:
        await channel.send(embed=embed)
    assert reason(refused) == (400, 50035)


async def test_a_nonce_over_25_characters_is_refused(channel):
    with pytest.raises(discord.HTTPException) as refused:
        await channel.send("x", nonce="n" * 26)
    assert reason(refused) == (400, 50035)


async def test_a_repeated_nonce_returns_the_first_message(sandbox, channel):
    first = await channel.send("one", nonce="draft-1")
    again = await channel.send("one", nonce="draft-1")
    assert again.id == first.id
    assert len(sandbox.messages(sandbox.approvals)) == 1


async def test_a_nonce_is_forgotten_after_a_few_minutes(sandbox, channel):
    first = await channel.send("one", nonce="draft-1")
    sandbox.advance(600)
    assert (await channel.send("one", nonce="draft-1")).id != first.id


async def test_a_connection_cut_after_sending_leaves_one_message_when_repeated(sandbox, channel):
    sandbox.faults.add("POST", "/channels/*/messages", drop="after")
    with pytest.raises(aiohttp.ClientOSError) as cut:
        await channel.send("one", nonce="draft-1")
    await channel.send("one", nonce="draft-1")
    assert cut.value.errno == 104
    assert len(sandbox.messages(sandbox.approvals)) == 1


@pytest.mark.parametrize("tier", [0, 2])
async def test_a_file_over_the_limit_of_the_guild_is_refused(sandbox, channel, tier):
    sandbox.guild.boost_tier = tier
    with pytest.raises(discord.HTTPException) as refused:
        await channel.send(file=file_of((10 if tier == 0 else 25) * 2**20 + 1))
    assert reason(refused) == (413, 40005)


async def test_the_upload_limit_can_be_set(monkeypatch):
    async with DiscordSandbox(upload_limit_bytes=4) as sandbox:
        monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_url)
        async with discord.Client(intents=discord.Intents.none()) as client:
            await client.login(sandbox.token)
            channel = await client.fetch_channel(sandbox.general.id)
            await channel.send(file=file_of(4))
            with pytest.raises(discord.HTTPException) as refused:
                await channel.send(file=file_of(5))
    assert reason(refused) == (413, 40005)


async def test_an_edit_replaces_only_what_it_names(sandbox, channel):
    message = await channel.send("draft", file=file_of(3))
    await message.edit(content="approved")
    kept = sandbox.messages(sandbox.approvals)[0]
    assert (kept.content, len(kept.attachments)) == ("approved", 1)


async def test_an_edit_can_swap_the_files(sandbox, channel):
    message = await channel.send("draft", file=file_of(3))
    await message.edit(attachments=[file_of(2, "small.mp4")])
    names = [each.filename for each in sandbox.messages(sandbox.approvals)[0].attachments]
    assert names == ["small.mp4"]


async def test_an_edit_must_leave_something(channel):
    message = await channel.send("draft")
    with pytest.raises(discord.HTTPException) as refused:
        await message.edit(content="")
    assert reason(refused) == (400, 50006)


async def test_edits_of_a_message_older_than_an_hour_run_out(sandbox, channel):
    message = await channel.send("progress")
    sandbox.advance(3601)
    for number in range(3):
        await message.edit(content=f"{number}")
    with pytest.raises(discord.HTTPException) as refused:
        await message.edit(content="one more")
    assert reason(refused) == (429, 30046)


async def test_a_message_of_somebody_else_is_not_edited(sandbox, channel):
    said = sandbox.say(sandbox.add_member("Ann"), sandbox.approvals, "hi")
    with pytest.raises(discord.Forbidden) as refused:
        await channel.get_partial_message(said.id).edit(content="no")
    assert reason(refused) == (403, 50005)


async def test_deleting_needs_manage_messages_for_others_only(sandbox, channel):
    own = await channel.send("x")
    said = sandbox.say(sandbox.add_member("Ann"), sandbox.approvals, "hi")
    await own.delete()
    with pytest.raises(discord.Forbidden) as refused:
        await channel.get_partial_message(said.id).delete()
    assert reason(refused) == (403, 50013)
    assert sandbox.messages(sandbox.approvals) == [said]


async def test_a_deleted_message_is_unknown(sandbox, channel):
    message = await channel.send("x")
    sandbox.delete_message(sandbox.messages(sandbox.approvals)[0])
    with pytest.raises(discord.NotFound) as refused:
        await message.edit(content="y")
    assert reason(refused) == (404, 10008)


async def test_history_pages_through_a_channel(sandbox, channel):
    ann = sandbox.add_member("Ann")
    said = [sandbox.say(ann, sandbox.approvals, str(number)).id for number in range(105)]
    newest_first = [message.id async for message in channel.history(limit=None)]
    since = [m.id async for m in channel.history(after=discord.Object(said[101]))]
    assert newest_first == said[::-1]
    assert since == said[102:]


async def test_an_unknown_channel_is_said_so(sandbox, channel):
    sandbox.remove_channel(sandbox.approvals)
    with pytest.raises(discord.NotFound) as refused:
        await channel.send("x")
    assert reason(refused) == (404, 10003)


@pytest.mark.parametrize(
    ("denied", "code"),
    [
        (Permission.VIEW_CHANNEL, 50001),
        (Permission.SEND_MESSAGES, 50013),
        (Permission.ATTACH_FILES, 50013),
        (Permission.EMBED_LINKS, 50013),
    ],
)
async def test_sending_needs_its_permissions(sandbox, channel, denied, code):
    sandbox.set_permissions(sandbox.approvals, sandbox.guild.everyone, deny=denied)
    with pytest.raises(discord.Forbidden) as refused:
        await channel.send("x", file=file_of(1), embed=discord.Embed(title="x"))
    assert reason(refused) == (403, code)


async def test_an_overwrite_for_a_role_beats_that_for_everyone(sandbox, channel):
    bot = sandbox.guild.members[sandbox.bot.id]
    sandbox.set_roles(bot, [sandbox.approver])
    view = Permission.VIEW_CHANNEL
    sandbox.set_permissions(sandbox.approvals, sandbox.guild.everyone, deny=view)
    sandbox.set_permissions(sandbox.approvals, sandbox.approver, allow=view)
    await channel.send("x")
    assert len(sandbox.messages(sandbox.approvals)) == 1


@pytest.mark.parametrize(
    ("allowed", "pinged"),
    [
        (None, (True, True, True)),
        (AllowedMentions.none(), (False, False, False)),
        (AllowedMentions(users=True, roles=False, everyone=False), (True, False, False)),
        (AllowedMentions(users=False, roles=True, everyone=False), (False, True, False)),
    ],
)
async def test_only_allowed_mentions_ping(sandbox, channel, allowed, pinged):
    ann = sandbox.add_member("Ann")
    text = f"{ann.mention} {sandbox.approver.mention} @everyone"
    await channel.send(text, allowed_mentions=allowed)
    pings = sandbox.messages(sandbox.approvals)[0].pings
    assert (bool(pings.user_ids), bool(pings.role_ids), pings.everyone) == pinged


async def test_everyone_is_not_pinged_without_the_permission(sandbox, channel):
    everyone = sandbox.guild.everyone
    sandbox.set_permissions(sandbox.approvals, everyone, deny=Permission.MENTION_EVERYONE)
    await channel.send(f"@everyone {sandbox.approver.mention}")
    assert not sandbox.messages(sandbox.approvals)[0].pings


async def test_content_that_does_not_mention_the_bot_is_hidden_from_it(sandbox, bot):
    ann = sandbox.add_member("Ann")
    said = sandbox.say(ann, sandbox.general, "secret", files={"a.png": b"1"})
    event = await bot.wait_for("message", timeout=30)
    seen = await bot.get_channel(sandbox.general.id).fetch_message(said.id)
    assert [(m.content, m.attachments) for m in (event, seen)] == [("", []), ("", [])]


@pytest.mark.parametrize(("mention", "content"), [(True, "thanks"), (False, "")])
async def test_a_reply_is_readable_when_it_pings_the_bot(sandbox, bot, mention, content):
    ann = sandbox.add_member("Ann")
    sent = await bot.get_channel(sandbox.general.id).send("draft")
    draft = await sandbox.wait_for_message(lambda each: each.id == sent.id)
    sandbox.say(ann, sandbox.general, "thanks", reply_to=draft, mention=mention)
    event = await bot.wait_for("message", check=lambda m: m.author.id == ann.id, timeout=30)
    assert (event.content, event.reference.message_id) == (content, draft.id)


async def test_content_is_shown_with_the_granted_intent(granting, start):
    async with granting(Intents.MESSAGE_CONTENT) as sandbox:
        intents = discord.Intents(guilds=True, messages=True, message_content=True)
        async with start(sandbox, intents) as bot:
            sandbox.say(sandbox.add_member("Ann"), sandbox.general, "open")
            assert (await bot.wait_for("message", timeout=30)).content == "open"


async def test_a_command_by_mention_is_answered_with_a_reply(sandbox, bot):
    ann = sandbox.add_member("Ann")
    asked = sandbox.say(ann, sandbox.general, f"{sandbox.bot.mention} say_back hello")
    answer = await sandbox.wait_for_message(lambda each: each.author is sandbox.bot)
    assert (answer.content, answer.reply_to) == ("hello", asked)


async def test_a_direct_message_reaches_the_person(sandbox, bot):
    ann = sandbox.add_member("Ann")
    await (await bot.fetch_user(ann.id)).send("the token ends soon")
    assert [each.content for each in sandbox.direct_messages(ann)] == ["the token ends soon"]


async def test_a_person_can_refuse_direct_messages(sandbox, bot):
    ann = sandbox.add_member("Ann")
    ann.user.accepts_dms = False
    with pytest.raises(discord.Forbidden) as refused:
        await (await bot.fetch_user(ann.id)).send("hi")
    assert reason(refused) == (403, 50007)


async def test_a_member_who_left_is_unknown(sandbox, channel):
    ann = sandbox.add_member("Ann", [sandbox.approver])
    member = await channel.guild.fetch_member(ann.id)
    sandbox.remove_member(ann)
    with pytest.raises(discord.NotFound) as refused:
        await channel.guild.fetch_member(ann.id)
    assert reason(refused) == (404, 10007)
    assert member.name == "Ann"


async def test_people_cannot_write_where_they_may_not(sandbox):
    elsewhere = sandbox.add_guild("Elsewhere")
    stranger = sandbox.add_member("Stranger", guild=elsewhere)
    with pytest.raises(NotPossible, match="Stranger is not where"):
        sandbox.say(stranger, sandbox.general, "hi")


async def test_typing_and_looking_around_is_served(sandbox, bot):
    async with bot.get_channel(sandbox.general.id).typing():
        guild = await bot.fetch_guild(sandbox.guild.id)
    assert sandbox.approver.id in {role.id for role in await guild.fetch_roles()}
    assert {each.name for each in await guild.fetch_channels()} == {"general", "approvals"}
    assert [each.id async for each in bot.fetch_guilds()] == [sandbox.guild.id]
    assert (await bot.application_info()).owner.id == sandbox.owner.id
