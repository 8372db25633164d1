"""Other people's words and other people's servers."""

from datetime import UTC, datetime

import pytest

from cogs._embeds import bar, moment, plain
from storage.records import NewTrend
from storage.trends import Trends

ROUGH = "@everyone <@123> <@123456789012345678> **bold** `code` ||hush|| [x](https://example.org)"


@pytest.fixture
async def rough_trend(studio):
    now = datetime.now(UTC)
    trend = NewTrend(name=ROUGH, score=0.9, timestamp=now, source="google")
    await Trends(studio.db).store([trend], now=now)


async def test_a_trend_pings_nobody_and_breaks_no_markdown(bot, rough_trend, passerby, reply_to):
    reply = await reply_to(passerby, "trends list")
    assert not reply.pings
    assert "@everyone" not in reply.content
    assert "<@" not in reply.content
    assert r"\*\*bold\*\* \`code\` \|\|hush\|\|" in reply.content


async def test_the_client_pings_nobody_by_default(bot, studio, world):
    channel = bot.get_channel(world.general.id)
    await channel.send(f"@everyone {world.approver.mention} {world.owner.mention}")
    assert not world.messages(world.general)[-1].pings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("_so_", r"\_so\_"),
        ("x" * 30, "x" * 19 + "…"),
        ("# big", r"\# big"),
    ],
)
def test_other_peoples_words_are_shown_as_they_are(text, shown):
    assert plain(text, 20) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"), [(-1, "▱▱▱▱"), (0.5, "▰▰▱▱"), (1, "▰▰▰▰"), (7, "▰▰▰▰")]
)
def test_a_bar_is_always_of_one_length(fraction, shown):
    assert bar(fraction, 4) == shown


def test_no_moment_is_never():
    assert moment(None) == "never"


async def test_another_server_gets_nothing(bot, world, studio):
    elsewhere = world.add_guild("Elsewhere")
    channel = world.add_channel("lobby", guild=elsewhere)
    stranger = world.add_member("Stranger", guild=elsewhere)
    world.say(stranger, channel, f"{world.bot.mention} publish pause")
    reply = await world.wait_for_message(
        lambda message: message.channel is channel and message.author.bot
    )
    assert reply.content == "This bot works in one server only, and this is not it."
    assert not await studio.publishing.is_paused()


async def test_a_word_that_is_no_command_gets_an_answer(bot, world, margot, says):
    world.say(margot, world.general, f"{world.bot.mention} dance")
    await says("There is no such command; `/help` lists them.", world.general)
