"""The routes of messages, and how the bot's messages are made and changed."""

from typing import Any

from aiohttp import web

from bot.sandbox.discord import compose
from bot.sandbox.discord.access import MESSAGE_PATH, Access, Route, limit
from bot.sandbox.discord.errors import ApiError, Json, malformed, refusal
from bot.sandbox.discord.permissions import Permission, permissions_in
from bot.sandbox.discord.state import Channel, Message
from bot.sandbox.discord.world import World

OLD_MESSAGE_S = 3600.0
# Discord does not publish how many edits an hour-old message gets; few is the safe reading.
OLD_MESSAGE_EDITS = 3
OLD_EDIT_RETRY_S = 0.05  # the real one asks for longer; discord.py would sleep it five times


class Messages:
    def __init__(self, world: World, access: Access) -> None:
        self._world = world
        self._access = access

    def routes(self) -> list[Route]:
        return [
            ("GET", "/channels/{channel_id}/messages", self._history),
            ("POST", "/channels/{channel_id}/messages", self._send),
            ("GET", MESSAGE_PATH, self._message),
            ("PATCH", MESSAGE_PATH, self._edit),
            ("DELETE", MESSAGE_PATH, self._delete),
        ]

    async def _history(self, request: web.Request) -> list[Json]:
        channel = self._access.channel(request)
        most = limit(request, default=50)
        member = self._world.member(channel, self._world.bot)
        if member and not permissions_in(member, channel) & Permission.READ_MESSAGE_HISTORY:
            return []
        found = self._world.history(channel)
        if "before" in request.query:
            before = compose.snowflake(request.query["before"])
            found = [each for each in found if each.id < before]
        if "after" in request.query:
            after = compose.snowflake(request.query["after"])
            found = [each for each in found if each.id > after][:most]
        return [self._world.show(each) for each in reversed(found[-most:])]

    async def _message(self, request: web.Request) -> Json:
        return self._world.show(self._access.message(request))

    async def _send(self, request: web.Request) -> Json:
        channel = self._access.channel(request, Permission.SEND_MESSAGES)
        body = await compose.read_body(request)
        if channel.recipient and not channel.recipient.accepts_dms:
            raise refusal(50007)
        message = self.prepare(body, channel)
        self._demand_for(message)
        nonce = message.nonce
        if nonce and body.json.get("enforce_nonce"):
            before = self._world.sent_before(channel, self._world.bot, nonce)
            if before is not None:
                return self._world.show(before)
        return self._world.show(self._world.add_message(message))

    async def _edit(self, request: web.Request) -> Json:
        message = self._access.message(request)
        body = await compose.read_body(request)
        if message.author is not self._world.bot:
            raise refusal(50005)
        if self._world.clock.now_s() - message.created_s > OLD_MESSAGE_S:
            self._count_old_edit(message)
        self.change(message, body)
        return self._world.show(message)

    async def _delete(self, request: web.Request) -> None:
        message = self._access.message(request)
        if message.author is not self._world.bot:
            self._access.demand(message.channel, Permission.MANAGE_MESSAGES)
        self._world.delete_message(message)

    def prepare(self, body: compose.Body, channel: Channel) -> Message:
        """A checked new message of the bot, not yet sent."""
        world, json = self._world, body.json
        most = world.upload_limit_bytes(channel)
        compose.check_message(json, body.uploads, upload_limit_bytes=most)
        content, reply_to = json.get("content") or "", self._referenced(json, channel)
        message = Message(
            world.clock.snowflake(),
            channel,
            world.bot,
            world.clock.now_s(),
            content=content,
            embeds=json.get("embeds") or [],
            components=json.get("components") or [],
            attachments=self._attachments(body, channel, []),
            reply_to=reply_to,
            flags=json.get("flags") or 0,
            nonce=json.get("nonce"),
            pings=compose.pings(
                content, json.get("allowed_mentions"), channel, world.bot, reply_to
            ),
        )
        compose.require_something(message)
        return message

    def change(self, message: Message, body: compose.Body, *, flags: int = -1) -> None:
        """Puts the given parts of a body into a message; an edit pings nobody."""
        most = self._world.upload_limit_bytes(message.channel)
        compose.check_message(body.json, body.uploads, upload_limit_bytes=most)
        changes: Json = {
            key: body.json[key] or ("" if key == "content" else [])
            for key in ("content", "embeds", "components")
            if key in body.json
        }
        if "attachments" in body.json or body.uploads:
            kept = message.attachments
            if "attachments" in body.json:
                ids = {int(each["id"]) for each in body.json["attachments"]}
                kept = [each for each in kept if each.id in ids]
            changes["attachments"] = self._attachments(body, message.channel, kept)
        final = {
            name: changes.get(name, getattr(message, name))
            for name in ("content", "embeds", "components", "attachments")
        }
        if not any(final.values()):
            raise refusal(50006)
        if flags >= 0:
            changes["flags"] = flags
        self._world.change_message(message, **changes)

    def _attachments(self, body: compose.Body, channel: Channel, kept: list[Any]) -> list[Any]:
        described = {
            int(each["id"]): each.get("description") for each in body.json.get("attachments") or []
        }
        return kept + [
            self._world.cdn.store(
                channel.id, upload.filename, upload.data, described.get(upload.index)
            )
            for upload in body.uploads
        ]

    def _referenced(self, body: Json, channel: Channel) -> Message | None:
        reference = body.get("message_reference")
        if not reference:
            return None
        try:
            return self._world.message(channel, int(reference["message_id"]))
        except ApiError:
            if not reference.get("fail_if_not_exists", True):
                return None
            raise malformed("message_reference", "Unknown message") from None

    def _count_old_edit(self, message: Message) -> None:
        message.edits += 1
        if message.edits > OLD_MESSAGE_EDITS:
            text = "Maximum number of edits to messages older than 1 hour reached. Try again later"
            raise ApiError(429, 30046, text, retry_after=OLD_EDIT_RETRY_S)

    def _demand_for(self, message: Message) -> None:
        if message.attachments:
            self._access.demand(message.channel, Permission.ATTACH_FILES)
        if message.embeds:
            self._access.demand(message.channel, Permission.EMBED_LINKS)
        if message.reply_to is not None:
            self._access.demand(message.channel, Permission.READ_MESSAGE_HISTORY)
