"""What Discord's own client offers people: it fills commands and components, or refuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.discord import payloads
from bot.sandbox.discord.cdn import Cdn
from bot.sandbox.discord.commands import (
    ATTACHMENT,
    BOOLEAN,
    CHANNEL,
    GROUP,
    INTEGER,
    NUMBER,
    ROLE,
    STRING,
    SUBCOMMAND,
    USER,
)
from bot.sandbox.discord.errors import Json
from bot.sandbox.discord.state import Attachment, Channel, Member, Message, Role

_BUTTON = 2


class NotPossible(Exception):
    """A person's client does not offer this: no such command, button, option or permission."""


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


@dataclass(frozen=True)
class Uploader:
    """A person who sends files: their client refuses what is too large, and the CDN keeps the rest.

    What comes with a command or a modal belongs to no message and is served as ephemeral.
    """

    cdn: Cdn
    channel: Channel
    limit_bytes: int

    def store(self, filename: str, data: bytes) -> Attachment:
        refuse_large({filename: data}, self.limit_bytes)
        return self.cdn.store(self.channel.id, filename, data, is_ephemeral=True)


def refuse_large(files: Mapping[str, bytes], limit_bytes: int) -> None:
    for name, data in files.items():
        if len(data) > limit_bytes:
            raise NotPossible(f"{name!r} is larger than the {limit_bytes} bytes one may send.")


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
    invocation: Invocation,
    values: dict[str, Any],
    uploader: Uploader,
    *,
    is_typing: bool = False,
) -> tuple[list[Json], Json]:
    """The options as the client sends them, and the `resolved` records they point to."""
    known = {option["name"]: option for option in invocation.options}
    if unknown := values.keys() - known.keys():
        raise NotPossible(f"No such option: {', '.join(sorted(unknown))}; there are {list(known)}.")
    filled: list[Json] = []
    resolved: Json = {}
    for name, option in known.items():
        if name not in values:
            if option.get("required") and not is_typing:
                raise NotPossible(f"The option {name!r} is required.")
            continue
        value = values[name]
        if option["type"] == ATTACHMENT:
            value = uploader.store(*value)
        _check_value(option, value)
        if isinstance(value, Attachment | Member | Role | Channel):
            resolve(value, resolved, uploader.cdn)
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


def resolve(value: Attachment | Member | Role | Channel, resolved: Json, cdn: Cdn) -> None:
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


def press(message: Message, what: str, values: list[str]) -> Json:
    """The data of a click on the button, or a pick in the select, with this label or custom_id."""
    items = [item for row in message.components for item in row.get("components", [])]
    named = [each for each in items if what in (each.get("label"), each.get("custom_id"))]
    if not named or named[0].get("disabled") or named[0].get("url"):
        raise NotPossible(f"The message has no {what!r} to click on.")
    item = named[0]
    data: Json = {"custom_id": item["custom_id"], "component_type": item["type"]}
    return data if item["type"] == _BUTTON else data | {"values": picked(item, values)}


def picked(item: Json, values: list[str]) -> list[str]:
    offered = [option["value"] for option in item.get("options", [])]
    if offered and not set(values) <= set(offered):
        raise NotPossible(f"The select offers {offered}, not {values}.")
    least = item.get("min_values", 1) if item.get("required", True) else 0
    if not least <= len(values) <= item.get("max_values", 1):
        raise NotPossible(f"The select does not take {len(values)} values.")
    return values
