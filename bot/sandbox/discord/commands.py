"""Slash commands: what Discord accepts in a sync, and what its clients let people send."""

import re
from dataclasses import dataclass
from typing import Any

from bot.sandbox.discord import payloads
from bot.sandbox.discord.cdn import Cdn
from bot.sandbox.discord.errors import ApiError, Form, Json
from bot.sandbox.discord.state import Attachment, Channel, Member, Role

_NAME = re.compile(r"^[-_\w]{1,32}$")
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE = 1, 2, 3, 4, 5, 6, 7, 8
NUMBER, ATTACHMENT = 10, 11
_MOST_CHARACTERS = 8000
Path = tuple[str | int, ...]


class NotPossible(Exception):
    """A person's client does not offer this: no such command, button, option or permission."""


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


@dataclass(frozen=True)
class Invocation:
    """A command found by its full name, and the subcommand names below it."""

    command: Json
    path: tuple[Json, ...]
    options: list[Json]

    def data(self, options: list[Json], resolved: Json) -> Json:
        for step in reversed(self.path):
            options = [{"name": step["name"], "type": step["type"], "options": options}]
        found: Json = {key: self.command[key] for key in ("id", "name", "type")}
        if "guild_id" in self.command:
            found["guild_id"] = self.command["guild_id"]
        return found | {"options": options} | ({"resolved": resolved} if resolved else {})


def find_command(commands: list[Json], full_name: str) -> Invocation:
    first, *rest = full_name.split()
    command = next((each for each in commands if each["name"] == first and each["type"] == 1), None)
    if command is None:
        names = ", ".join(f"/{each['name']}" for each in commands) or "none"
        raise NotPossible(f"There is no command /{first}; synced are: {names}.")
    step, path = command, []
    for name in rest:
        below = [each for each in step["options"] if each["type"] in (SUBCOMMAND, GROUP)]
        named = [each for each in below if each["name"] == name]
        if not named:
            raise NotPossible(f"/{full_name}: there is no subcommand {name!r}.")
        step = named[0]
        path.append(step)
    options: list[Json] = step.get("options") or []
    if any(each["type"] in (SUBCOMMAND, GROUP) for each in options):
        raise NotPossible(f"/{full_name} is a group; name one of its subcommands.")
    return Invocation(command, tuple(path), options)


def fill_options(
    invocation: Invocation, values: dict[str, Any], *, cdn: Cdn, channel: Channel
) -> tuple[list[Json], Json]:
    """The options as the client sends them, and the `resolved` records they point to."""
    known = {option["name"]: option for option in invocation.options}
    if unknown := values.keys() - known.keys():
        raise NotPossible(f"No such option: {', '.join(sorted(unknown))}; there are {list(known)}.")
    filled: list[Json] = []
    resolved: Json = {}
    for name, option in known.items():
        if name not in values:
            if option.get("required"):
                raise NotPossible(f"The option {name!r} is required.")
            continue
        value = values[name]
        if option["type"] == ATTACHMENT:
            value = cdn.store(channel.id, *value)
        _check_value(option, value)
        if isinstance(value, Attachment | Member | Role | Channel):
            _resolve(value, resolved, cdn)
            value = str(value.id)
        filled.append({"name": name, "type": option["type"], "value": value})
    return filled, resolved


_PYTHON_TYPES: dict[int, tuple[type, ...]] = {
    STRING: (str,),
    INTEGER: (int,),
    BOOLEAN: (bool,),
    USER: (Member,),
    CHANNEL: (Channel,),
    ROLE: (Role,),
    NUMBER: (int, float),
    ATTACHMENT: (Attachment,),
}


def _check_value(option: Json, value: Any) -> None:
    name = option["name"]
    fits = isinstance(value, _PYTHON_TYPES[option["type"]])
    if not fits or (isinstance(value, bool) and option["type"] != BOOLEAN):
        raise NotPossible(f"The option {name!r} does not take {value!r}.")
    choices = [choice["value"] for choice in option.get("choices") or []]
    if choices and value not in choices:
        raise NotPossible(f"The option {name!r} offers {choices}, not {value!r}.")
    size = len(value) if isinstance(value, str) else value
    limits = ("min_length", "max_length") if isinstance(value, str) else ("min_value", "max_value")
    least, most = option.get(limits[0]), option.get(limits[1])
    if (least is not None and size < least) or (most is not None and size > most):
        raise NotPossible(f"The option {name!r} must be between {least} and {most}.")


def _resolve(value: Attachment | Member | Role | Channel, resolved: Json, cdn: Cdn) -> None:
    key = str(value.id)
    if isinstance(value, Attachment):
        resolved.setdefault("attachments", {})[key] = payloads.attachment(value, cdn.url)
    elif isinstance(value, Member):
        resolved.setdefault("users", {})[key] = payloads.user(value.user)
        member = payloads.member(value, with_user=False) | {"permissions": "0"}
        resolved.setdefault("members", {})[key] = member
    elif isinstance(value, Role):
        resolved.setdefault("roles", {})[key] = payloads.role(value)
    else:
        channel = payloads.channel(value) | {"permissions": "0"}
        resolved.setdefault("channels", {})[key] = channel


def register(commands: Any, *, application_id: int, guild_id: int | None, fresh_id: Any) -> Any:
    """Checks a bulk overwrite and returns the commands with the fields that Discord adds."""
    if not isinstance(commands, list):
        raise ApiError(400, 50035, "Invalid Form Body", errors={"_errors": []})
    check_commands(commands)
    added: Json = {"application_id": str(application_id), "default_member_permissions": None}
    if guild_id is not None:
        added["guild_id"] = str(guild_id)
    return [
        {"type": 1, "description": "", "options": [], **each, **added}
        | {"default_member_permissions": _permissions(each), "id": str(fresh_id())}
        | {"version": str(fresh_id())}
        for each in commands
    ]


def _permissions(command: Json) -> str | None:
    value = command.get("default_member_permissions")
    return None if value is None else str(value)
