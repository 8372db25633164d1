"""Slots, approvals and what people can ask for, against a loopback Instagram."""

import asyncio
import logging
from datetime import timedelta

import pytest

from bot.sandbox.instagram import Expired, Late, Lost, refusal
from pipeline.errors import UserError
from pipeline.publishing.base import Slot
from pipeline.services.post_events import PostEventKind
from pipeline.services.reviews import Votes
from storage.errors import InvalidTransition
from storage.slots import SlotOutcome
from storage.states import EpisodeState, PostState

TOKEN = "EAAcanary0token0that0nobody0may0see"
ANNA, BEN = 101, 102
HOUR = timedelta(hours=1)


def kinds(channel):
    return [event.kind for event in channel.events]


async def test_a_slot_posts_the_bytes_and_the_caption_that_were_approved(channel, slot):
    episode = await channel.approved_reel()

    outcome = await channel.publishing.run_slot(slot)

    (post,) = channel.ig.posts
    assert outcome is SlotOutcome.POSTED
    assert post.sha256 == channel.sha256(episode)
    assert "A dog and a squirrel walk in." in post.caption
    assert f"No. {episode}" in post.caption
    assert post.is_ai_generated
    assert post.thumb_offset_ms == 700


async def test_a_published_post_moves_the_episode_and_keeps_the_link(channel, slot):
    episode = await channel.approved_reel()

    await channel.publishing.run_slot(slot)

    post = await channel.post(episode)
    assert await channel.state(episode) is EpisodeState.PUBLISHED
    assert (post.state, post.media_id) == (PostState.PUBLISHED, channel.ig.posts[0].id)
    assert post.permalink == channel.ig.posts[0].permalink
    assert kinds(channel) == [PostEventKind.PUBLISHED]


async def test_a_slot_is_done_once(channel, slot):
    await channel.approved_reel()
    await channel.publishing.run_slot(slot)
    await channel.approved_reel()

    again = await channel.publishing.run_slot(slot)

    assert again is SlotOutcome.POSTED
    assert len(channel.ig.posts) == 1


async def test_two_runs_of_one_slot_at_the_same_moment_post_once(channel, slot):
    await channel.approved_reel()
    await channel.approved_reel()

    await asyncio.gather(*(channel.publishing.run_slot(slot) for _ in range(3)))

    assert len(channel.ig.posts) == 1


async def test_what_spoils_first_goes_first_and_evergreen_fills(channel, slot):
    evergreen = await channel.approved_reel()
    late = await channel.approved_reel(best_before=channel.clock() + 40 * HOUR)
    soon = await channel.approved_reel(best_before=channel.clock() + 30 * HOUR)

    for hour in range(3):
        await channel.publishing.run_slot(Slot(f"slot {hour}", slot.at + hour * HOUR))

    captions = [post.caption for post in channel.ig.posts]
    order = [next(e for e in (evergreen, late, soon) if f"No. {e}" in text) for text in captions]
    assert order == [soon, late, evergreen]


async def test_evergreen_reels_go_in_the_order_of_their_approval(channel):
    first, second = await channel.reel(), await channel.reel()
    await channel.reviews.approve(second, ANNA)
    channel.clock.advance(minutes=1)
    await channel.reviews.approve(first, ANNA)

    assert [episode.id for episode in await channel.publishing.queue()] == [second, first]


async def test_a_spoiled_reel_is_not_posted_unasked(channel, slot):
    episode = await channel.approved_reel(best_before=channel.clock() + HOUR)
    channel.clock.advance(hours=2)

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.EMPTY
    assert await channel.state(episode) is EpisodeState.SPOILED
    assert kinds(channel) == [PostEventKind.SPOILED, PostEventKind.EMPTY]


async def test_a_spoiled_reel_is_posted_when_a_person_asks(channel, slot):
    episode = await channel.approved_reel(best_before=channel.clock() + HOUR)
    channel.clock.advance(hours=2)
    await channel.publishing.run_slot(slot)

    post = await channel.publishing.post_now(episode, "anna")

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_a_removed_reaction_posts_nothing_and_the_next_candidate_goes(channel, slot):
    withdrawn = await channel.approved_reel(best_before=channel.clock() + 30 * HOUR)
    kept = await channel.reel()
    await channel.reviews.approve(kept, ANNA)
    channel.reader.reactions = Votes()

    await channel.publishing.run_slot(slot)

    assert await channel.state(withdrawn) is EpisodeState.IN_REVIEW
    assert await channel.state(kept) is EpisodeState.PUBLISHED


async def test_a_role_taken_away_posts_nothing(channel, slot):
    episode = await channel.reel()
    await channel.reviews.approve(episode, ANNA)
    channel.reader.approvers.remove(ANNA)

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.EMPTY
    assert await channel.state(episode) is EpisodeState.IN_REVIEW


async def test_a_deleted_draft_takes_its_reactions_with_it(channel, slot):
    episode = await channel.approved_reel()
    channel.reader.gone = True

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.EMPTY
    assert await channel.messages.open_draft(episode, 1) is None


async def test_a_silent_discord_holds_the_slot_open(channel, slot):
    await channel.approved_reel()
    channel.reader.down = True
    waiting = await channel.publishing.run_slot(slot)
    channel.reader.down = False

    outcome = await channel.publishing.run_slot(slot)

    assert (waiting, outcome) == (None, SlotOutcome.POSTED)
    assert len(channel.ig.posts) == 1


async def test_an_approval_taken_back_while_uploading_stops_the_post(channel, slot):
    episode = await channel.approved_reel()
    upload = channel.publisher.upload

    async def upload_and_lose_the_approval(*args):
        await upload(*args)
        channel.reader.reactions = Votes()

    channel.publisher.upload = upload_and_lose_the_approval

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.FAILED
    assert channel.ig.posts == []
    assert await channel.state(episode) is EpisodeState.IN_REVIEW


async def test_discord_down_right_before_publish_waits_and_then_posts(channel, slot):
    episode = await channel.approved_reel()
    upload = channel.publisher.upload

    async def upload_and_lose_discord(*args):
        await upload(*args)
        channel.reader.down = True

    channel.publisher.upload = upload_and_lose_discord
    await channel.publishing.run_slot(slot)
    before = len(channel.ig.posts)
    channel.reader.down = False

    post = await channel.settle(episode, slot)

    assert (before, post.state) == (0, PostState.PUBLISHED)


async def test_a_reel_approved_again_after_a_failure_is_posted(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", refusal(352, 2207026))
    await channel.publishing.run_slot(slot)

    post = await channel.publishing.retry(episode, "anna")

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_a_swapped_file_is_not_even_chosen(channel, slot):
    episode = await channel.approved_reel()
    (channel.folder.revision(episode, 1) / "reel.mp4").write_bytes(b"something else")

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.EMPTY
    assert PostEventKind.BLOCKED in kinds(channel)
    assert channel.ig.called("create") == 0


async def test_a_file_swapped_while_uploading_is_never_published(channel, slot):
    episode = await channel.approved_reel()
    create = channel.publisher.create

    async def create_and_swap(outgoing):
        container = await create(outgoing)
        outgoing.reel.write_bytes(outgoing.reel.read_bytes()[:-1] + b"!")
        return container

    channel.publisher.create = create_and_swap

    await channel.publishing.run_slot(slot)

    assert channel.ig.posts == []
    assert (await channel.post(episode)).state is PostState.FAILED


async def test_an_approved_reel_without_its_video_does_not_block_the_others(channel, slot):
    broken, fine = await channel.approved_reel(), await channel.reel()
    await channel.reviews.approve(fine, ANNA)
    await channel.db.execute("UPDATE revisions SET video = NULL WHERE episode_id = ?", (broken,))

    await channel.publishing.run_slot(slot)

    assert await channel.state(fine) is EpisodeState.PUBLISHED
    assert PostEventKind.BLOCKED in kinds(channel)


async def test_people_hear_once_that_a_slot_waits(channel, slot):
    await channel.approved_reel()
    channel.reader.down = True

    for _ in range(3):
        await channel.publishing.run_slot(slot)

    assert kinds(channel) == [PostEventKind.WAITING]


async def test_a_slot_without_approved_reels_is_empty(channel, slot):
    await channel.reel()

    assert await channel.publishing.run_slot(slot) is SlotOutcome.EMPTY
    assert channel.ig.requests == []


async def test_while_paused_a_slot_passes(channel, slot):
    await channel.approved_reel()
    await channel.publishing.pause("anna")

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.PAUSED
    assert channel.ig.requests == []


async def test_a_pause_given_while_uploading_is_kept_until_resume(channel, slot):
    episode = await channel.approved_reel()
    upload = channel.publisher.upload

    async def upload_and_pause(*args):
        await upload(*args)
        await channel.publishing.pause("anna")

    channel.publisher.upload = upload_and_pause
    await channel.publishing.run_slot(slot)
    held = channel.ig.called("publish")
    await channel.publishing.resume()
    await channel.publishing.resume_due()

    assert held == 0
    assert (await channel.post(episode)).state is PostState.PUBLISHED


async def test_the_account_limit_waits_instead_of_failing(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.quota_total = 0
    await channel.publishing.run_slot(slot)
    channel.ig.quota_total = 50

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


@pytest.mark.parametrize("call", ["quota", "create", "upload", "status", "publish"])
async def test_an_invalid_token_keeps_the_work_and_tells_people_once(channel, slot, call):
    episode = await channel.approved_reel()
    channel.ig.fail(call, *[refusal(190, 463, status=401)] * 3)
    await channel.publishing.run_slot(slot)
    channel.clock.advance(minutes=20)
    await channel.publishing.resume_due()
    told = kinds(channel)

    post = await channel.settle(episode, slot)

    assert told == [PostEventKind.LOCKED]
    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_an_unknown_post_is_confirmed_by_its_link(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Lost())
    unknown = await channel.settle(episode, slot)

    post = await channel.publishing.confirm(
        episode, "https://www.instagram.com/reel/Sabc123/", "anna"
    )

    assert unknown.state is PostState.UNKNOWN
    assert kinds(channel)[0] is PostEventKind.UNKNOWN
    assert (post.state, post.permalink) == (
        PostState.PUBLISHED,
        "https://www.instagram.com/reel/Sabc123/",
    )
    assert await channel.state(episode) is EpisodeState.PUBLISHED


async def test_an_unknown_post_is_posted_again_when_a_person_says_so(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Lost())
    await channel.settle(episode, slot)

    post = await channel.publishing.retry(episode, "anna")

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_a_retry_is_refused_while_the_platform_says_it_is_public(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.listing_delay_s = 10**6
    channel.ig.fail("publish", Late(2))
    channel.publisher._graph._wire._client.timeout = 0.3
    unknown = await channel.settle(episode, slot)

    with pytest.raises(UserError, match="public"):
        await channel.publishing.retry(episode, "anna")

    assert unknown.state is PostState.UNKNOWN
    assert len(channel.ig.posts) == 1


async def test_an_unknown_post_that_is_listed_later_is_found(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.listing_delay_s = 7200
    channel.ig.fail("publish", Late(2))
    channel.publisher._graph._wire._client.timeout = 0.3
    await channel.settle(episode, slot)

    channel.clock.advance(hours=3)
    await channel.publishing.resume_due()

    assert (await channel.post(episode)).media_id == channel.ig.posts[0].id


async def test_a_link_to_somewhere_else_confirms_nothing(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Lost())
    await channel.settle(episode, slot)

    with pytest.raises(UserError, match="link"):
        await channel.publishing.confirm(episode, "https://example.com/reel/1", "anna")


async def test_a_container_that_expires_while_paused_is_made_again(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("status", Expired())

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert (post.attempts, len(channel.ig.posts)) == (2, 1)


async def test_processing_is_waited_for(open_channel, slot):
    channel = await open_channel(processing_s=45)
    await channel.approved_reel()

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.POSTED
    assert channel.ig.called("publish") == 1


async def test_about_a_platform_that_never_answers_people_are_asked(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", *[refusal(1)] * 20)

    post = await channel.settle(episode, slot)

    assert post.state is PostState.UNKNOWN
    assert channel.ig.posts == []
    assert channel.ig.called("publish") == 5


async def test_a_reel_that_was_changed_since_its_approval_is_not_posted(channel, slot):
    episode = await channel.approved_reel()
    await channel.episodes.new_revision(episode, who="anna", now=channel.clock())
    await channel.render(episode, 2)
    await channel.episodes.move(episode, EpisodeState.IN_REVIEW, who="studio", now=channel.clock())
    await channel.draft(episode)
    old = await channel.messages.get(9000 + 10 * episode + 1)

    standing = await channel.reviews.sync(old, Votes(approve=frozenset({ANNA, BEN})))

    assert not standing.counted
    assert await channel.publishing.run_slot(slot) is SlotOutcome.EMPTY


async def test_post_now_needs_an_approval(channel):
    episode = await channel.reel()

    with pytest.raises(UserError, match="in review, not approved"):
        await channel.publishing.post_now(episode, "anna")

    assert channel.ig.requests == []


async def test_post_now_reads_the_reactions_again(channel):
    episode = await channel.approved_reel()
    channel.reader.reactions = Votes()

    with pytest.raises(UserError, match="no longer holds"):
        await channel.publishing.post_now(episode, "anna")


async def test_nothing_is_posted_twice_by_hand_and_by_slot(channel, slot):
    episode = await channel.approved_reel()

    await asyncio.gather(
        channel.publishing.run_slot(slot),
        channel.publishing.post_now(episode, "anna"),
        return_exceptions=True,
    )

    assert len(channel.ig.posts) == 1


async def test_a_second_claim_is_refused(channel, slot):
    episode = await channel.approved_reel()
    await channel.publishing.run_slot(slot)
    post = await channel.post(episode)

    with pytest.raises(InvalidTransition, match="published on instagram already"):
        await channel.posts.claim(
            episode,
            "instagram",
            revision=1,
            fingerprint=post.fingerprint,
            sha256=post.sha256,
            caption=post.caption,
            slot=None,
            now=channel.clock(),
        )


async def test_a_dry_run_says_everything_that_is_missing(channel, bad_facts):
    episode = await channel.reel(caption="see www.example.com")
    channel.facts = bad_facts(audio_codec="", duration_s=120.0)
    channel.ig.quota_total = 0
    await channel.publishing.pause("anna")

    found = await channel.publishing.dry_run(episode)

    assert [line.split(" ", 3)[:3] for line in found] == [
        ["The", "caption", "holds"],
        ["The", "reel", "lasts"],
        ["The", "reel", "has"],
        ["It", "has", "0"],
        ["Publishing", "is", "paused;"],
        ["The", "account", "has"],
    ]
    assert channel.ig.called("create") == 0


async def test_a_dry_run_of_an_approved_reel_finds_nothing(channel):
    assert await channel.publishing.dry_run(await channel.approved_reel()) == []


async def test_the_folder_publisher_posts_through_the_same_steps(open_channel, slot):
    channel = await open_channel(platform="folder")
    episode = await channel.approved_reel()

    await channel.publishing.run_slot(slot)

    folder = channel.folder.path / "posts" / str(episode)
    assert sorted(file.name for file in folder.iterdir()) == [
        "caption.txt",
        "cover.jpg",
        "post.json",
        "reel.mp4",
    ]
    assert (await channel.post(episode)).permalink == folder.as_uri()


async def test_a_new_schedule_makes_up_for_no_past_slot(channel, slot):
    await channel.approved_reel()
    channel.clock.advance(minutes=5)
    await channel.publishing.note_schedule("0 18 * * * UTC")

    await channel.publishing.run_due(between([slot]))

    assert channel.ig.posts == []


async def test_a_slot_missed_by_less_than_an_hour_is_done_and_an_older_one_is_not(channel, slot):
    await channel.approved_reel()
    await channel.publishing.note_schedule("cron")
    slots = [Slot("old", slot.at + HOUR), Slot("fresh", slot.at + 3 * HOUR)]
    channel.clock.advance(hours=3, minutes=59)

    await channel.publishing.run_due(between(slots))
    await channel.publishing.run_due(between(slots))

    assert {s.slot: s.outcome for s in await channel.publishing.slots()} == {
        "old": SlotOutcome.MISSED,
        "fresh": SlotOutcome.POSTED,
    }
    assert kinds(channel) == [PostEventKind.MISSED, PostEventKind.PUBLISHED]


def between(slots):
    return lambda start, end: [slot for slot in slots if start < slot.at <= end]


async def test_the_token_is_in_no_file_log_or_event(channel, slot, caplog):
    caplog.set_level(logging.DEBUG)
    await channel.approved_reel()
    leak = refusal(190, 463)
    leaking = leak.__class__(401, leak.body.replace("error 190", f"bad token {TOKEN}"))
    channel.ig.fail("publish", leaking)
    await channel.publishing.run_slot(slot)
    channel.clock.advance(hours=1)
    await channel.publishing.resume_due()
    await channel.stop()

    files = [path.read_bytes() for path in channel.folder.path.rglob("*") if path.is_file()]
    assert len(channel.ig.posts) == 1
    assert not any(TOKEN.encode() in data for data in files)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(channel.events)
    assert not any(TOKEN in request.url for request in channel.ig.requests)


async def after_the_gate(channel, act):
    """Let something happen between the last check and the publish call."""
    check = channel.publishing.check

    async def check_and_act(post):
        await check(post)
        await act()

    channel.publishing.check = check_and_act


async def test_a_pause_in_the_last_moment_holds_the_post_back(channel, slot):
    await channel.approved_reel()
    await after_the_gate(channel, lambda: channel.publishing.pause("anna"))

    await channel.publishing.run_slot(slot)

    assert channel.ig.called("publish") == 0


async def test_a_reject_in_the_last_moment_stops_the_post(channel, slot):
    episode = await channel.approved_reel()
    await after_the_gate(channel, lambda: channel.reviews.reject(episode, BEN))

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.FAILED
    assert channel.ig.called("publish") == 0


async def test_a_reject_while_the_slot_chooses_leaves_the_slot_to_the_next(channel, slot):
    episode = await channel.approved_reel()
    verify = channel.reviews.verify

    async def verify_and_reject(*args):
        held = await verify(*args)
        await channel.reviews.reject(episode, BEN)
        return held

    channel.reviews.verify = verify_and_reject

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.EMPTY
    assert channel.ig.called("create") == 0


async def test_a_caption_changed_after_the_upload_is_not_published(channel, slot):
    episode = await channel.approved_reel()
    upload = channel.publisher.upload

    async def upload_and_change_the_caption(*args):
        await upload(*args)
        script = await channel.episodes.section(episode, 1, "script")
        changed = script.replace("walk in", "walk out")
        await channel.episodes.save_section(episode, 1, "script", changed)

    channel.publisher.upload = upload_and_change_the_caption

    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.FAILED
    assert channel.ig.called("publish") == 0
