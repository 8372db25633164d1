"""The channel as a page: what it shows, what its buttons do, what it keeps out."""

import asyncio
import hashlib

import aiohttp
import pytest

from bot.sandbox.discord import DiscordSandbox
from bot.sandbox.instagram import Container, InstagramSandbox, Post
from bot.sandbox.page import PAGE, channel_page

REEL = bytes(range(256)) * 4
NASTY = "</script><img src=x onerror=alert(1)> **bold**"


@pytest.fixture
async def discord():
    async with DiscordSandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def instagram():
    async with InstagramSandbox("token") as sandbox:
        yield sandbox


@pytest.fixture
def margot(discord):
    return discord.add_member("Margot", [discord.approver])


@pytest.fixture
async def page(discord, instagram):
    async with channel_page(discord, instagram) as url, aiohttp.ClientSession(url) as session:
        yield session


async def state_of(page):
    async with page.get("/state") as answer:
        return await answer.json()


def publish(instagram):
    now = instagram._now()
    instagram.containers["7"] = Container("7", NASTY, True, None, now, bytearray(REEL))
    sha256 = hashlib.sha256(REEL).hexdigest()
    instagram.posts.append(Post("8", "https://x/", sha256, NASTY, True, None, now, "7"))


async def test_the_page_asks_nobody_else(page):
    async with page.get("/") as answer:
        text = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in text
    assert "https://" not in text


def test_what_is_said_never_becomes_markup():
    text = PAGE.read_text()
    assert not [way for way in ("innerHTML", "outerHTML", "insertAdjacent", "eval(") if way in text]


async def test_messages_are_shown_as_they_are(page, discord, margot):
    discord.say(margot, discord.general, NASTY)
    general = (await state_of(page))["channels"][1]
    assert general["name"] == "general"
    (message,) = general["messages"]
    assert (message["author"], message["content"]) == ("Margot", NASTY)


async def test_attachments_are_served_from_memory(page, discord, margot):
    discord.say(margot, discord.approvals, files={"reel.mp4": REEL})
    (message,) = (await state_of(page))["channels"][0]["messages"]
    (file,) = message["files"]
    assert file["kind"] == "video"
    async with page.get(file["url"]) as answer:
        assert answer.content_type == "video/mp4"
        assert await answer.read() == REEL


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-", 0, 1024), ("bytes=100-199", 100, 200), ("bytes=-24", 1000, 1024)],
)
async def test_a_video_can_be_read_in_parts(page, instagram, wanted, start, stop):
    publish(instagram)
    async with page.get("/posts/8", headers={"Range": wanted}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
        assert await answer.read() == REEL[start:stop]


async def test_a_part_beyond_the_end_is_refused(page, instagram):
    publish(instagram)
    async with page.get("/posts/8", headers={"Range": "bytes=5000-"}) as answer:
        assert answer.status == 416


async def test_posts_are_shown_with_their_bytes_and_caption(page, instagram):
    publish(instagram)
    (post,) = (await state_of(page))["posts"]
    assert (post["caption"], post["ai"]) == (NASTY, True)
    async with page.get(post["url"]) as answer:
        assert hashlib.sha256(await answer.read()).hexdigest() == post["sha256"]


@pytest.mark.parametrize("path", ["/files/1/0", "/files/x/0", "/posts/1", "/etc/passwd"])
async def test_what_is_not_there_is_not_found(page, path):
    async with page.get(path) as answer:
        assert answer.status == 404


async def test_a_click_sets_a_reaction_and_the_next_takes_it_back(page, discord, margot):
    message = discord.say(margot, discord.approvals, "a draft")
    wish = {"message": str(message.id), "sign": "✅"}
    await page.post("/react", json=wish)
    (shown,) = (await state_of(page))["channels"][0]["messages"]
    assert shown["reactions"] == [{"emoji": "✅", "count": 1, "mine": True}]
    await page.post("/react", json=wish)
    assert message.reactions == {}


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"message": "1", "sign": "✅"}, 404),
        ({}, 404),
        ([], 400),
    ],
)
async def test_a_wrong_click_is_refused(page, discord, margot, wish, status):
    message = discord.say(margot, discord.approvals, "a draft")
    async with page.post("/react", json=wish) as answer:
        assert answer.status == status
    assert message.reactions == {}


async def test_another_sign_is_refused(page, discord, margot):
    message = discord.say(margot, discord.approvals, "a draft")
    async with page.post("/react", json={"message": str(message.id), "sign": "💥"}) as answer:
        assert answer.status == 400
    assert message.reactions == {}


async def test_without_an_approver_nobody_votes(page, discord):
    message = discord.say(discord.owner, discord.approvals, "a draft")
    async with page.post("/react", json={"message": str(message.id), "sign": "✅"}) as answer:
        assert answer.status == 409
    assert (await state_of(page))["approver"] is None


async def test_a_command_that_is_not_there_is_a_sentence(page, discord, margot):
    async with page.post("/make", json={"topic": "Coffee"}) as answer:
        assert answer.status == 409
        assert "There is no command /make" in await answer.text()


@pytest.mark.parametrize("path", ["/react", "/make"])
async def test_a_form_of_another_page_is_refused(page, path):
    async with page.post(path, data={"message": "1", "sign": "✅"}) as answer:
        assert answer.status == 415


async def test_another_name_for_this_address_is_refused(page):
    async with page.get("/state", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


async def test_the_browser_is_opened_when_asked(discord, instagram, monkeypatch):
    opened = asyncio.Queue()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(
        "webbrowser.open", lambda url: loop.call_soon_threadsafe(opened.put_nowait, url)
    )
    async with channel_page(discord, instagram, open_browser=True) as url:
        assert await opened.get() == url
