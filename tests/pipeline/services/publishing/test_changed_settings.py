"""Settings that are part of what goes out change between two starts."""

import pytest

from bot.sandbox.instagram import refusal
from pipeline.errors import UserError
from pipeline.services.outgoing import OutgoingReels
from storage.slots import SlotOutcome
from storage.states import EpisodeState, PostState

ANNA, BEN = 101, 102


@pytest.fixture
def change_settings(channel):
    """Start again without the AI label."""

    def change(account=None):
        channel.publishing._reels = channel.reels = OutgoingReels(
            db=channel.db,
            folder=channel.folder,
            show=channel.show,
            account=account or channel.publisher.account,
            ai_label=account is not None,
            max_hashtags=5,
            probe=lambda path: channel.facts,
        )

    return change


async def test_an_approved_reel_goes_back_into_review_with_a_new_draft(channel, change_settings):
    episode = await channel.approved_reel()
    change_settings()

    changed = await channel.publishing.restamp()

    parcel = await channel.reels.read(episode, 1)
    assert changed == [episode]
    assert parcel.approved == parcel.fingerprint
    assert await channel.state(episode) is EpisodeState.IN_REVIEW
    assert await channel.messages.open_draft(episode, 1) is None
    assert not (await channel.reviews.standing(episode)).approvers
    last = (await channel.episodes.transitions(episode))[-1]
    assert last.reason == "account, AI label or caption text changed"


async def test_approved_once_more_it_is_posted(channel, change_settings, slot):
    episode = await channel.approved_reel()
    change_settings()
    await channel.publishing.restamp()
    await channel.draft(episode)
    await channel.reviews.approve(episode, ANNA)

    assert await channel.publishing.run_slot(slot) is SlotOutcome.POSTED
    assert not channel.ig.posts[0].is_ai_generated


async def test_an_old_approval_posts_nothing(channel, change_settings, slot):
    await channel.approved_reel()
    change_settings(account="somebody else")
    await channel.publishing.restamp()

    assert await channel.publishing.run_slot(slot) is SlotOutcome.EMPTY


async def test_a_reel_in_review_stays_there_with_a_new_draft(channel, change_settings):
    episode = await channel.reel()
    change_settings()

    assert await channel.publishing.restamp() == [episode]
    assert await channel.state(episode) is EpisodeState.IN_REVIEW
    with pytest.raises(UserError, match="wait for its draft"):
        await channel.reviews.approve(episode, ANNA)


async def test_the_same_settings_change_nothing(channel):
    episode = await channel.approved_reel()

    assert await channel.publishing.restamp() == []
    assert await channel.state(episode) is EpisodeState.APPROVED


async def test_a_rejected_reel_and_an_unfinished_one_are_left_alone(channel, change_settings):
    rejected = await channel.approved_reel()
    await channel.reviews.reject(rejected, BEN)
    broken = await channel.reel()
    await channel.db.execute("UPDATE revisions SET video = NULL WHERE episode_id = ?", (broken,))
    change_settings()

    assert await channel.publishing.restamp() == []
    assert await channel.state(rejected) is EpisodeState.REJECTED


async def test_a_post_under_way_is_left_alone(channel, change_settings, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("create", refusal(190, 463, status=401))
    await channel.publishing.run_slot(slot)
    change_settings()

    assert await channel.publishing.restamp() == []
    assert (await channel.post(episode)).state is PostState.PREPARING
    assert await channel.state(episode) is EpisodeState.APPROVED
