"""What is learnt about a token, of both logins, and who gets to see it."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from bot.sandbox.instagram import HTML, Drop, InstagramSandbox, Reply, refusal
from pipeline.errors import UserError
from pipeline.publishing.base import Locked, Passing
from pipeline.publishing.tokens import TokenKind, accounts, inspect_token

TOKEN = "EAAcanary0token0that0nobody0may0see"
START = datetime(2026, 3, 2, tzinfo=UTC)


class Clock:
    now = START

    def __call__(self):
        return self.now


@pytest.fixture
async def facebook():
    async with InstagramSandbox(TOKEN, now=Clock()) as host:
        yield host


@pytest.fixture
async def instagram():
    async with InstagramSandbox(TOKEN, login="instagram", now=Clock()) as host:
        yield host


async def look(host, token=TOKEN, **app):
    return await inspect_token(SecretStr(token), graph_url=host.graph_url, **app)


def app_of(host):
    return {"app_id": host.tokens.app_id, "app_secret": SecretStr(host.tokens.app_secret)}


@pytest.mark.parametrize("has_app", [True, False])
async def test_a_system_users_token_never_expires(facebook, has_app):
    facts = await look(facebook, **(app_of(facebook) if has_app else {}))

    assert (facts.kind, facts.is_valid) == (TokenKind.SYSTEM_USER, True)
    assert (facts.expires_at, facts.never_expires) == (None, True)
    assert facts.missing_scopes() == []


async def test_a_users_token_tells_when_it_ends_and_what_it_lacks(facebook):
    facebook.tokens.issue(
        "EAAuser",
        kind="USER",
        expires_at=START + timedelta(days=60),
        access_ends_at=START + timedelta(days=90),
        scopes=("instagram_basic",),
    )

    facts = await look(facebook, "EAAuser")

    assert (facts.kind, facts.never_expires) == (TokenKind.USER, False)
    assert facts.expires_at == START + timedelta(days=60)
    assert facts.access_ends_at == START + timedelta(days=90)
    assert facts.missing_scopes() == ["instagram_content_publish", "pages_read_engagement"]


async def test_of_a_token_of_instagram_login_only_its_validity_is_told(instagram):
    facts = await look(instagram)

    assert (facts.kind, facts.is_valid) == (TokenKind.INSTAGRAM, True)
    assert (facts.expires_at, facts.never_expires, facts.scopes) == (None, False, None)


@pytest.mark.parametrize("has_app", [True, False])
async def test_a_refused_token_is_a_fact_with_a_sentence(facebook, has_app):
    app = app_of(facebook) if has_app else {}
    facebook.tokens.issue("EAAold", expires_at=START)

    facts = await look(facebook, "EAAold", **app)

    assert not facts.is_valid
    assert "Session has expired" in facts.problem
    assert "put the new token into META_ACCESS_TOKEN" in facts.problem


async def test_a_developer_alone_may_ask_so_at_least_validity_is_told(facebook):
    facebook.fail("debug_token", refusal(100))

    facts = await look(facebook)

    assert (facts.is_valid, facts.expires_at, facts.scopes) == (True, None, None)


@pytest.mark.parametrize(
    "fault", [Drop(), HTML, Reply(200, "{}"), Reply(500, "oops"), refusal(2), refusal(4)], ids=str
)
async def test_a_platform_in_trouble_says_nothing_about_the_token(facebook, fault):
    facebook.fail("debug_token", fault)

    with pytest.raises(Passing):
        await look(facebook)


async def test_the_accounts_of_all_pages_are_listed(facebook):
    (found,) = await accounts(SecretStr(TOKEN), graph_url=facebook.graph_url)

    assert (found.page, found.user_id) == (facebook.page, facebook.user_id)
    assert found.username == facebook.username


async def test_many_pages_are_read_with_the_cursor_alone(facebook):
    first = (
        '{"data": [{"name": "One", "id": "1", "instagram_business_account": {"id": "9"}}],'
        '"paging": {"cursors": {"after": "more"}, "next": "http://127.0.0.1:9/?access_token=x"}}'
    )
    facebook.fail("accounts", Reply(200, first))

    found = await accounts(SecretStr(TOKEN), graph_url=facebook.graph_url)

    assert [account.page for account in found] == ["One", facebook.page]
    assert facebook.requests[-1].parameters["after"] == "more"


async def test_instagram_login_has_one_account(instagram):
    (found,) = await accounts(SecretStr(TOKEN), graph_url=instagram.graph_url)

    assert (found.page, found.user_id) == ("", instagram.user_id)


async def test_a_token_in_the_documented_wrapping_is_understood(instagram):
    wrapped = '{"data": [{"user_id": "17", "username": "nutsy"}]}'
    instagram.fail("me", Reply(200, wrapped), Reply(200, wrapped))

    (found,) = await accounts(SecretStr(TOKEN), graph_url=instagram.graph_url)

    assert (found.user_id, found.username) == ("17", "nutsy")


async def test_no_accounts_for_a_refused_token(facebook):
    with pytest.raises(Locked, match="META_ACCESS_TOKEN"):
        await accounts(SecretStr("other"), graph_url=facebook.graph_url)


@pytest.mark.parametrize(
    ("token", "url", "words"),
    [
        ("IGAAx", "https://graph.facebook.com/v26.0", "Instagram Login, which cannot upload"),
        ("EAAx", "https://graph.instagram.com", "set INSTAGRAM_GRAPH_URL=https://graph.facebook"),
    ],
)
async def test_a_token_on_the_wrong_host_is_named_as_that(monkeypatch, token, url, words):
    async def refuse(*args, **kwargs):
        raise Locked("instagram", "no")

    monkeypatch.setattr("pipeline.publishing.graph.Wire.ask", refuse)

    facts = await inspect_token(SecretStr(token), graph_url=url)

    assert words in facts.problem


@pytest.mark.parametrize("call", [inspect_token, accounts])
async def test_a_token_does_not_travel_in_the_open(call):
    with pytest.raises(UserError, match="https"):
        await call(SecretStr(TOKEN), graph_url="http://example.com/v26.0")
