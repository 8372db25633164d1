"""The REST routes of users, guilds, channels, messages and reactions, as the bot may use them."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.sandbox.discord import compose, payloads
from bot.sandbox.discord.errors import ApiError, Json, refusal
from bot.sandbox.discord.permissions import Permission, demand, permissions_in
from bot.sandbox.discord.state import Channel, Message, User
from bot.sandbox.discord.world import World

Route = tuple[str, str, Callable[[web.Request], Awaitable[Any]]]

OLD_MESSAGE_S = 3600.0
# Discord does not publish how many edits an hour-old message gets; few is the safe reading.
OLD_MESSAGE_EDITS = 3
OLD_EDIT_RETRY_S = 0.05  # the real one asks for longer; discord.py would sleep it five times

_MESSAGE = "/channels/{channel_id}/messages/{message_id}"
_EMOJI = _MESSAGE + "/reactions/{emoji}"


class Rest:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            ("GET", "/users/@me", self._me),
            ("GET", "/users/@me/guilds", self._my_guilds),
            ("POST", "/users/@me/channels", self._open_direct),
            ("GET", "/users/{user_id}", self._user),
            ("GET", "/gateway/bot", self._gateway),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", "/guilds/{guild_id}", self._guild),
            ("GET", "/guilds/{guild_id}/channels", self._channels),
            ("GET", "/guilds/{guild_id}/roles", self._roles),
            ("GET", "/guilds/{guild_id}/members/{user_id}", self._member),
            ("GET", "/channels/{channel_id}", self._channel),
            ("POST", "/channels/{channel_id}/typing", self._type),
            ("GET", "/channels/{channel_id}/messages", self._history),
            ("POST", "/channels/{channel_id}/messages", self._send),
            ("GET", _MESSAGE, self._message),
            ("PATCH", _MESSAGE, self._edit),
            ("DELETE", _MESSAGE, self._delete),
            ("DELETE", _MESSAGE + "/reactions", self._clear),
            ("GET", _EMOJI, self._reactors),
            ("DELETE", _EMOJI, self._clear_emoji),
            ("PUT", _EMOJI + "/@me", self._react),
            ("DELETE", _EMOJI + "/@me", self._unreact),
            ("DELETE", _EMOJI + "/{user_id}", self._unreact),
        ]

    async def _me(self, request: web.Request) -> Json:
        return payloads.user(self._world.bot) | {"mfa_enabled": True, "verified": True}

    async def _my_guilds(self, request: web.Request) -> list[Json]:
        bot = self._world.bot
        return [
            payloads.current_guild(guild, bot=bot)
            for guild in self._world.guilds.values()
            if bot.id in guild.members
        ]

    async def _user(self, request: web.Request) -> Json:
        return payloads.user(self._find_user(compose.snowflake(request.match_info["user_id"])))

    async def _open_direct(self, request: web.Request) -> Json:
        body = (await compose.read_body(request)).json
        person = self._find_user(int(body["recipient_id"]))
        return payloads.channel(self._world.direct_channel(person))

    async def _gateway(self, request: web.Request) -> Json:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return {"url": self._world.gateway.url, "shards": 1, "session_start_limit": limit}

    async def _application(self, request: web.Request) -> Json:
        guild = next(iter(self._world.guilds.values()))
        return {
            "id": str(self._world.bot.id),
            "name": self._world.bot.name,
            "description": "",
            "icon": None,
            "bot_public": False,
            "bot_require_code_grant": False,
            "owner": payloads.user(self._world.people[guild.owner_id]),
            "verify_key": "0" * 64,
            "team": None,
            "flags": 0,
        }

    async def _guild(self, request: web.Request) -> Json:
        guild = self._world.guild(compose.snowflake(request.match_info["guild_id"]))
        return payloads.guild(guild) | {"approximate_member_count": len(guild.members)}

    async def _channels(self, request: web.Request) -> list[Json]:
        guild = self._world.guild(compose.snowflake(request.match_info["guild_id"]))
        return [payloads.channel(each) for each in guild.channels.values()]

    async def _roles(self, request: web.Request) -> list[Json]:
        guild = self._world.guild(compose.snowflake(request.match_info["guild_id"]))
        return [payloads.role(each) for each in guild.roles.values()]

    async def _member(self, request: web.Request) -> Json:
        guild = self._world.guild(compose.snowflake(request.match_info["guild_id"]))
        user = self._find_user(compose.snowflake(request.match_info["user_id"]))
        if user.id not in guild.members:
            raise refusal(10007)
        return payloads.member(guild.members[user.id])

    # Channels and messages

    async def _channel(self, request: web.Request) -> Json:
        return payloads.channel(self._open_channel(request))

    async def _type(self, request: web.Request) -> None:
        self._open_channel(request, Permission.SEND_MESSAGES)

    async def _history(self, request: web.Request) -> list[Json]:
        channel = self._open_channel(request)
        limit = _limit(request, default=50)
        member = self._world.member(channel, self._world.bot)
        if member and not permissions_in(member, channel) & Permission.READ_MESSAGE_HISTORY:
            return []
        found = self._world.history(channel)
        if "before" in request.query:
            found = [each for each in found if each.id < int(request.query["before"])]
        if "after" in request.query:
            found = [each for each in found if each.id > int(request.query["after"])][:limit]
        return [self._world.show(each) for each in reversed(found[-limit:])]

    async def _message(self, request: web.Request) -> Json:
        return self._world.show(self._find_message(request))

    async def _send(self, request: web.Request) -> Json:
        channel = self._open_channel(request, Permission.SEND_MESSAGES)
        body = await compose.read_body(request)
        if channel.recipient and not channel.recipient.accepts_dms:
            raise refusal(50007)
        message = self.compose_message(body, channel)
        self._demand_for(message)
        nonce = message.nonce
        if nonce and body.json.get("enforce_nonce"):
            before = self._world.sent_before(channel, self._world.bot, nonce)
            if before is not None:
                return self._world.show(before)
        return self._world.show(self._world.add_message(message))

    async def _edit(self, request: web.Request) -> Json:
        message = self._find_message(request)
        body = await compose.read_body(request)
        if message.author is not self._world.bot:
            raise refusal(50005)
        if self._world.clock.now_s() - message.created_s > OLD_MESSAGE_S:
            self._count_old_edit(message)
        self.change_message(message, body)
        return self._world.show(message)

    async def _delete(self, request: web.Request) -> None:
        message = self._find_message(request)
        if message.author is not self._world.bot:
            self._demand(message.channel, Permission.MANAGE_MESSAGES)
        self._world.delete_message(message)

    def compose_message(self, body: compose.Body, channel: Channel) -> Message:
        """A checked new message of the bot, not yet sent."""
        world, json = self._world, body.json
        limit = world.upload_limit_bytes(channel)
        compose.check_message(json, body.uploads, upload_limit_bytes=limit)
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

    def change_message(self, message: Message, body: compose.Body, *, flags: int = -1) -> None:
        """Puts the given parts of a body into a message; an edit pings nobody."""
        limit = self._world.upload_limit_bytes(message.channel)
        compose.check_message(body.json, body.uploads, upload_limit_bytes=limit)
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
            problem = {"message_reference": {"_errors": [{"message": "Unknown message"}]}}
            raise ApiError(400, 50035, "Invalid Form Body", errors=problem) from None

    def _count_old_edit(self, message: Message) -> None:
        message.edits += 1
        if message.edits > OLD_MESSAGE_EDITS:
            text = "Maximum number of edits to messages older than 1 hour reached. Try again later"
            raise ApiError(429, 30046, text, retry_after=OLD_EDIT_RETRY_S)

    # Reactions

    async def _react(self, request: web.Request) -> None:
        message, emoji = self._find_message(request), _emoji(request)
        needed = Permission.READ_MESSAGE_HISTORY
        reaction = self._world.reaction(message, emoji)
        if not reaction.normal and not reaction.burst:
            needed |= Permission.ADD_REACTIONS
        self._demand(message.channel, needed)
        self._world.add_reaction(message, self._world.bot, emoji, burst=False)

    async def _unreact(self, request: web.Request) -> None:
        message, emoji = self._find_message(request), _emoji(request)
        user_id = request.match_info.get("user_id")
        user = self._find_user(int(user_id)) if user_id else self._world.bot
        if user is not self._world.bot:
            self._demand(message.channel, Permission.MANAGE_MESSAGES)
        for burst in (False, True):
            self._world.remove_reaction(message, user, emoji, burst=burst)

    async def _clear(self, request: web.Request) -> None:
        message = self._find_message(request)
        self._demand(message.channel, Permission.MANAGE_MESSAGES)
        self._world.clear_reactions(message)

    async def _clear_emoji(self, request: web.Request) -> None:
        message, emoji = self._find_message(request), _emoji(request)
        self._demand(message.channel, Permission.MANAGE_MESSAGES)
        self._world.clear_emoji(message, emoji)

    async def _reactors(self, request: web.Request) -> list[Json]:
        message, emoji = self._find_message(request), _emoji(request)
        limit, after = _limit(request, default=25), int(request.query.get("after", 0))
        is_burst = request.query.get("type") == "1"
        users = self._world.reaction(message, emoji).kind(burst=is_burst)
        ordered = sorted((each for each in users if each.id > after), key=lambda user: user.id)
        return [payloads.user(each) for each in ordered[:limit]]

    # Looking up, with what the bot may see

    def _open_channel(
        self, request: web.Request, needed: Permission = Permission.VIEW_CHANNEL
    ) -> Channel:
        channel = self._world.channel(compose.snowflake(request.match_info["channel_id"]))
        self._demand(channel, needed)
        return channel

    def _find_message(self, request: web.Request) -> Message:
        channel = self._open_channel(request)
        if request.method == "GET":
            self._demand(channel, Permission.READ_MESSAGE_HISTORY)
        return self._world.message(channel, compose.snowflake(request.match_info["message_id"]))

    def _find_user(self, user_id: int) -> User:
        if user_id not in self._world.people:
            raise refusal(10013)
        return self._world.people[user_id]

    def _demand(self, channel: Channel, needed: Permission) -> None:
        demand(self._world.member(channel, self._world.bot), channel, needed)

    def _demand_for(self, message: Message) -> None:
        # Embeds without EMBED_LINKS are dropped by the real one, silently; files are refused.
        if message.attachments:
            self._demand(message.channel, Permission.ATTACH_FILES)
        if message.embeds:
            self._demand(message.channel, Permission.EMBED_LINKS)
        if message.reply_to is not None:
            self._demand(message.channel, Permission.READ_MESSAGE_HISTORY)


def _limit(request: web.Request, *, default: int) -> int:
    text = request.query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        problem = {"limit": {"_errors": [{"message": "int value should be between 1 and 100."}]}}
        raise ApiError(400, 50035, "Invalid Form Body", errors=problem)
    return int(text)


def _emoji(request: web.Request) -> str:
    emoji = request.match_info["emoji"]
    # Only Unicode emoji exist here; name:id of a custom one is unknown.
    if not any(ord(character) >= 0x2000 for character in emoji):
        raise refusal(10014)
    return emoji
