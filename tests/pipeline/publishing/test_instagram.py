"""The Instagram client: resuming uploads, reading errors, guarding the token."""

import logging
import os
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bot.sandbox.instagram import HTML, Drop, ForeignUpload, InstagramSandbox, Reply, refusal
from bot.sandbox.instagram import Truncated as Cut
from pipeline.errors import UserError
from pipeline.publishing.base import (
    Container,
    Limited,
    Locked,
    NotReady,
    Passing,
    Permanent,
    StartOver,
    Unknown,
    Unseen,
)

TOKEN = "EAAcanary0token0that0nobody0may0see"


async def test_a_broken_upload_goes_on_from_the_offset_reached(ig, instagram, outgoing):
    ig.fail("upload", Cut(100_000), Cut(300_000))
    container = await instagram.create(outgoing)

    await instagram.upload(container, outgoing.reel, outgoing.sha256)
    await instagram.publish(container.id)

    assert ig.posts[0].sha256 == outgoing.sha256
    assert ig.called("upload") == 3


async def test_an_upload_whose_answer_was_lost_is_not_sent_again(ig, instagram, outgoing):
    ig.fail("upload", Drop(after=True))
    container = await instagram.create(outgoing)

    await instagram.upload(container, outgoing.reel, outgoing.sha256)

    assert ig.called("upload") == 1


async def test_a_file_changed_between_two_parts_is_refused(ig, instagram, outgoing):
    ig.fail("upload", Cut(100_000))
    container = await instagram.create(outgoing)
    offset = instagram._offset

    async def touch_and_ask(*args):
        os.utime(outgoing.reel, ns=(1, 1))
        return await offset(*args)

    instagram._offset = touch_and_ask

    with pytest.raises(Permanent):
        await instagram.upload(container, outgoing.reel, outgoing.sha256)


async def test_an_upload_that_keeps_breaking_waits(ig, instagram, outgoing):
    ig.fail("upload", *[Drop()] * 4)
    container = await instagram.create(outgoing)

    with pytest.raises(Passing, match="broke off 4 times"):
        await instagram.upload(container, outgoing.reel, outgoing.sha256)


async def test_an_upload_nobody_can_locate_starts_over(ig, instagram, outgoing):
    ig.fail("upload", Cut(1000))
    ig.fail("status", refusal(100))
    container = await instagram.create(outgoing)

    with pytest.raises(StartOver):
        await instagram.upload(container, outgoing.reel, outgoing.sha256)


ERRORS = [
    ((190, 463), Locked),
    ((190, 460), Locked),
    ((102, 0), Locked),
    ((10, 0), Locked),
    ((200, 0), Locked),
    ((299, 0), Locked),
    ((25, 2207050), Locked),
    ((4, 2207051), Locked),
    ((4, 0), Limited),
    ((17, 0), Limited),
    ((32, 0), Limited),
    ((613, 0), Limited),
    ((80002, 0), Limited),
    ((9, 2207042), Limited),
    ((9007, 2207027), NotReady),
    ((352, 2207026), Permanent),
    ((36004, 2207010), Permanent),
    ((100, 2207040), Permanent),
    ((1, 2207057), Permanent),
    ((9004, 2207052), Permanent),
    ((100, 0), Permanent),
]
BEFORE_PUBLISH = [
    *ERRORS,
    ((1, 0), Passing),
    ((2, 0), Passing),
    ((-1, 0), Passing),
    ((12345, 0), Passing),
    ((-1, 2207001), StartOver),
    ((-1, 2207032), StartOver),
    ((-1, 2207053), StartOver),
    ((-2, 2207003), StartOver),
    ((-2, 2207020), StartOver),
    ((24, 2207006), Unseen),
    ((24, 2207008), Unseen),
    ((100, 33), Unseen),
]


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize(("codes", "kind"), BEFORE_PUBLISH, ids=str)
async def test_the_code_decides_and_not_the_http_status(
    ig, instagram, outgoing, codes, kind, status
):
    ig.fail("create", refusal(*codes, status=status))

    with pytest.raises(kind) as caught:
        await instagram.create(outgoing)

    assert type(caught.value) is kind


@pytest.mark.parametrize(("codes", "kind"), ERRORS, ids=str)
async def test_publish_reports_what_certainly_did_not_happen(ig, instagram, outgoing, codes, kind):
    container = await instagram.create(outgoing)
    ig.fail("publish", refusal(*codes))

    with pytest.raises(kind):
        await instagram.publish(container.id)


@pytest.mark.parametrize(
    "fault",
    [
        Drop(),
        Drop(after=True),
        HTML,
        refusal(1),
        refusal(2),
        refusal(-1, 2207032),
        refusal(-2, 2207020),
        refusal(24, 2207008),
        refusal(100, 33),
        refusal(12345),
        Reply(200, "{}"),
        Reply(200, "[]"),
        Reply(200, '{"id": "../me"}'),
        Reply(200, '{"id": "1" '),
        Reply(302, "", headers=(("Location", "https://example.com"),)),
    ],
    ids=str,
)
async def test_anything_else_after_publish_is_unknown(ig, instagram, outgoing, fault):
    container = await instagram.create(outgoing)
    await instagram.upload(container, outgoing.reel, outgoing.sha256)
    ig.fail("publish", fault)

    with pytest.raises(Unknown):
        await instagram.publish(container.id)


async def test_a_platform_out_of_reach_was_certainly_not_asked(instagram, ig):
    await ig.__aexit__(None, None, None)

    with pytest.raises(Passing):
        await instagram.publish("17900000000000001")


async def test_a_rate_limit_tells_when_access_returns(ig, instagram):
    limited = refusal(80002)
    usage = '{"1":[{"type":"instagram","estimated_time_to_regain_access":12}]}'
    header = (("X-Business-Use-Case-Usage", usage),)
    ig.fail("quota", Reply(400, limited.body, headers=header))

    with pytest.raises(Limited) as caught:
        await instagram.quota()

    assert caught.value.retry_after_s == 720


async def test_the_listing_is_searched_page_by_page(ig, instagram, outgoing, long_ago):
    ours = await _post(instagram, outgoing)
    ig.posts.extend(
        ig.posts[0].__class__(**{**vars(ig.posts[0]), "id": str(n), "caption": "x"})
        for n in range(120)
    )

    found = await instagram.look_up(outgoing.caption, long_ago)

    assert found.id == ours
    assert ig.called("look_up") == 3


async def test_posts_older_than_the_attempt_are_not_ours(ig, instagram, outgoing):
    await _post(instagram, outgoing)

    later = datetime.now(UTC) + timedelta(hours=1)

    assert await instagram.look_up(outgoing.caption, later) is None


async def test_line_ends_do_not_hide_our_own_caption(ig, instagram, outgoing, long_ago):
    media = await _post(instagram, outgoing)
    changed = outgoing.caption.replace("\n", " \r\n") + "\n"

    assert (await instagram.look_up(changed, long_ago)).id == media


async def _post(instagram, outgoing):
    container = await instagram.create(outgoing)
    await instagram.upload(container, outgoing.reel, outgoing.sha256)
    return await instagram.publish(container.id)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9/ig-api-upload/1",
        "https://rupload.facebook.com.example.com/x",
        "file:///etc/passwd",
        "http://user@{host}/x",
        "",
        "http://[::1",
    ],
)
async def test_an_upload_elsewhere_is_refused(ig, instagram, outgoing, uri):
    host = ig.upload_url.removeprefix("http://")
    ig.fail("create", ForeignUpload(uri.format(host=host)))

    with pytest.raises(Permanent, match="INSTAGRAM_UPLOAD_URL"):
        await instagram.create(outgoing)


async def test_a_stored_upload_address_is_checked_again(instagram, outgoing):
    elsewhere = Container(id="1", upload_url="http://127.0.0.1:9/x")

    with pytest.raises(Permanent):
        await instagram.upload(elsewhere, outgoing.reel, outgoing.sha256)


async def test_the_token_never_follows_a_redirect(ig, instagram, outgoing):
    async with InstagramSandbox(TOKEN) as thief:
        ig.fail("create", Reply(307, "", headers=(("Location", thief.graph_url),)))
        with pytest.raises(Passing):
            await instagram.create(outgoing)

        assert thief.requests == []


async def test_the_token_goes_into_headers_only(ig, instagram, outgoing, long_ago):
    await _post(instagram, outgoing)
    await instagram.look_up(outgoing.caption, long_ago)
    await instagram.quota()

    assert not any(TOKEN in request.url for request in ig.requests)
    assert not any("access_token" in request.parameters for request in ig.requests)


async def test_an_answer_that_repeats_the_token_does_not_leak_it(ig, instagram, outgoing, caplog):
    caplog.set_level(logging.DEBUG)
    body = refusal(190).body.replace("error 190", f"token {TOKEN}")
    ig.fail("create", Reply(401, body))

    with pytest.raises(Locked) as caught:
        await instagram.create(outgoing)

    assert "[token]" in str(caught.value)
    assert TOKEN not in f"{caught.value!r} {caplog.text} {instagram!r} {vars(instagram)}"


async def test_an_endless_answer_is_cut_off(ig, instagram):
    ig.fail("quota", Reply(200, "[" * (2 << 20)))

    with pytest.raises(Passing, match="too long"):
        await instagram.quota()


async def test_without_the_setting_there_is_no_ai_label(ig, instagram, outgoing):
    plain = outgoing.__class__(**{**vars(outgoing), "ai_label": False})

    await _post(instagram, plain)

    assert not ig.posts[0].is_ai_generated


@pytest.mark.parametrize("name", ["graph_url", "upload_url"])
@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://127.0.0.1", "http://127.0.0.1.nip.io"]
)
async def test_plain_http_to_another_machine_is_refused(ig, open_instagram, name, url):
    with pytest.raises(UserError, match="https"):
        open_instagram(ig, **{name: url})


async def test_a_slow_platform_is_a_passing_error(instagram, monkeypatch):
    async def never(*args, **kwargs):
        raise httpx.ReadTimeout("slow")

    monkeypatch.setattr(instagram._graph._wire._client, "send", never)

    with pytest.raises(Passing, match="did not answer in time"):
        await instagram.quota()
