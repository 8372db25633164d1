import asyncio
import io

import aiohttp
import discord
import pytest


async def test_a_server_error_is_retried_by_discord_py(sandbox, channel, monkeypatch):
    monkeypatch.setattr(asyncio, "sleep", _no_sleep(asyncio.sleep))
    sandbox.faults.add("POST", "/channels/*/messages", status=500, times=2)
    await channel.send("x")
    statuses = [each.status for each in sandbox.requests if each.method == "POST"]
    assert statuses == [500, 500, 200]


def _no_sleep(sleep):
    async def yield_only(delay, result=None):
        await sleep(0)
        return result

    return yield_only


async def test_503_is_not_retried(sandbox, channel):
    sandbox.faults.add("POST", "/channels/*/messages", status=503)
    with pytest.raises(discord.DiscordServerError):
        await channel.send("x")


async def test_a_chosen_refusal_comes_as_many_times_as_asked(sandbox, channel):
    body = {"message": "Request entity too large", "code": 40005}
    sandbox.faults.add("POST", "/channels/*/messages", status=413, json=body)
    with pytest.raises(discord.HTTPException) as refused:
        await channel.send("x")
    await channel.send("x")
    assert (refused.value.status, refused.value.code) == (413, 40005)


async def test_a_rate_limit_is_waited_for(sandbox, channel):
    sandbox.faults.rate_limit("POST", "/channels/*/messages", retry_after_s=0.01)
    await channel.send("x")
    assert [each.status for each in sandbox.requests[-2:]] == [429, 200]


async def test_a_connection_dropped_before_handling_leaves_nothing(sandbox, channel):
    sandbox.faults.add("POST", "/channels/*/messages", drop="before")
    with pytest.raises(aiohttp.ClientOSError):
        await channel.send("x")
    assert sandbox.messages(sandbox.approvals) == []


async def test_a_delay_holds_the_answer_back(sandbox, channel):
    sandbox.faults.add("POST", "/channels/*/messages", delay_s=0.2)
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    await channel.send("x")
    assert loop.time() - start_s >= 0.2


async def test_faults_can_be_cleared(sandbox, channel):
    sandbox.faults.add("*", "*", status=503, times=99)
    sandbox.faults.clear()
    await channel.send("x")


async def test_who_ignores_the_rate_limit_headers_gets_429(sandbox):
    sandbox.rate_limits.requests = 2
    headers = {"Authorization": f"Bot {sandbox.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        answers = [await session.get(f"{sandbox.api_url}/users/@me") for _ in range(3)]
        last = await answers[2].json()
    assert [each.status for each in answers] == [200, 200, 429]
    assert answers[1].headers["X-RateLimit-Remaining"] == "0"
    assert answers[2].headers["Via"]
    assert last["retry_after"] > 0


@pytest.mark.parametrize(
    ("method", "path", "data", "expected"),
    [
        ("GET", "/nowhere", None, (404, 0)),
        ("DELETE", "/users/@me", None, (405, 0)),
        ("GET", "/guilds/1", None, (404, 10004)),
        ("GET", "/guilds/x", None, (400, 50035)),
        ("GET", "/users/1", None, (404, 10013)),
        ("POST", "/users/@me/channels", "{", (400, 50109)),
        ("POST", "/users/@me/channels", io.BytesIO(bytes(27_000_000)), (413, 40005)),
        ("PUT", "/applications/1/commands", "[]", (404, 10002)),
    ],
)
async def test_odd_requests_get_the_answer_of_the_real_one(sandbox, method, path, data, expected):
    headers = {"Authorization": f"Bot {sandbox.token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        answer = await session.request(method, sandbox.api_url + path, data=data)
        body = await answer.json()
    assert (answer.status, body["code"]) == expected


async def test_a_request_without_the_token_is_refused(sandbox):
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{sandbox.api_url}/users/@me")
    assert answer.status == 401
