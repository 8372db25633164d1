import discord
import pytest

from bot.sandbox.discord import NotPossible, Permission


@pytest.fixture
async def draft(sandbox, bot):
    sent = await bot.get_channel(sandbox.approvals.id).send("draft")
    return await sandbox.wait_for_message(lambda each: each.id == sent.id)


@pytest.fixture
def seen(bot, sandbox, draft):
    return bot.get_channel(sandbox.approvals.id).get_partial_message(draft.id)


def reason(refused):
    return refused.value.status, refused.value.code


async def test_a_reaction_comes_with_the_member_and_the_roles(sandbox, bot, draft):
    ann = sandbox.add_member("Ann", [sandbox.approver])
    sandbox.react(ann, draft, "✅")
    event = await bot.wait_for("raw_reaction_add", timeout=30)
    assert (str(event.emoji), event.message_id, event.burst) == ("✅", draft.id, False)
    assert event.member.get_role(sandbox.approver.id) is not None


async def test_a_removed_reaction_comes_without_the_member(sandbox, bot, draft):
    ann = sandbox.add_member("Ann")
    sandbox.react(ann, draft, "✅")
    sandbox.unreact(ann, draft, "✅")
    event = await bot.wait_for("raw_reaction_remove", timeout=30)
    assert (event.user_id, event.member) == (ann.id, None)


async def test_normal_and_burst_reactions_are_listed_apart(sandbox, draft, seen):
    ann, bea = sandbox.add_member("Ann"), sandbox.add_member("Bea")
    sandbox.react(ann, draft, "✅")
    sandbox.react(bea, draft, "✅", burst=True)
    reaction = (await seen.fetch()).reactions[0]
    normal = [user.id async for user in reaction.users(type=discord.ReactionType.normal)]
    burst = [user.id async for user in reaction.users(type=discord.ReactionType.burst)]
    assert (reaction.count, normal, burst) == (2, [ann.id], [bea.id])


async def test_users_of_a_reaction_are_listed_over_several_pages(sandbox, draft, seen):
    people = [sandbox.add_member(f"p{number}") for number in range(103)]
    for person in reversed(people):
        sandbox.react(person, draft, "✅")
    listed = [user.id async for user in (await seen.fetch()).reactions[0].users()]
    assert sorted(listed) == [person.id for person in people]


async def test_the_bot_adds_and_removes_its_own(sandbox, draft, seen):
    await seen.add_reaction("✅")
    await seen.add_reaction("❌")
    await seen.remove_reaction("❌", discord.Object(sandbox.bot.id))
    assert [each.emoji for each in draft.reactions.values()] == ["✅"]


async def test_the_variation_selector_makes_no_second_reaction(sandbox, draft, seen):
    await seen.add_reaction("⏸️")
    sandbox.react(sandbox.owner, draft, "⏸")
    assert (await seen.fetch()).reactions[0].count == 2


@pytest.mark.parametrize(
    ("emoji", "code"), [("nonsense", 10014), ("custom:123456789012345678", 10014)]
)
async def test_what_is_no_emoji_is_unknown(seen, emoji, code):
    with pytest.raises(discord.HTTPException) as refused:
        await seen.add_reaction(emoji)
    assert reason(refused) == (400, code)


async def test_a_message_takes_20_different_emoji(sandbox, draft, seen):
    for number in range(20):
        sandbox.react(sandbox.owner, draft, chr(0x1F600 + number))
    with pytest.raises(discord.HTTPException) as refused:
        await seen.add_reaction("✅")
    assert reason(refused) == (400, 30010)


@pytest.mark.parametrize("denied", [Permission.ADD_REACTIONS, Permission.READ_MESSAGE_HISTORY])
async def test_adding_needs_its_permissions(sandbox, seen, denied):
    sandbox.set_permissions(sandbox.approvals, sandbox.guild.everyone, deny=denied)
    with pytest.raises(discord.Forbidden) as refused:
        await seen.add_reaction("✅")
    assert reason(refused) == (403, 50013)


async def test_joining_a_reaction_needs_no_add_reactions(sandbox, draft, seen):
    sandbox.react(sandbox.owner, draft, "✅")
    everyone = sandbox.guild.everyone
    sandbox.set_permissions(sandbox.approvals, everyone, deny=Permission.ADD_REACTIONS)
    await seen.add_reaction("✅")
    assert len(sandbox.reaction(draft, "✅").normal) == 2


async def test_removing_others_reactions_needs_manage_messages(sandbox, draft, seen):
    sandbox.react(sandbox.owner, draft, "✅")
    for attempt in (
        seen.remove_reaction("✅", discord.Object(sandbox.owner.id)),
        seen.clear_reaction("✅"),
        seen.clear_reactions(),
    ):
        with pytest.raises(discord.Forbidden) as refused:
            await attempt
        assert reason(refused) == (403, 50013)


async def test_with_manage_messages_reactions_can_be_cleared(sandbox, draft, seen):
    moderator = sandbox.add_role("Moderator", Permission.MANAGE_MESSAGES)
    sandbox.set_roles(sandbox.guild.members[sandbox.bot.id], [moderator])
    for emoji in ("✅", "❌", "🔁"):
        sandbox.react(sandbox.owner, draft, emoji)
    await seen.remove_reaction("✅", discord.Object(sandbox.owner.id))
    await seen.clear_reaction("❌")
    left = list(draft.reactions)
    await seen.clear_reactions()
    assert (left, draft.reactions) == (["🔁"], {})


@pytest.mark.parametrize(
    ("emoji", "event"), [(None, "raw_reaction_clear"), ("✅", "raw_reaction_clear_emoji")]
)
async def test_a_clear_by_a_moderator_is_told(sandbox, bot, draft, emoji, event):
    sandbox.react(sandbox.owner, draft, "✅")
    sandbox.clear_reactions(draft, emoji)
    assert (await bot.wait_for(event, timeout=30)).message_id == draft.id


async def test_people_react_only_where_they_are(sandbox, draft):
    stranger = sandbox.add_member("Stranger", guild=sandbox.add_guild("Elsewhere"))
    with pytest.raises(NotPossible):
        sandbox.react(stranger, draft, "✅")


async def test_a_reaction_that_is_not_there_cannot_be_taken_back(sandbox, draft):
    with pytest.raises(NotPossible):
        sandbox.unreact(sandbox.owner, draft, "✅")


async def test_events_of_a_channel_out_of_sight_are_not_told(sandbox, bot, draft):
    sandbox.add_channel("elsewhere")
    view = Permission.VIEW_CHANNEL
    hidden = sandbox.guild.members[sandbox.bot.id]
    sandbox.set_permissions(sandbox.approvals, hidden, deny=view)
    sandbox.react(sandbox.owner, draft, "✅")
    visible = sandbox.say(sandbox.owner, sandbox.general, "x")
    sandbox.react(sandbox.owner, visible, "❌")
    assert str((await bot.wait_for("raw_reaction_add", timeout=30)).emoji) == "❌"
