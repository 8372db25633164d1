"""`kill -9` between any two steps of posting a draft or a reel: it comes out, and only once."""

import pytest

from bot.sandbox.instagram import FAILED_AFTER, Drop, Expired, Lost, Truncated


async def survives(night, **death):
    """The bot dies while posting; the next one brings the approved reel out, once."""
    await night.launch(arm="before post", **death)
    await night.approve(await night.draft(1))
    await night.schedule_runs()
    night.slot()
    await night.died()
    await night.launch()
    await is_public_once(night)


async def is_public_once(night):
    await night.until_state("published", timeout_s=90)
    (post,) = night.instagram.posts
    assert post.sha256 == night.approved_sha256()
    assert night.rows("SELECT state, media_id FROM posts") == [("published", post.id)]
    assert night.instagram.refused_repeats == 0
    assert await night.slot_ends() == "empty"
    assert len(night.instagram.posts) == 1


async def one_draft_becomes_one_post(night):
    draft = await night.draft(1)
    assert night.drafts() == [draft]
    await night.approve(draft)
    assert await night.slot_ends() == "posted"
    await is_public_once(night)


@pytest.mark.parametrize("step", ["after upload", "before publish", "after publish"])
async def test_a_kill_while_posting_costs_no_post_and_makes_no_second(night, step):
    await survives(night, die=step)


@pytest.mark.slow
async def test_a_kill_before_any_step_of_posting_ends_with_one_post(open_night):
    count = 0
    while True:
        count += 1
        async with open_night(f"night-{count}") as night:
            await night.launch(arm="before post", die="*", count=count)
            await night.approve(await night.draft(1))
            await night.schedule_runs()
            night.slot()
            if not await night.dies_before("after post"):
                break
            await night.nobody_is_left()
            await night.launch()
            await is_public_once(night)
    assert count > 20


@pytest.mark.slow
async def test_a_kill_before_any_step_of_sending_a_draft_ends_with_one_draft(open_night):
    count = 0
    while True:
        count += 1
        async with open_night(f"night-{count}") as night:
            await night.launch_to_die("*", arm="before draft", count=count)
            if not await night.dies_before("after draft"):
                break
            await night.nobody_is_left()
            await night.launch()
            await one_draft_becomes_one_post(night)
    assert count > 10


async def test_a_draft_that_was_sent_but_not_noted_is_found_again(night):
    sent = "after http POST /channels/{channel_id}/messages"
    await night.launch_to_die(sent, arm="before draft")
    await night.died()
    await night.launch()
    await one_draft_becomes_one_post(night)


@pytest.mark.parametrize(
    "fault",
    [
        Drop(after=True),
        FAILED_AFTER,
        pytest.param(Drop(), marks=pytest.mark.slow),
        pytest.param(Expired(), marks=pytest.mark.slow),
    ],
)
async def test_a_publish_call_without_a_clear_answer_makes_one_post(night, fault):
    await night.launch()
    await night.approve(await night.draft(1))
    night.instagram.fail("publish", fault)
    await night.schedule_runs()
    night.slot()
    await is_public_once(night)


async def test_an_upload_that_breaks_off_starts_over(night):
    await night.launch()
    await night.approve(await night.draft(1))
    night.instagram.fail("upload", Truncated(100_000), Truncated(300_000))
    assert await night.slot_ends() == "posted"
    await is_public_once(night)


async def test_people_are_asked_when_nobody_can_tell_and_their_word_makes_one_post(night):
    await night.launch()
    await night.approve(await night.draft(1))
    night.instagram.fail("publish", Lost())
    await night.schedule_runs()
    night.slot()
    await night.discord.wait_for_message(lambda m: "/publish retry" in m.content, 90)
    assert night.instagram.posts == []
    await night.told(night.approver, "publish retry", "is public", {"episode": 1})
    await is_public_once(night)
