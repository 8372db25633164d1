"""The routes of reactions."""

from aiohttp import web

from bot.sandbox.discord import payloads
from bot.sandbox.discord.access import MESSAGE_PATH, Access, Route, limit
from bot.sandbox.discord.compose import snowflake
from bot.sandbox.discord.errors import Json, refusal
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.world import World

_EMOJI_PATH = MESSAGE_PATH + "/reactions/{emoji}"


class Reactions:
    def __init__(self, world: World, access: Access) -> None:
        self._world = world
        self._access = access

    def routes(self) -> list[Route]:
        return [
            ("DELETE", MESSAGE_PATH + "/reactions", self._clear),
            ("GET", _EMOJI_PATH, self._reactors),
            ("DELETE", _EMOJI_PATH, self._clear_emoji),
            ("PUT", _EMOJI_PATH + "/@me", self._react),
            ("DELETE", _EMOJI_PATH + "/@me", self._unreact),
            ("DELETE", _EMOJI_PATH + "/{user_id}", self._unreact),
        ]

    async def _react(self, request: web.Request) -> None:
        message, emoji = self._access.message(request), _emoji(request)
        needed = Permission.READ_MESSAGE_HISTORY
        reaction = self._world.reaction(message, emoji)
        if not reaction.normal and not reaction.burst:
            needed |= Permission.ADD_REACTIONS
        self._access.demand(message.channel, needed)
        self._world.add_reaction(message, self._world.bot, emoji, burst=False)

    async def _unreact(self, request: web.Request) -> None:
        message, emoji = self._access.message(request), _emoji(request)
        user_id = request.match_info.get("user_id")
        user = self._access.user(snowflake(user_id)) if user_id else self._world.bot
        if user is not self._world.bot:
            self._access.demand(message.channel, Permission.MANAGE_MESSAGES)
        for burst in (False, True):
            self._world.remove_reaction(message, user, emoji, burst=burst)

    async def _clear(self, request: web.Request) -> None:
        message = self._access.message(request)
        self._access.demand(message.channel, Permission.MANAGE_MESSAGES)
        self._world.clear_reactions(message)

    async def _clear_emoji(self, request: web.Request) -> None:
        message, emoji = self._access.message(request), _emoji(request)
        self._access.demand(message.channel, Permission.MANAGE_MESSAGES)
        self._world.clear_emoji(message, emoji)

    async def _reactors(self, request: web.Request) -> list[Json]:
        message, emoji = self._access.message(request), _emoji(request)
        most, after = limit(request, default=25), snowflake(request.query.get("after", "0"))
        is_burst = request.query.get("type") == "1"
        users = self._world.reaction(message, emoji).kind(burst=is_burst)
        ordered = sorted((each for each in users if each.id > after), key=lambda user: user.id)
        return [payloads.user(each) for each in ordered[:most]]


def _emoji(request: web.Request) -> str:
    emoji = request.match_info["emoji"]
    # Only Unicode emoji exist here; name:id of a custom one is unknown.
    if not any(ord(character) >= 0x2000 for character in emoji):
        raise refusal(10014)
    return emoji
