"""Who may say yes, when it counts, and that it counts once."""

import asyncio

import pytest


async def ready_draft(night, **options):
    await night.launch(**options)
    return await night.draft(1)


async def nothing_is_posted(night):
    assert await night.slot_ends() == "empty"
    assert night.instagram.posts == []
    assert night.instagram.called("create") == 0


async def exactly_one_is_posted(night):
    assert await night.slot_ends() == "posted"
    (post,) = night.instagram.posts
    assert post.sha256 == night.approved_sha256()


async def test_an_approved_reel_is_posted_at_the_slot_and_never_again(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    await exactly_one_is_posted(night)
    assert await night.slot_ends() == "empty"
    assert len(night.instagram.posts) == 1


async def test_somebody_without_the_role_approves_nothing(night):
    draft = await ready_draft(night)
    night.discord.react(night.discord.add_member("Gaston"), draft, "✅")
    await night.settled()
    await nothing_is_posted(night)


async def test_a_bot_with_the_role_approves_nothing(night):
    draft = await ready_draft(night)
    robot = night.discord.add_member("Robot", [night.discord.approver], bot=True)
    night.discord.react(robot, draft, "✅")
    await night.settled()
    await nothing_is_posted(night)


async def test_an_approval_on_another_message_is_none(night):
    await ready_draft(night)
    for channel in (night.discord.general, night.discord.approvals):
        message = night.discord.say(night.approver, channel, "episode 1 · revision 1")
        night.discord.react(night.approver, message, "✅")
    await night.settled()
    await nothing_is_posted(night)


async def test_an_approval_removed_before_the_slot_is_none(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    night.discord.unreact(night.approver, draft, "✅")
    await night.until_state("in_review")
    await nothing_is_posted(night)


async def test_an_approval_removed_while_the_bot_was_down_is_none(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    await night.kill()
    night.discord.unreact(night.approver, draft, "✅")
    await night.launch()
    await night.until_state("in_review")
    await nothing_is_posted(night)


async def test_an_approval_removed_unnoticed_is_read_again_before_the_post(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    # The session ends, so the event never reaches the bot; nor can it log in again.
    night.discord.faults.add("GET", "/gateway", times=1000, status=503)
    night.discord.gateway.invalidate(resumable=False)
    night.discord.unreact(night.approver, draft, "✅")
    await nothing_is_posted(night)


async def test_an_approval_given_while_the_bot_was_down_counts(night):
    draft = await ready_draft(night)
    await night.kill()
    night.discord.react(night.approver, draft, "✅")
    await night.launch()
    await night.until_state("approved")
    await exactly_one_is_posted(night)


async def test_a_slot_missed_by_minutes_is_done_after_the_start(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    await night.schedule_runs()
    await night.stop()
    key = night.slot()
    await night.launch()
    await night.posted()
    sql = "SELECT 1 FROM slots WHERE slot = ? AND outcome = 'posted'"
    await night.until(lambda: night.rows(sql, key))
    assert len(night.instagram.posts) == 1


async def test_two_approvals_at_the_same_moment_make_one_post(night):
    draft = await ready_draft(night)
    second = night.discord.add_member("Colette", [night.discord.approver])
    await night.approve(draft, night.approver, second)
    await exactly_one_is_posted(night)
    assert await night.slot_ends() == "empty"


async def test_two_approvals_are_needed_when_the_channel_wants_two(open_night):
    async with open_night(APPROVALS_NEEDED="2") as night:
        draft = await ready_draft(night)
        second = night.discord.add_member("Colette", [night.discord.approver])
        night.discord.react(night.approver, draft, "✅")
        await night.settled()
        await nothing_is_posted(night)
        await night.approve(draft, second)
        await exactly_one_is_posted(night)


async def test_one_rejection_wins_over_the_approvals(night):
    draft = await ready_draft(night)
    second = night.discord.add_member("Colette", [night.discord.approver])
    await night.approve(draft)
    night.discord.react(second, draft, "❌")
    await night.until_state("rejected")
    await nothing_is_posted(night)
    night.discord.unreact(second, draft, "❌")
    await night.until_state("approved")
    await exactly_one_is_posted(night)


async def test_a_super_reaction_counts_like_any_other(night):
    draft = await ready_draft(night)
    night.discord.react(night.approver, draft, "✅", burst=True)
    await night.until_state("approved")
    await exactly_one_is_posted(night)


@pytest.mark.parametrize("leaves", ["the role", "the server"])
async def test_who_loses_the_role_before_the_slot_has_approved_nothing(night, leaves):
    draft = await ready_draft(night)
    await night.approve(draft)
    if leaves == "the role":
        night.discord.set_roles(night.approver, [])
    else:
        night.discord.remove_member(night.approver)
    await nothing_is_posted(night)


async def test_an_approval_by_command_ends_with_the_role_too(night):
    await ready_draft(night)
    await night.ask(night.approver, "publish approve", {"episode": 1})
    await night.until_state("approved")
    night.discord.set_roles(night.approver, [])
    await nothing_is_posted(night)


async def test_an_edit_voids_the_approval_and_the_old_draft(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    line = {"episode": 1, "line": 2, "text": "I need it now!"}
    await night.ask(night.approver, "script edit", line)
    night.discord.react(night.discord.add_member("Colette", [night.discord.approver]), draft, "✅")
    await night.settled()
    await nothing_is_posted(night)
    new = await night.draft(1, 2)
    await nothing_is_posted(night)
    await night.approve(new)
    await exactly_one_is_posted(night)


async def test_an_approval_of_a_reel_that_is_made_again_is_none(night):
    draft = await ready_draft(night)
    night.discord.react(night.approver, draft, "🔁")
    await night.until(lambda: night.rows("SELECT 1 FROM episodes WHERE revision = 2"))
    night.discord.react(night.approver, draft, "✅")
    await night.settled()
    await nothing_is_posted(night)


async def test_asking_twice_for_another_one_makes_one(night):
    draft = await ready_draft(night)
    second = night.discord.add_member("Colette", [night.discord.approver])
    night.discord.react(night.approver, draft, "🔁")
    night.discord.react(second, draft, "🔁")
    await night.settled()
    await night.until(lambda: night.rows("SELECT 1 FROM episodes WHERE revision = 2"))
    await night.settled()
    assert night.rows("SELECT id, revision FROM episodes") == [(1, 2)]


async def test_a_deleted_draft_comes_again_and_its_approval_is_void(night):
    draft = await ready_draft(night)
    await night.approve(draft)
    night.discord.delete_message(draft)
    await night.until_state("in_review")
    again = await night.draft(1)
    assert again is not draft
    await nothing_is_posted(night)
    await night.approve(again)
    await exactly_one_is_posted(night)


async def test_a_second_server_sees_nothing_and_counts_for_nothing(night):
    draft = await ready_draft(night)
    other = night.discord.add_guild("The Cattery")
    channel = night.discord.add_channel("approvals", guild=other)
    role = night.discord.add_role("Approver", guild=other)
    stranger = night.discord.add_member("Felix", [role], guild=other)
    said = night.discord.say(stranger, channel, f"{night.discord.bot.mention} publish approve 1")
    night.discord.react(stranger, said, "✅")
    both = night.discord.add_member("", [role], guild=other, user=night.approver.user)
    night.discord.set_roles(night.approver, [])
    night.discord.react(night.approver, draft, "✅")
    assert both.id == night.approver.id
    await night.discord.wait_for_message(lambda m: "one server only" in m.content)
    await nothing_is_posted(night)
    answers = [m.content for m in night.discord.messages(channel) if m.author.bot]
    assert answers == ["This bot works in one server only, and this is not it."]


async def test_only_approvers_may_decide_by_command(night):
    await ready_draft(night)
    guest = night.discord.add_member("Gaston")
    for command in ("publish approve", "publish now"):
        await night.told(guest, command, "This needs the role", {"episode": 1})
    words = "Episode 1 is in review, not approved."
    await night.told(night.approver, "publish now", words, {"episode": 1})
    await nothing_is_posted(night)


async def test_posting_now_twice_at_the_same_time_makes_one_post(night):
    await night.approve(await ready_draft(night))
    second = night.discord.add_member("Colette", [night.discord.approver])
    words = await asyncio.gather(
        *(night.ask(who, "publish now", {"episode": 1}) for who in (night.approver, second))
    )
    await night.until_state("published")
    assert await night.slot_ends() == "empty"
    assert len(night.instagram.posts) == 1
    assert night.instagram.called("create") == night.instagram.called("publish") == 1
    assert len(words) == 2
