"""Tokens that end, quotas that are used up, limits that are near: posts wait and go on."""

import asyncio
import json
from datetime import timedelta

from bot.sandbox.instagram import Drop, Post, refusal
from pipeline.services.post_events import PostEventKind
from storage.states import PostState

TOKEN = "EAAcanary0token0that0nobody0may0see"


def kinds(channel):
    return [event.kind for event in channel.events]


def expire(channel):
    token = channel.ig.tokens.known[TOKEN]
    token.kind, token.expires_at = "USER", channel.clock()


async def let_run(channel, **time):
    """As the scheduler does: posts every ten minutes, the token every six hours."""
    for number in range(int(timedelta(**time).total_seconds() // 600)):
        channel.clock.advance(minutes=10)
        await channel.publishing.resume_due()
        if number % 36 == 0:
            await channel.publishing.keep_token_fresh()


async def test_a_post_waits_for_a_new_token_however_long_and_then_goes_on(channel, slot):
    episode = await channel.approved_reel()
    expire(channel)
    await channel.publishing.run_slot(slot)
    await let_run(channel, days=2)
    waiting = await channel.post(episode)

    channel.token = channel.ig.tokens.issue("EAAfrom0a0person").value
    await channel.restart()
    await let_run(channel, hours=1)

    assert waiting.state is PostState.PREPARING
    assert "put the new token into META_ACCESS_TOKEN" in waiting.error
    assert (await channel.post(episode)).state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_a_container_that_expired_while_the_token_was_missing_is_made_again(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.processing_s = 120
    await channel.publishing.run_slot(slot)
    ready = await channel.post(episode)
    expire(channel)
    await let_run(channel, days=3)

    channel.token = channel.ig.tokens.issue("EAAfrom0a0person").value
    await channel.restart()
    await let_run(channel, hours=1)

    post = await channel.post(episode)
    assert ready.state in (PostState.READY, PostState.PUBLISHED)
    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)


async def test_people_hear_of_a_refused_token_once_a_day(channel):
    expire(channel)

    await let_run(channel, hours=60)
    await channel.restart()
    await channel.publishing.keep_token_fresh()

    assert kinds(channel) == [PostEventKind.LOCKED] * 3
    assert "nothing is lost" in channel.events[0].text
    assert TOKEN not in str(channel.events)


async def test_a_clock_that_was_ahead_does_not_keep_it_from_people(channel):
    expire(channel)
    channel.clock.advance(days=400)
    await channel.publishing.keep_token_fresh()
    channel.clock.advance(days=-399)

    await channel.publishing.keep_token_fresh()

    assert kinds(channel) == [PostEventKind.LOCKED] * 2


async def test_a_platform_out_of_reach_is_nobodys_problem(channel):
    channel.ig.fail("me", *[Drop()] * 50)

    await let_run(channel, days=2)

    assert channel.events == []


async def test_a_renewed_token_posts_and_is_in_no_other_file(channel, slot):
    episode = await channel.approved_reel()
    token = channel.ig.tokens.known[TOKEN]
    token.kind, token.expires_at = "USER", channel.clock() + timedelta(days=2)
    await channel.publishing.keep_token_fresh()
    token.revoked = True

    post = await channel.settle(episode, slot)
    backup = channel.folder.path / "studio-backup.db"
    await channel.db.backup(backup)

    assert (post.state, channel.events[-1].kind) == (PostState.PUBLISHED, PostEventKind.PUBLISHED)
    kept = channel.folder.secrets / "instagram.json"
    assert b"renewed0canary" in kept.read_bytes()
    others = [path for path in channel.folder.path.rglob("*") if path.is_file() and path != kept]
    assert backup in others
    assert not [path for path in others if b"canary" in path.read_bytes()]


async def test_a_token_renewed_during_a_post_does_not_disturb_it(channel, slot, monkeypatch):
    episode = await channel.approved_reel()
    token = channel.ig.tokens.known[TOKEN]
    token.kind, token.expires_at = "USER", channel.clock() + timedelta(hours=1)
    upload = channel.publisher.upload

    async def renew_meanwhile(*args):
        await asyncio.gather(upload(*args), channel.publishing.keep_token_fresh())
        token.revoked = True

    monkeypatch.setattr(channel.publisher, "upload", renew_meanwhile)

    post = await channel.settle(episode, slot)

    assert (post.state, post.attempts, len(channel.ig.posts)) == (PostState.PUBLISHED, 1, 1)


async def test_a_folder_has_no_token_to_renew(open_channel):
    channel = await open_channel(platform="folder")

    await channel.publishing.keep_token_fresh()

    assert channel.events == []


def others_post(channel, count):
    """What the account's owner has posted by hand."""
    channel.ig.posts.extend(
        Post(str(number), "", "", "by hand", False, None, channel.clock(), "")
        for number in range(count)
    )


async def test_at_the_quota_a_post_waits_and_goes_out_the_next_day(channel, slot):
    channel.ig.quota_total = 25  # the answer's own number, neither 50 nor 100
    others_post(channel, 25)
    episode = await channel.approved_reel()

    await channel.publishing.run_slot(slot)
    waiting = await channel.post(episode)
    await let_run(channel, hours=30)

    assert waiting.state is PostState.READY
    assert "used its 25 posts of the last 24 hours" in waiting.error
    assert kinds(channel) == [PostEventKind.WAITING, PostEventKind.PUBLISHED]
    assert (await channel.post(episode)).state is PostState.PUBLISHED
    assert channel.ig.called("publish") == 1


USAGE = "X-Business-Use-Case-Usage"


def usage(**numbers):
    return {USAGE: json.dumps({"1": [{"type": "instagram", **numbers}]})}


async def test_near_the_limit_nothing_new_is_begun(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.usage = usage(call_count=96)
    await channel.publisher.quota()
    asked = len(channel.ig.requests)

    await channel.publishing.run_slot(slot)
    assert len(channel.ig.requests) == asked
    assert "nearly as often" in (await channel.post(episode)).error
    assert any("posts wait 5 min" in found for found in await channel.publishing.dry_run(episode))

    channel.ig.usage = usage(call_count=20)
    await let_run(channel, hours=1)
    assert (await channel.post(episode)).state is PostState.PUBLISHED


async def test_a_publish_call_is_followed_up_although_the_limit_is_near(channel, slot):
    episode = await channel.approved_reel()
    publish = channel.publisher.publish

    async def publish_at_the_limit(container):
        channel.ig.usage = usage(call_count=100, estimated_time_to_regain_access=600)
        return await publish(container)

    channel.publisher.publish = publish_at_the_limit
    channel.ig.fail("publish", Drop(after=True))

    await channel.publishing.run_slot(slot)
    await let_run(channel, minutes=10)

    assert channel.publisher.held_s() > 0
    assert (await channel.post(episode)).state is PostState.PUBLISHED


async def test_access_that_returns_in_hours_is_waited_for(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.usage = usage(call_count=100, estimated_time_to_regain_access=180)
    channel.ig.fail("create", refusal(80002))
    await channel.publishing.run_slot(slot)
    waiting = await channel.post(episode)
    channel.ig.usage = {}

    assert waiting.run_after - channel.clock() == timedelta(hours=3)
    await let_run(channel, hours=4)
    assert (await channel.post(episode)).state is PostState.PUBLISHED


async def test_instagram_login_that_cannot_upload_says_what_to_do(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.tokens.login = "instagram"

    post = await channel.settle(episode, slot)

    assert post.state is PostState.FAILED
    assert "make one with Facebook Login or for a system user" in post.error
    assert "/publish retry" in post.error
