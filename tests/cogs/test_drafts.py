"""Drafts in the approval channel: one for each finished revision, whatever happens."""

import asyncio
from dataclasses import replace

import pytest

from cogs._embeds import draft_embeds
from pipeline.errors import UserError
from storage.states import EpisodeState

TOO_LARGE = {"message": "Request entity too large", "code": 40005}


def drafts(world):
    return [message for message in world.messages(world.approvals) if message.embeds]


async def test_a_draft_shows_all_that_goes_out(make_draft, studio):
    view, draft = await make_draft()
    title, post = draft.embeds
    assert title["title"] == "Episode 1: Coffee"
    assert f"revision 1 · {view.revision.fingerprint[:12]}" in title["footer"]["text"]
    assert view.script.hashtags[0] in post["description"]
    assert [file.filename for file in draft.attachments] == ["episode-1.mp4", "storyboard.png"]
    assert list(draft.reactions) == ["✅", "❌", "🔁"]


async def test_a_draft_says_that_audio_of_the_free_plan_cannot_go_out(make_draft):
    view, draft = await make_draft()
    assert "Cannot go out" not in {field["name"] for field in draft.embeds[0]["fields"]}
    lines = tuple(line.model_copy(update={"plan": "free"}) for line in view.voices.lines)
    free = replace(view, voices=view.voices.model_copy(update={"lines": lines}))
    fields = {field.name: field.value for field in draft_embeds(free, "text", "")[0].fields}
    assert "free plan" in fields["Cannot go out"]


async def test_a_draft_says_why_nothing_was_drawn_for_it(make_draft):
    view, draft = await make_draft()
    assert "Pictures" not in {field["name"] for field in draft.embeds[0]["fields"]}
    notes = ("Rex *has* no model.", "Mia has none either.")
    told = replace(view, images=view.images.model_copy(update={"notes": notes}))
    fields = {field.name: field.value for field in draft_embeds(told, "text", "")[0].fields}
    assert fields["Pictures"] == r"Rex \*has\* no model. Mia has none either."


async def test_a_draft_is_posted_once(bot, world, make_draft):
    await make_draft()
    await asyncio.gather(*(bot.drafts.post_missing() for _ in range(3)), bot.drafts.repair())
    assert len(drafts(world)) == 1


async def test_a_draft_that_was_sent_but_not_noted_is_found_again(
    bot, studio, world, make, draft_of, monkeypatch
):
    async def crash(*args, **kwargs):
        raise UserError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(studio.drafts, "posted", crash)
        await make()
        await world.wait_for_message(lambda message: bool(message.embeds))
        await bot.drafts.post_missing()
    assert await studio.drafts.open() == []
    world.advance(600)  # the nonce is forgotten by now
    await bot.drafts.repair()
    (draft,) = drafts(world)
    assert (await draft_of(1)) is draft
    assert [open_draft.message_id for open_draft in await studio.drafts.open()] == [draft.id]


async def test_reactions_that_are_missing_are_added(bot, world, make, says):
    world.faults.add("PUT", "/channels/*/messages/*/reactions/*", status=403, times=1)
    await make()
    draft = await says("wants your verdict")
    await bot.drafts.post_missing()  # waits for the one under way
    assert len(draft.reactions) < 3
    await bot.drafts.repair()
    assert list(draft.reactions) == ["✅", "❌", "🔁"]
    assert len(drafts(world)) == 1


async def test_a_preview_that_is_too_large_is_made_smaller(bot, world, make, draft_of):
    path = f"/channels/{world.approvals.id}/messages"
    world.faults.add("POST", path, status=413, json=TOO_LARGE)
    await make()
    draft = await draft_of(1)
    assert len(draft.attachments[0].data) == 600_000


async def test_a_preview_is_not_made_smaller_for_ever(bot, world, make, caplog, eventually):
    path = f"/channels/{world.approvals.id}/messages"
    world.faults.add("POST", path, status=413, json=TOO_LARGE, times=99)
    await make()
    await eventually(lambda: "even a tiny preview" in caplog.text)
    assert drafts(world) == []
    world.faults.clear()
    await bot.drafts.repair()
    assert len(drafts(world)) == 1


async def test_another_refusal_is_tried_again_later(bot, world, make, caplog, eventually):
    path = f"/channels/{world.approvals.id}/messages"
    world.faults.add("POST", path, status=403, json={"message": "No permission", "code": 50013})
    await make()
    await eventually(lambda: "draft not posted" in caplog.text)
    assert drafts(world) == []
    await bot.drafts.repair()
    assert len(drafts(world)) == 1


async def test_what_was_finished_while_the_bot_was_away_is_posted(start_bot, world, make, draft_of):
    await make()
    assert drafts(world) == []
    async with start_bot():
        await draft_of(1)


async def test_a_deleted_draft_is_posted_again(world, make_draft, draft_of, studio):
    _, draft = await make_draft()
    world.delete_message(draft)
    again = await draft_of(1)
    assert again is not draft
    assert [open_draft.message_id for open_draft in await studio.drafts.open()] == [again.id]


async def test_a_draft_that_was_found_gone_before_its_deletion_was_heard_is_posted_again(
    world, make_draft, draft_of, studio
):
    _, draft = await make_draft()
    await studio.reviews.sync(await studio.drafts.find(draft.id), None)
    world.delete_message(draft)
    assert await draft_of(1) is not draft


async def test_a_draft_deleted_while_the_bot_was_away_is_posted_again(
    start_bot, world, make, draft_of, margot, says
):
    await make()
    async with start_bot():
        first = await draft_of(1)
        world.react(margot, first, "✅")
        await says("is approved")
    world.delete_message(first)
    async with start_bot():
        second = await draft_of(1)
    assert "wants your verdict" in second.content


# What people do with a draft


@pytest.mark.parametrize(
    ("sign", "words", "state"),
    [
        ("✅", "is approved", EpisodeState.APPROVED),
        ("❌", "is rejected", EpisodeState.REJECTED),
    ],
)
async def test_a_reaction_of_an_approver_decides(
    world, studio, make_draft, margot, sign, words, state
):
    _, draft = await make_draft()
    world.react(margot, draft, sign)
    await world.wait_until(lambda: words in draft.content, 10, "the verdict")
    assert (await studio.episodes.view(1)).episode.state is state


@pytest.mark.parametrize("way", ["removed", "cleared", "emoji cleared"])
async def test_a_vote_that_is_taken_back_no_longer_counts(world, studio, make_draft, margot, way):
    _, draft = await make_draft()
    world.react(margot, draft, "✅")
    await world.wait_until(lambda: "is approved" in draft.content, 10, "the verdict")
    take_back = {
        "removed": lambda: world.unreact(margot, draft, "✅"),
        "cleared": lambda: world.clear_reactions(draft),
        "emoji cleared": lambda: world.clear_reactions(draft, "✅"),
    }
    take_back[way]()
    await world.wait_until(lambda: "wants your verdict" in draft.content, 10, "the change")
    assert (await studio.episodes.view(1)).episode.state is EpisodeState.IN_REVIEW


async def test_a_reaction_of_somebody_else_decides_nothing(
    bot, world, studio, make_draft, passerby
):
    _, draft = await make_draft()
    for sign in ("✅", "❌", "🔁"):
        world.react(passerby, draft, sign)
    await bot.drafts.repair()
    view = await studio.episodes.view(1)
    assert (view.episode.state, view.episode.revision) == (EpisodeState.IN_REVIEW, 1)


async def test_made_again_gets_a_draft_of_its_own(world, studio, make_draft, margot, draft_of):
    _, draft = await make_draft()
    world.react(margot, draft, "🔁")
    again = await draft_of(1, 2)
    assert again is not draft
    assert [open_draft.message_id for open_draft in await studio.drafts.open()] == [again.id]


async def test_a_published_reel_is_not_made_again(
    bot, world, studio, make_draft, margot, says, caplog
):
    _, draft = await make_draft()
    world.react(margot, draft, "✅")
    await world.wait_until(lambda: "is approved" in draft.content, 10, "the verdict")
    await studio.publishing.post_now(1, "a test")
    world.react(margot, draft, "🔁")
    await says("Episode 1 is published and cannot become draft.", world.approvals)
    await bot.drafts.repair()
    view = await studio.episodes.view(1)
    assert (view.episode.state, view.episode.revision) == (EpisodeState.PUBLISHED, 1)
    assert "Traceback" not in caplog.text
    assert await studio.drafts.open() == []


async def test_the_draft_of_a_published_reel_says_so(world, studio, make_draft, margot):
    _, draft = await make_draft()
    world.react(margot, draft, "✅")
    await world.wait_until(lambda: "is approved" in draft.content, 10, "the verdict")
    await studio.publishing.post_now(1, "a test")
    await world.wait_until(
        lambda: draft.content == "**Episode 1 is published.**", 10, "the headline"
    )


async def test_a_headline_that_could_not_be_changed_is_changed_later(
    bot, world, studio, make_draft, margot, says
):
    _, draft = await make_draft()
    world.react(margot, draft, "✅")
    await world.wait_until(lambda: "is approved" in draft.content, 10, "the verdict")
    world.faults.add("PATCH", f"/channels/*/messages/{draft.id}", status=403, times=99)
    await studio.publishing.post_now(1, "a test")
    await says("Episode 1 is public", world.approvals)
    world.faults.clear()
    await bot.drafts.repair()
    assert draft.content == "**Episode 1 is published.**"
    assert await studio.drafts.open() == []


async def test_a_vote_given_while_votes_are_read_is_not_undone(
    bot, world, studio, make_draft, margot, monkeypatch
):
    _, draft = await make_draft()
    await bot.drafts.post_missing()  # waits for what is still done about the draft
    read, reads = bot.votes._read, []

    async def read_then_vote(*place):
        reads.append(await read(*place))
        if len(reads) == 1:
            world.react(margot, draft, "✅")
            await world.wait_until(lambda: "is approved" in draft.content, 10, "the verdict")
        return reads[-1]

    monkeypatch.setattr(bot.votes, "_read", read_then_vote)
    await bot.drafts.repair()
    assert len(reads) == 2
    assert (await studio.episodes.view(1)).episode.state is EpisodeState.APPROVED
