"""What an answer of Discord says about votes, and what it does not."""

import pytest

from pipeline.errors import ProviderError

UNKNOWN = {"message": 10008, "channel": 10003, "guild": 10004, "member": 10007, "user": 10013}


def not_found(what):
    return {"message": f"Unknown {what}", "code": UNKNOWN[what]}


@pytest.fixture
async def draft(bot, make_draft, studio):
    await make_draft()
    await bot.drafts.post_missing()  # waits for what is still done about the draft
    (draft,) = await studio.drafts.open()
    return draft


async def test_only_an_unknown_message_is_a_draft_that_is_gone(bot, world, draft):
    world.faults.add("GET", "/channels/*/messages/*", status=404, json=not_found("message"))
    assert await bot.votes.votes(draft) is None


@pytest.mark.parametrize("what", ["channel", "guild"])
async def test_any_other_404_says_nothing_about_votes(bot, world, draft, what):
    world.faults.add("GET", "/channels/*/messages/*", status=404, json=not_found(what))
    with pytest.raises(ProviderError, match="cannot be read"):
        await bot.votes.votes(draft)


@pytest.mark.parametrize("what", ["member", "user"])
async def test_somebody_who_left_is_no_approver(bot, world, margot, what):
    world.faults.add("GET", "/guilds/*/members/*", status=404, json=not_found(what))
    assert not await bot.votes.is_approver(margot.id)


async def test_an_unknown_guild_does_not_take_the_role_away(bot, world, margot):
    world.faults.add("GET", "/guilds/*/members/*", status=404, json=not_found("guild"))
    with pytest.raises(ProviderError, match="cannot be read"):
        await bot.votes.is_approver(margot.id)


async def test_a_dropped_connection_is_no_vote(bot, world, margot):
    world.faults.add("GET", "/guilds/*/members/*", drop="before", times=9)
    with pytest.raises(ProviderError, match="cannot be read"):
        await bot.votes.is_approver(margot.id)
