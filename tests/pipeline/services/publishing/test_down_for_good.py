"""A platform that is down for good: the post waits, and it is asked ever less often."""

import pytest

from bot.sandbox.instagram import Drop, Reply
from storage.states import PostState

HOURS = 26
"""Longer than a post is tried in vain."""
AT_MOST_AN_HOUR = 10
CALLS = ("quota", "look_up", "create", "upload", "status", "publish")


@pytest.mark.parametrize(
    "fault",
    [Reply(503, "{}"), pytest.param(Drop(), marks=pytest.mark.slow)],
    ids=["503", "dropped"],
)
@pytest.mark.parametrize("call", CALLS)
async def test_it_is_asked_a_few_times_an_hour_and_people_hear_of_it(channel, slot, call, fault):
    episode = await channel.approved_reel()
    channel.ig.fail(call, *[fault] * 1000)

    await channel.publishing.run_slot(slot)
    for _ in range(HOURS * 6):
        channel.clock.advance(minutes=10)
        await channel.publishing.resume_due()

    post, asked = await channel.post(episode), len(channel.ig.requests)
    took_h = (channel.clock() - slot.at).total_seconds() / 3600
    assert asked <= AT_MOST_AN_HOUR * took_h
    assert channel.events, "nobody was told"
    assert post.state is not PostState.PUBLISHED
    assert channel.ig.posts == []
