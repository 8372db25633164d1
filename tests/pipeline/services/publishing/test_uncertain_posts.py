"""A post that may be public is never said to have failed, and never made a second time."""

import pytest

from bot.sandbox.instagram import Drop, refusal
from pipeline.errors import UserError
from pipeline.services.post_events import PostEventKind
from pipeline.services.reviews import Votes
from storage.posts import Posts
from storage.states import EpisodeState, PostState

ANNA = 101


async def lose_the_approval_after_a_lost_answer(channel, slot):
    """The answer to publish is lost; the approval is gone when it would be called again."""
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Drop())
    publish = channel.publisher.publish

    async def publish_and_lose_the_approval(container_id):
        channel.reader.reactions = Votes()
        return await publish(container_id)

    channel.publisher.publish = publish_and_lose_the_approval
    post = await channel.settle(episode, slot)
    channel.publisher.publish = publish
    return episode, post


async def test_a_refusal_after_a_lost_answer_is_asked_about(channel, slot):
    episode, post = await lose_the_approval_after_a_lost_answer(channel, slot)

    assert post.state is PostState.UNKNOWN
    assert "the approval no longer holds" in post.error
    assert channel.events[-1].kind is PostEventKind.UNKNOWN
    assert await channel.state(episode) is EpisodeState.IN_REVIEW


async def test_a_first_call_that_lands_late_is_found_and_not_repeated(channel, slot):
    episode, post = await lose_the_approval_after_a_lost_answer(channel, slot)
    await channel.publisher.publish(post.container_id)  # the lost call takes effect at last
    channel.clock.advance(hours=2)

    await channel.publishing.resume_due()

    assert (await channel.post(episode)).state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_a_person_who_says_it_is_not_public_ends_the_doubt(channel, slot):
    episode, _ = await lose_the_approval_after_a_lost_answer(channel, slot)

    post = await channel.publishing.retry(episode, "anna")

    assert post.state is PostState.FAILED
    assert channel.ig.posts == []


async def test_a_caption_that_is_public_already_is_not_posted_again(channel, slot):
    episode = await channel.approved_reel()
    await channel.publishing.run_slot(slot)
    await forget_the_post(channel, episode)
    channel.clock.advance(hours=1)

    post = await channel.publishing.post_now(episode, "anna")

    assert (post.state, post.media_id) == (PostState.PUBLISHED, channel.ig.posts[0].id)
    assert (len(channel.ig.posts), channel.ig.called("create")) == (1, 1)
    assert await channel.state(episode) is EpisodeState.PUBLISHED


async def forget_the_post(channel, episode):
    """A backup from before the slot is put back."""
    for table in ("post_calls", "posts", "slots"):
        await channel.db.execute(f"DELETE FROM {table} WHERE episode_id = ?", (episode,))
    await channel.db.execute("UPDATE episodes SET state = 'approved' WHERE id = ?", (episode,))


async def test_a_failed_post_that_is_public_after_all_is_not_posted_again(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", refusal(352, 2207026))
    await channel.publishing.run_slot(slot)
    container = (await channel.post(episode)).container_id
    await channel.publisher.publish(container)

    post = await channel.publishing.retry(episode, "anna")

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_before_every_first_container_the_platform_is_looked_at_once(channel, slot):
    episode = await channel.approved_reel()

    await channel.publishing.run_slot(slot)

    calls = [call.call for call in await Posts(channel.db).calls(await channel.post(episode))]
    assert calls[:2] == ["look_up", "create"]
    assert calls.count("look_up") == 1


async def test_what_people_are_asked_stays_while_the_platform_is_out_of_order(channel, slot):
    episode, post = await lose_the_approval_after_a_lost_answer(channel, slot)
    channel.ig.fail("look_up", refusal(4))
    channel.clock.advance(hours=2)

    await channel.publishing.resume_due()

    assert (await channel.post(episode)).error == post.error
    assert channel.ig.posts == []


async def test_an_uncertain_post_cannot_be_posted_by_hand(channel, slot):
    episode, _ = await lose_the_approval_after_a_lost_answer(channel, slot)

    with pytest.raises(UserError, match="not approved"):
        await channel.publishing.post_now(episode, "anna")
