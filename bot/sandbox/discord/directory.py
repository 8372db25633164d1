"""The routes that tell the bot who and what there is: itself, people, guilds, channels."""

from aiohttp import web

from bot.sandbox.discord import compose, payloads
from bot.sandbox.discord.access import Access, Route
from bot.sandbox.discord.errors import Json, refusal
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.world import World


class Directory:
    def __init__(self, world: World, access: Access) -> None:
        self._world = world
        self._access = access

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
        return payloads.user(self._access.user(compose.snowflake(request.match_info["user_id"])))

    async def _open_direct(self, request: web.Request) -> Json:
        body = (await compose.read_body(request)).json
        person = self._access.user(int(body["recipient_id"]))
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
        user = self._access.user(compose.snowflake(request.match_info["user_id"]))
        if user.id not in guild.members:
            raise refusal(10007)
        return payloads.member(guild.members[user.id])

    async def _channel(self, request: web.Request) -> Json:
        return payloads.channel(self._access.channel(request))

    async def _type(self, request: web.Request) -> None:
        self._access.channel(request, Permission.SEND_MESSAGES)
