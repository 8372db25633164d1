import asyncio
import json

import aiohttp
import discord
import pytest

from bot.sandbox.discord import Intents


async def test_a_bot_sees_its_guild_with_channels_and_roles(bot, sandbox):
    guild = bot.get_guild(sandbox.guild.id)
    assert {each.name for each in guild.text_channels} == {"general", "approvals"}
    assert guild.get_role(sandbox.approver.id).name == "Approver"
    assert guild.me.id == sandbox.bot.id


async def test_a_wrong_token_is_refused_at_login(sandbox):
    client = discord.Client(intents=discord.Intents.default())
    with pytest.raises(discord.LoginFailure):
        await client.login("wrong")
    await client.close()


async def test_a_wrong_token_is_refused_by_the_gateway(sandbox):
    client = discord.Client(intents=discord.Intents.default())
    await client.login(sandbox.token)
    client.http.token = "wrong"
    with pytest.raises(discord.ConnectionClosed) as closed:
        await client.connect()
    assert closed.value.code == 4004
    await client.close()


@pytest.mark.parametrize("name", ["members", "message_content", "presences"])
async def test_a_privileged_intent_that_was_not_granted_closes_with_4014(sandbox, name):
    client = discord.Client(intents=discord.Intents(guilds=True, **{name: True}))
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await client.start(sandbox.token)
    await client.close()


async def test_members_are_known_only_with_their_intent(granting, start):
    async with granting(Intents.GUILD_MEMBERS) as sandbox:
        ann = sandbox.add_member("Ann")
        async with start(sandbox, discord.Intents(guilds=True, members=True)) as bot:
            assert bot.get_guild(sandbox.guild.id).get_member(ann.id).name == "Ann"
        async with start(sandbox, discord.Intents(guilds=True)) as bot:
            assert bot.get_guild(sandbox.guild.id).get_member(ann.id) is None


async def test_after_reconnect_the_session_resumes_and_nothing_is_lost(bot, sandbox):
    ann = sandbox.add_member("Ann")
    message = sandbox.say(ann, sandbox.general, "hi")
    sandbox.gateway.reconnect()
    await sandbox.wait_until(lambda: not sandbox.gateway.live_sessions, 2, "the disconnect")
    sandbox.react(ann, message, "✅")
    event = await bot.wait_for("raw_reaction_add", timeout=30)
    assert (event.user_id, sandbox.gateway.resumes, sandbox.gateway.identifies) == (ann.id, 1, 1)


async def test_a_session_that_was_away_too_long_cannot_resume(bot, sandbox):
    sandbox.gateway.reconnect()
    await sandbox.wait_until(lambda: not sandbox.gateway.live_sessions, 2, "the disconnect")
    sandbox.advance(3600)
    again = asyncio.create_task(bot.wait_for("ready", timeout=30))
    await sandbox.wait_until(lambda: sandbox.gateway.identifies == 2, 10, "a new identify")
    await again
    assert sandbox.gateway.resumes == 0


async def test_an_invalid_session_makes_the_bot_ready_again(bot, sandbox):
    again = asyncio.create_task(bot.wait_for("ready", timeout=30))
    await asyncio.sleep(0)
    sandbox.gateway.invalidate(resumable=False)
    await again
    assert sandbox.gateway.identifies == 2


async def test_a_close_code_that_is_not_final_is_resumed(bot, sandbox):
    resumed = asyncio.create_task(bot.wait_for("resumed", timeout=30))
    await asyncio.sleep(0)
    sandbox.gateway.close(4000)
    await resumed
    assert sandbox.gateway.identifies == 1


async def test_what_happens_between_two_runs_of_the_bot_is_not_told_but_kept(sandbox, start):
    ann = sandbox.add_member("Ann", [sandbox.approver])
    async with start(sandbox) as bot:
        sent = await bot.get_channel(sandbox.approvals.id).send("draft")
    draft = await sandbox.wait_for_message(lambda each: each.id == sent.id)
    sandbox.react(ann, draft, "✅")
    async with start(sandbox) as bot:
        seen = await bot.get_channel(sandbox.approvals.id).fetch_message(sent.id)
        assert [user.id async for user in seen.reactions[0].users()] == [ann.id]


async def test_two_connections_of_one_bot_both_hear(sandbox, start):
    ann = sandbox.add_member("Ann")
    async with start(sandbox) as old, start(sandbox) as new:
        heard = asyncio.gather(*(each.wait_for("message", timeout=30) for each in (old, new)))
        sandbox.say(ann, sandbox.general, "hi")
        assert [each.author.id for each in await heard] == [ann.id, ann.id]


async def test_a_gateway_that_is_out_of_order_is_tried_again(bot, sandbox):
    sandbox.faults.add("GET", "/gateway", status=503)
    resumed = asyncio.create_task(bot.wait_for("resumed", timeout=30))
    sandbox.gateway.reconnect()
    await resumed
    assert sandbox.gateway.identifies == 1


async def test_a_bot_that_does_not_come_is_said_in_a_sentence(sandbox):
    with pytest.raises(TimeoutError, match="the bot's login did not happen"):
        await sandbox.wait_ready(timeout_s=0.01)


async def test_role_changes_are_told_with_the_members_intent(granting, start):
    async with granting(Intents.GUILD_MEMBERS) as sandbox:
        ann = sandbox.add_member("Ann")
        async with start(sandbox, discord.Intents(guilds=True, members=True)) as bot:
            changed = asyncio.create_task(bot.wait_for("member_update", timeout=30))
            await asyncio.sleep(0)
            sandbox.set_roles(ann, [sandbox.approver])
            _, after = await changed
            assert after.get_role(sandbox.approver.id) is not None


HEARTBEAT = '{"op": 1, "d": null}'
PRESENCE = '{"op": 3, "d": {}}'


def identify(sandbox, intents=1):
    return json.dumps({"op": 2, "d": {"token": sandbox.token, "intents": intents}})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (["not json"], 4002),
        ([PRESENCE], 4003),
        ([identify, identify], 4005),
        ([lambda sandbox: identify(sandbox, intents=-1)], 4013),
        (['{"op": 6, "d": {"token": "wrong", "session_id": "x", "seq": 0}}'], 4004),
        ([identify, '{"op": 99}'], 4001),
        ([HEARTBEAT, identify, PRESENCE, "end"], 4002),
    ],
)
async def test_a_client_that_breaks_the_protocol_is_closed(sandbox, sent, code):
    url = f"{sandbox.gateway.url}?v=10&encoding=json"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        for text in sent:
            await ws.send_str(text(sandbox) if callable(text) else text)
        async for _ in ws:
            pass
    assert ws.close_code == code


async def test_a_connection_that_breaks_off_can_resume(bot, sandbox):
    resumed = asyncio.create_task(bot.wait_for("resumed", timeout=30))
    await asyncio.sleep(0)
    bot.ws.socket._response.connection.transport.abort()
    await resumed
    assert (sandbox.gateway.identifies, sandbox.gateway.resumes) == (1, 1)
