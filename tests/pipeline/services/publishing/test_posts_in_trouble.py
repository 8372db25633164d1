"""One bad reel or post stops neither the others nor the bot, and people hear of it once."""

import errno

import pytest

from bot.sandbox.instagram import Drop, Lost, refusal
from pipeline.errors import ProviderError, UserError
from pipeline.publishing.base import Slot
from pipeline.services.post_events import PostEventKind
from pipeline.services.reviews import Votes
from storage.slots import SlotOutcome
from storage.states import EpisodeState, PostState

ANNA, BEN = 101, 102


def kinds(channel):
    return [event.kind for event in channel.events]


def later(slot, number=1):
    return Slot(f"slot {number}", slot.at)


async def approved(channel, **kwargs):
    """Approved by command, so that several can be at the same time."""
    episode = await channel.reel(**kwargs)
    await channel.reviews.approve(episode, ANNA)
    return episode


async def test_a_failed_post_leaves_the_next_slot_to_others(channel, slot):
    bad = await channel.approved_reel(best_before=channel.clock().replace(year=2030))
    channel.ig.fail("publish", refusal(352, 2207026))
    failed = await channel.publishing.run_slot(slot)
    good = await approved(channel)

    outcome = await channel.publishing.run_slot(later(slot))

    assert (failed, outcome) == (SlotOutcome.FAILED, SlotOutcome.POSTED)
    assert await channel.state(good) is EpisodeState.PUBLISHED
    assert (await channel.post(bad)).state is PostState.FAILED


async def test_a_new_revision_of_a_failed_post_is_chosen_again(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", refusal(352, 2207026))
    await channel.publishing.run_slot(slot)
    await channel.episodes.new_revision(episode, who="anna", now=channel.clock())
    await channel.render(episode, 2)
    await channel.episodes.move(episode, EpisodeState.IN_REVIEW, who="studio", now=channel.clock())
    await channel.draft(episode)
    await channel.reviews.approve(episode, ANNA)

    assert await channel.publishing.run_slot(later(slot)) is SlotOutcome.POSTED


async def test_the_queue_holds_what_slots_take(channel, slot):
    failed = await channel.approved_reel()
    channel.ig.fail("publish", refusal(352, 2207026))
    await channel.publishing.run_slot(slot)
    waiting = await approved(channel)

    assert [episode.id for episode in await channel.publishing.queue()] == [waiting]
    assert [post.episode_id for post in await channel.publishing.needing_people()] == [failed]


async def test_a_failed_post_that_is_not_approved_any_more_needs_nobody(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", refusal(352, 2207026))
    await channel.publishing.run_slot(slot)

    await channel.reviews.reject(episode, BEN)

    assert await channel.publishing.needing_people() == []


async def test_an_unknown_post_needs_people_and_is_told_again_at_the_start(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Lost())
    await channel.settle(episode, slot)
    await channel.restart()
    channel.events.clear()

    await channel.publishing.recover()

    assert kinds(channel) == [PostEventKind.UNKNOWN]
    assert "/publish confirm" in channel.events[0].text
    assert [post.episode_id for post in await channel.publishing.needing_people()] == [episode]
    assert await channel.publishing.queue() == []


async def test_a_locked_post_needs_people_until_it_goes_on(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("create", refusal(190, 463, status=401))
    await channel.publishing.run_slot(slot)
    locked = await channel.publishing.needing_people()

    await channel.settle(episode, slot)

    assert [post.episode_id for post in locked] == [episode]
    assert await channel.publishing.needing_people() == []


async def test_a_post_that_waits_for_resume_needs_nobody(channel, slot):
    await channel.approved_reel()
    upload = channel.publisher.upload

    async def upload_and_pause(*args):
        await upload(*args)
        await channel.publishing.pause("anna")

    channel.publisher.upload = upload_and_pause
    await channel.publishing.run_slot(slot)

    assert await channel.publishing.needing_people() == []


TROUBLE = {
    "a file that may not be read": PermissionError(errno.EACCES, "Permission denied", "/x/r.mp4"),
    "a broken disk": OSError(errno.EIO, "Input/output error", "/x/r.mp4"),
    "a bug": RuntimeError("with a secret in it"),
}


async def two_posts_left_behind(channel, error):
    """Both were being prepared when the bot ended; the first cannot be read any more."""
    bad, good = await approved(channel), await approved(channel)
    channel.ig.fail("create", Drop(), Drop())
    await channel.publishing.pause("anna")
    for number, episode in enumerate((bad, good)):
        parcel = await channel.reels.read(episode, 1)
        await channel.posts.claim(
            episode,
            "instagram",
            revision=1,
            fingerprint=parcel.fingerprint,
            sha256=parcel.outgoing.sha256,
            caption=parcel.outgoing.caption,
            slot=f"slot {number}",
            now=channel.clock(),
        )
    await channel.publishing.resume()
    changes = channel.reels.changes

    async def changes_of_the_good_one(parcel):
        if parcel.outgoing.episode == bad:
            raise error
        return await changes(parcel)

    channel.reels.changes = changes_of_the_good_one
    return bad, good


@pytest.mark.parametrize("error", TROUBLE.values(), ids=TROUBLE)
async def test_a_post_in_trouble_at_the_start_waits_and_the_others_go_on(channel, error, caplog):
    bad, good = await two_posts_left_behind(channel, error)

    await channel.publishing.recover()
    channel.clock.advance(minutes=20)
    await channel.publishing.resume_due()

    assert (await channel.post(good)).state is PostState.PUBLISHED
    assert (await channel.post(bad)).state is PostState.PREPARING
    assert kinds(channel) == [PostEventKind.LOCKED, PostEventKind.PUBLISHED]
    assert [post.episode_id for post in await channel.publishing.needing_people()] == [bad]
    assert "secret" not in channel.events[0].text
    assert "Traceback" in caplog.text


async def test_a_post_out_of_trouble_goes_on(channel):
    bad, _ = await two_posts_left_behind(channel, TROUBLE["a broken disk"])
    await channel.publishing.recover()
    del channel.reels.changes

    channel.clock.advance(minutes=20)
    await channel.publishing.resume_due()

    assert (await channel.post(bad)).state is PostState.PUBLISHED


@pytest.mark.parametrize(
    "error", [ProviderError("decoder", "broke"), ValueError("odd"), *TROUBLE.values()][:4], ids=repr
)
async def test_a_reel_that_cannot_be_measured_holds_no_slot_up(channel, slot, error):
    bad = await approved(channel, best_before=channel.clock().replace(year=2030))
    good = await approved(channel)
    refuse(channel, bad, error)

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.POSTED
    assert await channel.state(good) is EpisodeState.PUBLISHED
    assert kinds(channel) == [PostEventKind.BLOCKED, PostEventKind.PUBLISHED]


def refuse(channel, episode, error):
    def probe(path):
        if f"episodes/{episode}/" in str(path):
            raise error
        return channel.facts

    channel.reels._probe = probe


async def test_a_damaged_file_is_refused_without_measuring_it(channel):
    episode = await channel.approved_reel()
    (channel.folder.revision(episode, 1) / "reel.mp4").write_bytes(b"something else")
    refuse(channel, episode, AssertionError("it was measured"))

    with pytest.raises(UserError, match="not the one that was approved"):
        await channel.publishing.post_now(episode, "anna")


async def test_a_section_that_cannot_be_read_holds_no_slot_up(channel, slot):
    bad, good = await approved(channel), await approved(channel)
    await channel.episodes.save_section(bad, 1, "video", "{}")

    await channel.publishing.run_slot(slot)

    assert await channel.state(good) is EpisodeState.PUBLISHED
    assert PostEventKind.BLOCKED in kinds(channel)


async def test_a_reject_and_a_spoiling_during_a_post_end_it(channel, slot):
    episode = await channel.approved_reel(best_before=channel.clock().replace(hour=19))
    upload = channel.publisher.upload

    async def upload_too_slowly(*args):
        await upload(*args)
        await channel.reviews.reject(episode, BEN)
        channel.clock.advance(hours=2)

    channel.publisher.upload = upload_too_slowly

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.FAILED
    assert await channel.state(episode) is EpisodeState.REJECTED
    assert channel.ig.called("publish") == 0


async def test_votes_that_change_all_the_time_hold_the_slot_open(channel, slot):
    episode = await channel.approved_reel()
    votes = channel.reader.votes

    async def votes_while_people_vote(draft):
        await channel.reviews.sync(draft, Votes(frozenset({ANNA})))
        await channel.reviews.sync(draft, Votes(frozenset({ANNA, BEN})))
        return await votes(draft)

    channel.reader.votes = votes_while_people_vote

    assert await channel.publishing.run_slot(slot) is None
    assert await channel.state(episode) is EpisodeState.APPROVED
