"""The same commands from the keyboard: `@bot command`, through dpytest."""

import contextlib
from dataclasses import replace
from datetime import timedelta

import discord
import discord.ext.test as dpytest
import pytest
from discord.ext import commands
from discord.ext.test import backend

from bot.app import utc_now
from bot.client import COGS, StudioBot
from bot.scheduler import Schedule
from storage.rejections import Rejections


@pytest.fixture
async def keyboard(studio, tmp_path, monkeypatch):
    """`say(text)` as a passer-by, `say(text, approver=True)` as an approver; what is answered."""
    monkeypatch.chdir(tmp_path)  # dpytest writes the files it is sent
    intents = discord.Intents.default()
    intents.members = True
    bot = StudioBot(studio, Schedule("0 18 * * *", studio.settings.zone()), intents=intents)
    await bot._async_setup_hook()
    for name in COGS:
        await bot.load_extension(name)
    dpytest.configure(bot, members=2)
    guild = dpytest.get_config().guilds[0]
    role = backend.make_role("Approver", guild)
    ids = {"discord_guild_id": guild.id, "discord_approver_role_id": role.id}
    bot.studio = replace(studio, settings=studio.settings.model_copy(update=ids))
    await dpytest.add_role(0, role)

    async def say(text, *, approver=False):
        with contextlib.suppress(commands.CommandError):  # dpytest raises what was answered
            await dpytest.message(f"{bot.user.mention} {text}", member=0 if approver else 1)
        message = dpytest.get_message()
        return "\n".join([message.content, *(embed.description or "" for embed in message.embeds)])

    yield say
    await dpytest.empty_queue()
    with contextlib.suppress(AttributeError):
        await bot.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("status", "posts to folder"),
        ("help", "`/publish dry-run`"),
        ("trends list", "No trends are stored yet"),
        ("render status", "Nothing is being made right now."),
        ("publish queue", "Nothing is approved"),
        ("train status", "Nothing has been trained yet"),
        ("train pictures butcher", "Butcher has 0 pictures."),
        ("train", "Use `/train upload`"),
        ("trends", "Use `/trends fetch`"),
        ("script", "Use `/script write`"),
        ("render", "Use `/render start`"),
        ("publish", "Use `/publish queue`"),
        ("dance", "There is no such command"),
        ("script show 9", "There is no episode 9."),
        ("script show nine", 'failed for parameter "episode"'),
        ("trends list 99", "30"),
    ],
)
async def test_everybody_gets_an_answer(keyboard, text, words):
    assert words in await keyboard(text)


@pytest.mark.parametrize(
    "text",
    [
        *("make Coffee", "script write Coffee", "render start 1"),
        *("publish approve 1", "publish pause", "train start Butcher", "train pause"),
    ],
)
async def test_the_keyboard_needs_the_role_too(keyboard, studio, text):
    assert "This needs the role" in await keyboard(text)
    assert await studio.episodes.newest() == []
    assert not await studio.publishing.is_paused()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("make mass shooting", "Choose another topic"),
        ("make 東京", "not in Latin letters"),
        ("make Flat Earth", "Episode 1 is on its way."),
        ("script write Flat Earth", "Episode 1 is on its way."),
        ("publish pause", "Posting is paused"),
        ("publish resume", "Posting goes on"),
        ("publish approve 9", "There is no episode 9."),
        ("render cancel 9", "There is no job 9."),
        ('script edit 9 1 "No." smug', "smug is not an emotion; choose one of happy, sad"),
        ("script edit 9 1", "text is a required argument"),
        ("train pause", "No training is running"),
        ("train start Butcher tiny 0", "1"),
        ("train upload Butcher", "Attach pictures of Butcher to the message, up to ten."),
        ("train back Brutus", "Brutus"),
    ],
)
async def test_an_approver_gets_what_is_asked_for(keyboard, text, words):
    assert words in await keyboard(text, approver=True)


async def test_a_line_is_edited_from_the_keyboard(keyboard, studio, make):
    await make("Coffee")
    await keyboard('script edit 1 1 "Tea is soup." sad', approver=True)
    line = (await studio.episodes.view(1)).script.lines[0]
    assert (line.text, line.emotion.value) == ("Tea is soup.", "sad")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("boring Too slow.", ("boring", "Too slow.")), ("It was dull.", ("words", "It was dull."))],
)
async def test_a_reject_from_the_keyboard_takes_a_reason_and_words(
    keyboard, studio, make, typed, kept
):
    await make("Coffee")
    await keyboard(f"publish reject 1 {typed}", approver=True)
    (rejection,) = await Rejections(studio.db).recent(utc_now() - timedelta(days=1), 9)
    assert (rejection.reason, rejection.words) == kept
