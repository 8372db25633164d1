"""The loopback Instagram's tokens end, are renewed and are looked at as the real ones are."""

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from bot.sandbox.instagram import InstagramSandbox

TOKEN = "EAAfirst"
START = datetime(2026, 3, 2, tzinfo=UTC)


class Clock:
    now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def open_host(clock):
    """Opens the host of a login; `get(path, token, **parameters)` asks it as a stranger would."""
    hosts, session = [], aiohttp.ClientSession()

    async def opened(login="facebook"):
        ig = await InstagramSandbox(TOKEN, login=login, now=clock).__aenter__()
        hosts.append(ig)

        async def get(path, token=TOKEN, **parameters):
            base = ig.graph_url.rpartition("/")[0] if path.startswith("/") else f"{ig.graph_url}/"
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with session.get(base + path, params=parameters, headers=headers) as answer:
                get.headers = answer.headers
                return await answer.json()

        ig.get = get
        return ig

    yield opened
    await session.close()
    for ig in hosts:
        await ig.__aexit__(None, None, None)


def code(answer):
    error = answer["error"]
    return error["code"], error.get("error_subcode")


def app(ig):
    return {"client_id": ig.tokens.app_id, "client_secret": ig.tokens.app_secret}


async def refresh(ig, token=TOKEN, **changes):
    given = {"grant_type": "ig_refresh_token", "access_token": token, **changes}
    return await ig.get("/refresh_access_token", "", **given)


async def exchange(ig, token=TOKEN, **changes):
    given = {"grant_type": "fb_exchange_token", "fb_exchange_token": token, **app(ig), **changes}
    return await ig.get("oauth/access_token", "", **given)


async def test_a_token_holds_until_its_end(open_host, clock):
    ig = await open_host()
    ig.tokens.known[TOKEN].expires_at = START + timedelta(hours=1)
    before = await ig.get("me")
    clock.now += timedelta(hours=1)

    assert "id" in before
    assert code(await ig.get("me")) == (190, 463)
    ig.tokens.known[TOKEN].revoked = True
    assert code(await ig.get("me")) == (190, 460)
    assert code(await ig.get("me", "other")) == (190, None)


async def test_a_token_of_instagram_login_is_refreshed_for_sixty_days(open_host, clock):
    ig = await open_host("instagram")
    ig.tokens.known[TOKEN].expires_at = START + timedelta(days=2)

    answer = await refresh(ig)

    assert answer["expires_in"] == 60 * 86400
    assert answer["access_token"] != TOKEN
    clock.now += timedelta(days=59)
    assert "id" in await ig.get("me", answer["access_token"])
    clock.now += timedelta(days=1)
    assert code(await refresh(ig, answer["access_token"])) == (190, 463)


async def test_a_token_of_today_is_too_young_to_be_refreshed(open_host, clock):
    ig = await open_host("instagram")
    ig.tokens.issue("IGAAyoung", expires_at=START + timedelta(days=60))
    clock.now += timedelta(hours=23)

    assert code(await refresh(ig, "IGAAyoung")) == (100, None)
    clock.now += timedelta(hours=1)
    assert "access_token" in await refresh(ig, "IGAAyoung")


@pytest.mark.parametrize(
    ("login", "call", "changes", "expected"),
    [
        ("facebook", refresh, {}, (100, None)),
        ("instagram", refresh, {"grant_type": "fb_exchange_token"}, (100, None)),
        ("instagram", refresh, {"colour": "red"}, (100, None)),
        ("instagram", refresh, {"access_token": "other"}, (190, None)),
        ("instagram", exchange, {}, (1, None)),
        ("facebook", exchange, {"grant_type": "ig_refresh_token"}, (1, None)),
        ("facebook", exchange, {"client_id": "7"}, (101, None)),
        ("facebook", exchange, {"client_secret": "wrong"}, (1, None)),
        ("facebook", exchange, {"fb_exchange_token": "other"}, (190, None)),
    ],
)
async def test_a_bad_renewal_is_refused(open_host, login, call, changes, expected):
    ig = await open_host(login)

    assert code(await call(ig, **changes)) == expected
    assert list(ig.tokens.known) == [TOKEN]


async def test_an_exchange_of_a_token_without_end_tells_no_end(open_host):
    ig = await open_host()

    assert "expires_in" not in await exchange(ig)


@pytest.mark.parametrize("asked_by_app", [True, False])
async def test_a_token_is_debugged_by_the_app_or_by_itself(open_host, asked_by_app):
    ig = await open_host()
    asking = f"{ig.tokens.app_id}|{ig.tokens.app_secret}" if asked_by_app else TOKEN

    facts = (await ig.get("debug_token", asking, input_token=TOKEN))["data"]

    assert (facts["is_valid"], facts["expires_at"], facts["type"]) == (True, 0, "SYSTEM_USER")
    assert "instagram_content_publish" in facts["scopes"]


async def test_a_refused_token_is_debugged_as_that(open_host, clock):
    ig = await open_host()
    ig.tokens.known[TOKEN].expires_at = START
    asking = f"{ig.tokens.app_id}|{ig.tokens.app_secret}"

    facts = (await ig.get("debug_token", asking, input_token=TOKEN))["data"]

    assert (facts["is_valid"], facts["error"]["code"]) == (False, 190)
    assert code(await ig.get("debug_token", TOKEN, input_token=TOKEN)) == (190, 463)
    assert code(await ig.get("debug_token", "1|wrong", input_token=TOKEN)) == (190, None)


async def test_the_pages_tell_their_accounts_when_asked(open_host):
    ig = await open_host()

    plain = await ig.get("me/accounts", fields="instagram_business_account")
    full = await ig.get("me/accounts", fields="name,instagram_business_account{id,username}")
    odd = await ig.get("me/accounts", fields="colour")

    assert plain["data"][1] == {"id": "102", "instagram_business_account": {"id": ig.user_id}}
    assert full["data"][0] == {"id": "101", "name": "A page without Instagram"}
    assert full["data"][1]["instagram_business_account"]["username"] == ig.username
    assert code(odd) == (100, None)


async def test_each_login_knows_its_own_fields_of_me(open_host):
    facebook, instagram = await open_host(), await open_host("instagram")

    assert code(await facebook.get("me", fields="user_id,username")) == (100, None)
    assert (await instagram.get("me", fields="user_id"))["user_id"] == instagram.user_id
    assert code(await instagram.get("me/accounts")) == (100, None)


async def test_usage_headers_are_in_every_answer_once_switched_on(open_host):
    ig = await open_host()
    ig.usage = {"X-App-Usage": '{"call_count":96}'}

    for path in ("me", "no_such_thing", "oauth/access_token"):
        await ig.get(path)
        assert ig.get.headers["X-App-Usage"] == '{"call_count":96}'


async def test_an_account_of_others_is_unknown(open_host):
    ig = await open_host()

    assert code(await ig.get("1/content_publishing_limit")) == (100, 33)
