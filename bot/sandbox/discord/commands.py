"""Slash commands: what Discord accepts in a sync, and what is synced."""

import re
from typing import Any

from aiohttp import web

from bot.sandbox.discord import compose
from bot.sandbox.discord.access import Route
from bot.sandbox.discord.errors import Form, Json, refusal
from bot.sandbox.discord.world import World

_NAME = re.compile(r"^[-_\w]{1,32}$")
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE = 1, 2, 3, 4, 5, 6, 7, 8
NUMBER, ATTACHMENT = 10, 11
_MOST_CHARACTERS = 8000
Path = tuple[str | int, ...]


def check_commands(commands: list[Json]) -> None:
    form = Form()
    form.count(commands, (), 100)
    names = [(each.get("type", 1), each.get("name")) for each in commands]
    for number, command in enumerate(commands):
        path = (number,)
        is_unique = names.count(names[number]) == 1
        form.require(is_unique, (*path, "name"), "Application command names must be unique")
        if command.get("type", 1) != 1:
            form.length(command.get("name"), (*path, "name"), 32, least=1)
            continue
        _check_named(form, command, path)
        _check_options(form, command.get("options") or [], path, depth=0)
        size = _characters(command)
        form.require(size <= _MOST_CHARACTERS, path, f"Command exceeds maximum size (8000): {size}")
    form.finish()


def _check_named(form: Form, item: Json, path: Path) -> None:
    name = item.get("name") or ""
    is_name = bool(_NAME.match(name)) and name == name.lower()
    form.require(is_name, (*path, "name"), "Command name is invalid")
    form.length(item.get("description"), (*path, "description"), 100, least=1)


def _check_options(form: Form, options: list[Json], path: Path, *, depth: int) -> None:
    form.count(options, (*path, "options"), 25)
    names = [each.get("name") for each in options]
    form.require(len(set(names)) == len(names), (*path, "options"), "Option names must be unique")
    was_optional = False
    for number, option in enumerate(options):
        place = (*path, "options", number)
        _check_named(form, option, place)
        kind = option.get("type")
        if kind in (SUBCOMMAND, GROUP):
            # A group holds subcommands only, and nothing deeper.
            fits = depth == 0 or (depth == 1 and kind == SUBCOMMAND)
            form.require(fits, (*place, "type"), "Subcommands are nested too deep")
            deeper = depth + 1 if kind == GROUP else 2
            _check_options(form, option.get("options") or [], place, depth=deeper)
            continue
        form.require(kind in range(STRING, ATTACHMENT + 1), (*place, "type"), "Unknown type")
        is_late = bool(option.get("required")) and was_optional
        form.require(not is_late, place, "Required options must be placed before others")
        was_optional = was_optional or not option.get("required")
        _check_choices(form, option, place)


def _check_choices(form: Form, option: Json, path: Path) -> None:
    choices = option.get("choices") or []
    check_choices(form, choices, (*path, "choices"))
    is_double = choices and option.get("autocomplete")
    form.require(not is_double, path, "Choices and autocomplete exclude each other")


def check_choices(form: Form, choices: Any, path: Path) -> None:
    form.count(choices, path, 25)
    for number, choice in enumerate(choices):
        form.length(choice.get("name"), (*path, number, "name"), 100, least=1)
        if isinstance(choice.get("value"), str):
            form.length(choice["value"], (*path, number, "value"), 100)


def _characters(item: Json) -> int:
    """Names, descriptions and values of a command and all that it holds."""
    own = len(item.get("name", "")) + len(item.get("description", ""))
    values = sum(len(str(each["name"]) + str(each["value"])) for each in item.get("choices") or [])
    return own + values + sum(_characters(each) for each in item.get("options") or [])


class Commands:
    """The commands that the bot has synced, by guild, and None for the global ones."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._synced: dict[int | None, list[Json]] = {}

    def routes(self) -> list[Route]:
        application = "/applications/{application_id}"
        return [
            ("PUT", application + "/commands", self._overwrite),
            ("GET", application + "/commands", self._list),
            ("PUT", application + "/guilds/{guild_id}/commands", self._overwrite),
            ("GET", application + "/guilds/{guild_id}/commands", self._list),
        ]

    @property
    def is_synced(self) -> bool:
        return any(self._synced.values())

    def of(self, guild_id: int) -> list[Json]:
        """The guild's commands, then the global ones that they do not hide."""
        own = self._synced.get(guild_id, [])
        names = {each["name"] for each in own}
        return own + [each for each in self._synced.get(None, []) if each["name"] not in names]

    async def _overwrite(self, request: web.Request) -> list[Json]:
        guild_id = self._scope(request)
        body = (await compose.read_body(request)).json
        check_commands(body)
        self._synced[guild_id] = [self._registered(each, guild_id) for each in body]
        self._world.changes.notify()
        return self._synced[guild_id]

    async def _list(self, request: web.Request) -> list[Json]:
        return self._synced.get(self._scope(request), [])

    def _scope(self, request: web.Request) -> int | None:
        if request.match_info["application_id"] != str(self._world.bot.id):
            raise refusal(10002)
        if "guild_id" not in request.match_info:
            return None
        guild_id = compose.snowflake(request.match_info["guild_id"])
        if guild_id not in self._world.guilds:
            raise refusal(50001)
        return guild_id

    def _registered(self, command: Json, guild_id: int | None) -> Json:
        permissions = command.get("default_member_permissions")
        return {
            "type": 1,
            "description": "",
            "options": [],
            **command,
            "id": str(self._world.clock.snowflake()),
            "version": str(self._world.clock.snowflake()),
            "application_id": str(self._world.bot.id),
            "default_member_permissions": None if permissions is None else str(permissions),
            **({} if guild_id is None else {"guild_id": str(guild_id)}),
        }
