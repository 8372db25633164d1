"""How the bot's requests reach channels, messages and people: by what it may see and do."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.sandbox.discord.compose import snowflake
from bot.sandbox.discord.errors import malformed, refusal
from bot.sandbox.discord.permissions import Permission, demand
from bot.sandbox.discord.state import Channel, Message, User
from bot.sandbox.discord.world import World

Route = tuple[str, str, Callable[[web.Request], Awaitable[Any]]]
MESSAGE_PATH = "/channels/{channel_id}/messages/{message_id}"


class Access:
    def __init__(self, world: World) -> None:
        self._world = world

    def channel(
        self, request: web.Request, needed: Permission = Permission.VIEW_CHANNEL
    ) -> Channel:
        channel = self._world.channel(snowflake(request.match_info["channel_id"]))
        self.demand(channel, needed)
        return channel

    def message(self, request: web.Request) -> Message:
        channel = self.channel(request)
        if request.method == "GET":
            self.demand(channel, Permission.READ_MESSAGE_HISTORY)
        return self._world.message(channel, snowflake(request.match_info["message_id"]))

    def user(self, user_id: int) -> User:
        if user_id not in self._world.people:
            raise refusal(10013)
        return self._world.people[user_id]

    def demand(self, channel: Channel, needed: Permission) -> None:
        demand(self._world.member(channel, self._world.bot), channel, needed)


def limit(request: web.Request, *, default: int) -> int:
    text = request.query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise malformed("limit", "int value should be between 1 and 100.")
    return int(text)
