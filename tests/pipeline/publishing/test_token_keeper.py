"""The token is renewed in time, kept safely, and gives way to a new META_ACCESS_TOKEN."""

import json
import logging
import stat
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from bot.sandbox.instagram import HTML, Drop, InstagramSandbox, Reply, refusal
from pipeline.publishing.token_file import TokenFile
from pipeline.publishing.token_keeper import TokenKeeper

GIVEN = "IGAAcanary0token0that0nobody0may0see"
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def advance(self, **kwargs):
        self.now += timedelta(**kwargs)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def instagram(clock):
    async with InstagramSandbox(GIVEN, login="instagram", now=clock) as host:
        host.tokens.known[GIVEN].expires_at = START + timedelta(days=60)
        yield host


@pytest.fixture
async def facebook(clock):
    async with InstagramSandbox(GIVEN, now=clock) as host:
        token = host.tokens.known[GIVEN]
        token.kind, token.expires_at = "USER", START + timedelta(days=40)
        yield host


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "data" / "secrets" / "instagram.json")


@pytest.fixture
def keeper(file, clock):
    """A bot that starts; `has_app` says whether META_APP_ID and META_APP_SECRET are set."""

    def start(host, given=GIVEN, *, has_app=True, on_token=lambda token: None):
        return TokenKeeper(
            given=SecretStr(given),
            file=file,
            graph_url=host.graph_url,
            app_id=host.tokens.app_id if has_app else "",
            app_secret=SecretStr(host.tokens.app_secret) if has_app else None,
            clock=clock,
            on_token=on_token,
        )

    return start


def value(keeper):
    return keeper.token.get_secret_value()


async def test_a_day_after_it_was_first_seen_a_token_of_unknown_age_is_refreshed(
    instagram, keeper, clock
):
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(hours=23)
    await kept.keep()
    assert instagram.called("refresh") == 0

    clock.advance(hours=1)

    assert await kept.keep() == ""
    assert value(kept) != GIVEN
    assert (await kept.facts()).expires_at == clock() + timedelta(days=60)


async def test_a_clock_that_was_years_ahead_puts_no_renewal_off(instagram, keeper, clock):
    instagram.tokens.known[GIVEN].expires_at = None
    clock.now = START + timedelta(days=1000)
    await keeper(instagram).keep()
    clock.now = START
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(hours=24)

    await kept.keep()

    assert instagram.called("refresh") == 1


async def test_a_renewed_token_is_renewed_every_thirty_days(instagram, keeper, clock):
    kept = keeper(instagram)
    for _ in range(60):
        assert await kept.keep() == ""
        clock.advance(days=3)

    assert instagram.called("refresh") == 6


async def test_a_token_of_facebook_login_is_exchanged_ten_days_before_it_ends(
    facebook, keeper, clock
):
    kept = keeper(facebook)
    facebook.tokens.known[GIVEN].expires_at = START + timedelta(days=20)
    await kept.keep()
    clock.advance(days=9, hours=23)
    await kept.keep()
    assert facebook.called("exchange") == 0

    clock.advance(hours=1)
    await kept.keep()

    assert facebook.called("exchange") == 1
    assert facebook.tokens.check(value(kept)).expires_at == clock() + timedelta(days=60)


async def test_a_token_for_an_hour_is_exchanged_at_once_and_then_not_again(facebook, keeper, clock):
    facebook.tokens.known[GIVEN].expires_at = START + timedelta(hours=1)
    kept = keeper(facebook)

    for _ in range(4):
        assert await kept.keep() == ""
        clock.advance(hours=6)

    assert facebook.called("exchange") == 1


@pytest.mark.parametrize("kind", ["SYSTEM_USER", "PAGE", "USER"])
async def test_a_token_that_never_ends_is_left_alone(facebook, keeper, clock, kind):
    token = facebook.tokens.known[GIVEN]
    token.kind, token.expires_at = kind, None
    kept = keeper(facebook)

    for _ in range(30):
        assert await kept.keep() == ""
        clock.advance(days=10)

    assert (facebook.called("exchange"), facebook.called("refresh")) == (0, 0)


async def test_a_system_users_token_that_ends_is_exchanged_too(facebook, keeper, clock):
    facebook.tokens.known[GIVEN].kind = "SYSTEM_USER"
    kept = keeper(facebook)
    await kept.keep()
    clock.advance(days=30)

    await kept.keep()

    request = next(r for r in facebook.requests if r.call == "exchange")
    assert request.parameters["set_token_expires_in_60_days"] == "true"
    assert value(kept) != GIVEN


async def test_a_renewed_token_outlives_a_restart(instagram, keeper, clock):
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(days=2)
    await kept.keep()

    again = keeper(instagram)

    assert value(again) == value(kept) != GIVEN
    assert (await again.facts()).expires_at == clock() + timedelta(days=60)


async def test_a_new_meta_access_token_wins_over_the_kept_one(instagram, keeper, clock):
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(days=2)
    await kept.keep()
    instagram.tokens.issue("IGAAfrom0a0person")

    again = keeper(instagram, "IGAAfrom0a0person")
    await again.keep()

    assert value(again) == "IGAAfrom0a0person"
    assert "IGAArenewed" not in again._file.path.read_text()


async def test_the_new_token_is_on_the_disk_before_it_is_used(
    instagram, keeper, clock, file, monkeypatch
):
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(days=2)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.publishing.token_file.write_atomically", full)

    assert await kept.keep() == ""
    assert value(kept) == GIVEN
    assert json.loads(file.path.read_text())["token"] is None


async def test_the_file_is_for_its_owner_only(instagram, keeper, clock, file):
    file.path.parent.mkdir(parents=True, mode=0o755)
    file.path.write_text("{}")
    file.path.chmod(0o644)
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(days=2)
    await kept.keep()

    assert json.loads(file.path.read_text())["token"] == value(kept)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert list(file.path.parent.iterdir()) == [file.path]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"token": "IGAAcanary"}', "\xff"])
async def test_a_damaged_file_is_left_out_without_quoting_it(instagram, keeper, file, caplog, text):
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(text.encode("latin-1"))

    assert value(keeper(instagram)) == GIVEN
    assert "cannot be read" in caplog.text
    assert "canary" not in caplog.text


async def test_every_token_in_use_is_told_to_whoever_masks_it(instagram, keeper, clock):
    masked = []
    kept = keeper(instagram, on_token=lambda token: masked.append(token.get_secret_value()))
    await kept.keep()
    clock.advance(days=2)
    await kept.keep()
    keeper(instagram, on_token=lambda token: masked.append(token.get_secret_value()))

    assert masked == [GIVEN, value(kept), value(kept)]


TROUBLE = [Drop(), Drop(after=True), HTML, refusal(1), refusal(4), refusal(190), Reply(200, "{}")]
ODD_TOKENS = [Reply(200, f'{{"access_token": {odd}}}') for odd in ('""', '"a\\nb c d e f"', "7")]


@pytest.mark.parametrize("fault", [*TROUBLE, *ODD_TOKENS], ids=str)
async def test_a_renewal_that_fails_is_tried_again_and_told_to_nobody_yet(
    instagram, keeper, clock, fault
):
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(days=2)
    instagram.fail("refresh", fault)

    assert await kept.keep() == ""
    assert value(kept) == GIVEN
    assert await kept.keep() == ""
    assert value(kept) != GIVEN


async def test_people_hear_of_it_three_days_before_the_end(facebook, keeper, clock):
    kept = keeper(facebook)
    facebook.fail("exchange", *[refusal(1)] * 99)
    await kept.keep()
    clock.advance(days=37)
    assert await kept.keep() == ""

    clock.advance(hours=1)
    said = await kept.keep()

    assert "the token ends on 11 April at 12:00 UTC" in said
    assert "code 1" in said
    assert "put the new token into META_ACCESS_TOKEN" in said


async def test_without_the_app_people_hear_how_to_have_it_renewed(facebook, keeper, clock):
    kept = keeper(facebook, has_app=False)
    await kept.keep()
    clock.advance(days=38)

    assert "set META_APP_ID and META_APP_SECRET" in await kept.keep()
    assert facebook.called("exchange") == 0


async def test_the_end_of_the_apps_access_is_told_too(facebook, keeper, clock):
    facebook.tokens.known[GIVEN].access_ends_at = START + timedelta(days=2)

    assert "the token ends on 04 March" in await keeper(facebook).keep()


async def test_a_refresh_that_fails_for_a_week_is_told_although_nobody_knows_the_end(
    instagram, keeper, clock
):
    kept = keeper(instagram)
    instagram.fail("refresh", *[refusal(1)] * 99)
    said = []
    for _ in range(10):
        said.append(await kept.keep())
        clock.advance(days=1)

    assert said[:8] == [""] * 8
    assert "log in at Meta again" in said[8]


async def test_an_expired_token_is_not_refreshed_but_told(instagram, keeper, clock):
    kept = keeper(instagram)
    await kept.keep()
    clock.advance(days=61)

    said = await kept.keep()

    assert "Session has expired" in said
    assert "put the new token into META_ACCESS_TOKEN" in said
    assert instagram.called("refresh") == 0


async def test_a_platform_out_of_reach_is_no_news_until_the_end_is_near(facebook, keeper, clock):
    kept = keeper(facebook)
    await kept.keep()
    clock.advance(days=36)
    facebook.fail("me", Drop(), Drop())
    assert await kept.keep() == ""

    clock.advance(days=2)

    assert "the token ends on" in await kept.keep()


async def test_a_wrong_app_secret_changes_nothing(facebook, keeper, clock):
    kept = keeper(facebook)
    await kept.keep()
    kept._app_secret = SecretStr("wrong")
    clock.advance(days=31)

    assert await kept.keep() == ""
    assert value(kept) == GIVEN
    assert (await kept.facts()).is_app_refused


async def test_no_secret_is_in_any_log(instagram, facebook, keeper, clock, caplog):
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore"):  # as bot/logs.py sets them
        caplog.set_level(logging.WARNING, noisy)
    for host in (instagram, facebook):
        kept = keeper(host)
        await kept.keep()
        clock.advance(days=31)
        host.fail("exchange", Drop())
        host.fail("refresh", Drop())
        await kept.keep()
        await kept.keep()

    assert "canary" not in caplog.text
    assert instagram.tokens.app_secret not in caplog.text
    assert "canary" not in f"{kept!r} {vars(kept)} {await kept.facts()}"
