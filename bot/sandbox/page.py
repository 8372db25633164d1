"""The sandbox's channel as a page in the browser: read it like a chat, vote as the approver.

Everything is served from memory on loopback. The page asks for /state and draws it with text
nodes alone, so nothing that a message says becomes markup.
"""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox.discord import Channel, DiscordSandbox, Member, Message, NotPossible
from bot.sandbox.instagram import InstagramSandbox, Post

PAGE = Path(__file__).with_name("page.html")
SIGNS = ("✅", "❌", "🔁")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
POLICY += "img-src 'self'; media-src 'self'; connect-src 'self'; frame-ancestors 'none'"


@asynccontextmanager
async def channel_page(
    discord: DiscordSandbox, instagram: InstagramSandbox, *, open_browser: bool = False
) -> AsyncIterator[str]:
    """The page's address, for as long as it is served."""
    runner = web.AppRunner(_Page(discord, instagram).app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        if open_browser:
            # In a thread: some browsers return only when they are closed.
            asyncio.get_running_loop().run_in_executor(None, webbrowser.open, url)
        yield url
    finally:
        await runner.cleanup()


class _Page:
    def __init__(self, discord: DiscordSandbox, instagram: InstagramSandbox) -> None:
        self._discord = discord
        self._instagram = instagram

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_only_this_machine])
        app.add_routes(
            [
                web.get("/", self._html),
                web.get("/state", self._state),
                web.get("/files/{message}/{number}", self._attachment),
                web.get("/posts/{id}", self._reel),
                web.post("/react", self._react),
                web.post("/make", self._make),
            ]
        )
        return app

    async def _html(self, request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(body=PAGE.read_bytes(), content_type="text/html", headers=headers)

    async def _state(self, request: web.Request) -> web.Response:
        approver = self._approver()
        channels = [self._discord.approvals, self._discord.general]
        state = {
            "server": self._discord.guild.name,
            "approver": approver.name if approver else None,
            "signs": SIGNS,
            "channels": [self._channel(channel, approver) for channel in channels],
            "posts": [_post(post) for post in reversed(self._instagram.posts)],
        }
        return web.json_response(state, headers={"Cache-Control": "no-store"})

    async def _attachment(self, request: web.Request) -> web.Response:
        message = self._message(request.match_info["message"])
        number = request.match_info["number"]
        if not number.isdecimal() or int(number) >= len(message.attachments):
            raise web.HTTPNotFound
        attachment = message.attachments[int(number)]
        return _bytes(request, attachment.data, attachment.content_type)

    async def _reel(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        post = next((post for post in self._instagram.posts if post.id == wanted), None)
        if post is None:
            raise web.HTTPNotFound
        container = self._instagram.containers[post.container_id]
        return _bytes(request, bytes(container.data), "video/mp4")

    async def _react(self, request: web.Request) -> web.Response:
        """A click on a sign: it is set, or taken back when it was there."""
        wish = await _wish(request)
        message, sign = self._message(str(wish.get("message"))), wish.get("sign")
        if sign not in SIGNS:
            raise web.HTTPBadRequest
        approver = self._need_approver()
        with _shown():
            if approver.user in self._discord.reaction(message, sign).normal:
                self._discord.unreact(approver, message, sign)
            else:
                self._discord.react(approver, message, sign)
        return web.json_response({})

    async def _make(self, request: web.Request) -> web.Response:
        """/make, typed by the approver in the general channel."""
        topic = str((await _wish(request)).get("topic") or "").strip()
        with _shown():
            options = {"topic": topic} if topic else {}
            self._discord.invoke(self._need_approver(), "make", options)
        return web.json_response({})

    def _approver(self) -> Member | None:
        role = self._discord.approver.id
        members = self._discord.guild.members.values()
        return next((m for m in members if role in m.role_ids and not m.user.bot), None)

    def _need_approver(self) -> Member:
        approver = self._approver()
        if approver is None:
            raise web.HTTPConflict(text="Nobody has the approver role.")
        return approver

    def _message(self, message_id: str) -> Message:
        for channel in (self._discord.approvals, self._discord.general):
            for message in self._discord.messages(channel):
                if str(message.id) == message_id:
                    return message
        raise web.HTTPNotFound

    def _channel(self, channel: Channel, approver: Member | None) -> dict[str, Any]:
        messages = self._discord.messages(channel)[-100:]
        return {"name": channel.name, "messages": [_message(m, approver) for m in messages]}


def _message(message: Message, approver: Member | None) -> dict[str, Any]:
    used = message.interaction or {}
    return {
        "id": str(message.id),
        "author": message.author.name,
        "bot": message.author.bot,
        "at": message.created_s,
        "edited": message.edited_s is not None,
        "used": f"{used['user']['username']} used a command" if used.get("user") else None,
        "content": message.content,
        "embeds": [_embed(embed) for embed in message.embeds],
        "files": [
            {
                "name": file.filename,
                "kind": file.content_type.partition("/")[0],
                "url": f"/files/{message.id}/{number}",
            }
            for number, file in enumerate(message.attachments)
        ],
        "reactions": [
            {
                "emoji": reaction.emoji,
                "count": len(reaction.normal) + len(reaction.burst),
                "mine": approver is not None and approver.user in reaction.normal,
            }
            for reaction in message.reactions.values()
        ],
    }


def _embed(embed: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": embed.get("title") or "",
        "description": embed.get("description") or "",
        "colour": f"#{int(embed.get('color') or 0x5865F2):06x}",
        "fields": [
            {key: field.get(key) or "" for key in ("name", "value", "inline")}
            for field in embed.get("fields") or []
        ],
        "footer": (embed.get("footer") or {}).get("text") or "",
    }


def _post(post: Post) -> dict[str, Any]:
    return {
        "id": post.id,
        "url": f"/posts/{post.id}",
        "caption": post.caption,
        "at": post.timestamp.timestamp(),
        "ai": post.is_ai_generated,
        "sha256": post.sha256,
    }


def _bytes(request: web.Request, data: bytes, content_type: str) -> web.Response:
    """All of it, or the range that a video element asks for when somebody jumps."""
    headers = {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    wanted = request.http_range
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=data, content_type=content_type, headers=headers)
    start, stop, _ = wanted.indices(len(data))
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(
        body=data[start:stop], status=206, content_type=content_type, headers=headers
    )


async def _wish(request: web.Request) -> dict[str, Any]:
    # Other pages in the browser cannot send this type without asking, and are not answered then.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        wish = await request.json()
    except ValueError:
        raise web.HTTPBadRequest from None
    if not isinstance(wish, dict):
        raise web.HTTPBadRequest
    return wish


@contextmanager
def _shown() -> Iterator[None]:
    """What a person's client does not offer becomes a sentence on the page."""
    try:
        yield
    except NotPossible as error:
        raise web.HTTPConflict(text=str(error)) from None


@web.middleware
async def _only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Another name for this address would let a foreign page read it (DNS rebinding)."""
    if request.host.partition(":")[0] != "127.0.0.1":
        raise web.HTTPForbidden
    return await handler(request)
