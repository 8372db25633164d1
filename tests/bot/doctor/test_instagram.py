"""What the doctor says about the Instagram token, and that asking changes nothing."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bot.doctor.findings import Level
from bot.doctor.instagram import publisher
from bot.sandbox.instagram import Drop, InstagramSandbox, Post
from bot.settings import load_settings

TOKEN = "EAAcanary0token0that0nobody0may0see"


@pytest.fixture
def look(tmp_path):
    """`await look(ig)`: the findings, as (level, text)."""

    async def found(ig, *, has_app=True, **changes):
        values = {
            "data_dir": tmp_path / "data",
            "meta_access_token": ig.token,
            "instagram_user_id": ig.user_id,
            "instagram_graph_url": ig.graph_url,
            "instagram_upload_url": ig.upload_url,
        }
        if has_app:
            values |= {"meta_app_id": ig.tokens.app_id, "meta_app_secret": ig.tokens.app_secret}
        findings = await publisher(load_settings(None, **values | changes))
        assert not (tmp_path / "data").exists()
        assert {request.method for request in ig.requests} <= {"GET"}
        assert "canary" not in str(findings)
        return [(finding.level, finding.text) for finding in findings]

    return found


@asynccontextmanager
async def sandbox(login="facebook", **facts):
    async with InstagramSandbox(TOKEN, login=login) as ig:
        for name, value in facts.items():
            setattr(ig.tokens.known[TOKEN], name, value)
        yield ig


def within(**time):
    return datetime.now(UTC) + timedelta(**time)


async def test_a_system_users_token_is_fine(look):
    async with sandbox() as ig:
        assert await look(ig) == [
            (Level.OK, "Instagram: a token of system user, which never ends"),
            (Level.OK, "Instagram: the token has every permission it needs"),
            (Level.OK, "instagram: 0 of 50 posts used today"),
        ]


async def test_a_users_token_that_is_renewed_in_time_is_fine(look):
    async with sandbox(kind="USER", expires_at=within(days=5, hours=1)) as ig:
        (level, said), *_ = await look(ig)

    assert level is Level.OK
    assert "of Facebook Login, which ends in 5 days" in said
    assert said.endswith("and is renewed before")


async def test_a_token_that_nobody_renews_is_a_warning_when_it_ends_soon(look):
    async with sandbox(kind="USER", expires_at=within(days=9)) as ig:
        (soon, said), *_ = await look(ig, has_app=False)
        ig.tokens.known[TOKEN].expires_at = within(days=40)
        (later, _), *_ = await look(ig, has_app=False)

    assert (soon, later) == (Level.WARNING, Level.OK)
    assert "set META_APP_ID and META_APP_SECRET" in said


async def test_the_end_of_the_apps_access_is_a_warning(look):
    async with sandbox(kind="USER", access_ends_at=within(days=4, hours=1)) as ig:
        said = await look(ig)

    words = "Instagram: the app's access ends in 4 days"
    assert any(level is Level.WARNING and words in text for level, text in said)


@pytest.mark.parametrize("has_app", [True, False])
@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, "Session has expired"),
        ({"revoked": True}, "changed their password"),
    ],
    ids=str,
)
async def test_a_refused_token_is_one_error_with_the_way_on(look, facts, words, has_app):
    async with sandbox(**facts) as ig:
        ((level, said),) = await look(ig, has_app=has_app)

    assert level is Level.ERROR
    assert words in said
    assert "put the new token into META_ACCESS_TOKEN" in said


async def test_missing_permissions_are_named(look):
    async with sandbox(scopes=("instagram_basic", "pages_show_list")) as ig:
        said = await look(ig)

    assert (
        Level.ERROR,
        "Instagram: META_ACCESS_TOKEN lacks instagram_content_publish, pages_read_engagement; "
        "make a new one.",
    ) in said


async def test_a_permission_that_only_setup_needs_is_a_warning(look):
    needed = ("instagram_basic", "instagram_content_publish", "pages_read_engagement")
    async with sandbox(scopes=needed) as ig:
        levels = [level for level, text in await look(ig) if "pages_show_list" in text]

    assert levels == [Level.WARNING]


async def test_a_wrong_app_secret_is_told_as_that(look):
    async with sandbox() as ig:
        said = await look(ig, meta_app_secret="wrong")

    assert (
        Level.ERROR,
        "Instagram: META_APP_ID and META_APP_SECRET are refused; copy them again.",
    ) in said


async def test_instagram_login_is_warned_of(look):
    async with sandbox("instagram") as ig:
        said = await look(ig)

    assert (Level.OK, "Instagram: a token of Instagram Login; nobody says when it ends") in said
    assert any(level is Level.WARNING and "upload files" in text for level, text in said)


async def test_a_full_quota_is_a_warning(look):
    async with sandbox() as ig:
        ig.quota_total = 1
        ig.posts.append(Post("1", "", "", "", False, None, datetime.now(UTC), ""))
        said = await look(ig)

    assert said[-1] == (Level.WARNING, "instagram: 1 of 1 posts used today; reels wait.")


async def test_a_platform_out_of_reach_is_a_warning(look):
    async with sandbox() as ig:
        ig.fail("me", Drop())
        ((level, said),) = await look(ig)

    assert (level, said) == (
        Level.WARNING,
        "instagram: the connection broke before its answer.",
    )


async def test_a_wrong_account_is_an_error(look):
    async with sandbox() as ig:
        said = await look(ig, instagram_user_id="1")

    assert said[-1][0] is Level.ERROR
    assert "INSTAGRAM_USER_ID" in said[-1][1]
