"""The part about Discord, against the sandbox."""

from urllib.parse import parse_qs, urlsplit

import pytest
from discord import Permissions

from bot.sandbox.discord import Permission

NEEDED = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.ADD_REACTIONS
    | Permission.READ_MESSAGE_HISTORY
)


@pytest.fixture(autouse=True)
def _api(env_file, world):
    env_file.write_text(f"DISCORD_API_URL={world.api_url}\n")


def test_token_server_channel_and_role_are_chosen_and_checked(sit, world, written):
    ending = sit(discord=[world.token, "The Kennel", "approvals", "Approver"])
    values = written()
    assert values["DISCORD_TOKEN"] == world.token
    assert values["DISCORD_GUILD_ID"] == str(world.guild.id)
    assert values["DISCORD_APPROVAL_CHANNEL_ID"] == str(world.approvals.id)
    assert values["DISCORD_APPROVER_ROLE_ID"] == str(world.approver.id)
    assert ending.err == ""
    assert ending.out.endswith("Everything needed is there.\nNext: `emf run`.\n")
    assert {request.method for request in world.requests} == {"GET"}


def test_the_invitation_asks_for_exactly_what_is_needed(sit, world):
    ending = sit(discord=[world.token, "1", "2", "1"])
    link = next(word for word in ending.out.split() if word.startswith("https://discord.com/oauth"))
    query = parse_qs(urlsplit(link).query)
    assert query["scope"] == ["bot applications.commands"]
    assert query["client_id"] == [str(world.bot.id)]
    assert Permissions(int(query["permissions"][0])).value == int(NEEDED)


def test_a_wrong_token_is_asked_again_and_then_left(sit, world, written):
    ending = sit(discord=["wrong", "still.wrong", world.token, "1", "2", "1"])
    assert ending.out.count("Discord refuses DISCORD_TOKEN; copy it again") == 2
    assert written()["DISCORD_TOKEN"] == world.token
    sit(discord=["-"])
    ending = sit(discord=["a", "b", "c"])
    assert "This stays as it was" in ending.out
    assert "DISCORD_TOKEN" not in written()


def test_a_token_that_is_set_is_kept_by_enter_and_checked(sit, world, written):
    sit(discord=[world.token, "1", "2", "1"])
    before = written()
    ending = sit(discord=["", "", "", ""])
    assert "Token of the bot (set):" in ending.out
    assert "This is the token of" in ending.out
    assert {name: written()[name] for name in before} == before


def test_a_channel_where_the_bot_lacks_something_is_refused_until_it_does_not(sit, world, written):
    world.set_permissions(world.approvals, world.guild.everyone, deny=Permission.ATTACH_FILES)
    ending = sit(discord=[world.token, "1", "2", "1", "Approver"])
    assert "#approvals (the bot lacks: Attach Files)" in ending.out
    assert "In #approvals the bot lacks: Attach Files; allow it" in ending.out
    assert written()["DISCORD_APPROVAL_CHANNEL_ID"] == str(world.general.id)


def test_everyone_and_roles_of_bots_are_not_offered(sit, world):
    ending = sit(discord=[world.token, "1", "2", "@everyone", "1"])
    assert "1  @everyone" not in ending.out
    assert f"  {world.bot.name}\n" not in ending.out
    assert "Answer with a number from 1 to 1" in ending.out


def test_without_a_server_it_says_to_invite(sit, world, written):
    world.remove_member(world.guild.members[world.bot.id])
    ending = sit(discord=[world.token, "", "", ""])
    assert "It is in no server yet. Invite it, then press Enter:" in ending.out
    assert "open the link and choose yours" in ending.out
    assert written()["DISCORD_TOKEN"] == world.token
    assert "DISCORD_GUILD_ID" not in written()


def test_without_a_role_it_says_to_make_one(sit, world, written):
    del world.guild.roles[world.approver.id]
    ending = sit(discord=[world.token, "1", "2", "", "", ""])
    assert "make one for those who approve" in ending.out
    assert "DISCORD_APPROVER_ROLE_ID" not in written()


def test_a_discord_that_is_out_of_order_is_no_reason_to_lose_the_token(
    sit, env_file, world, written
):
    env_file.write_text("DISCORD_API_URL=http://127.0.0.1:9/api/v10\n")
    sit(discord=[world.token, "y", "", "", ""])
    assert written()["DISCORD_TOKEN"] == world.token
