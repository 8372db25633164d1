"""What Discord's own client offers people: it fills commands, components and modals, or refuses."""

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

_BUTTON, _TEXT_INPUT, _LABEL, _FILE_UPLOAD = 2, 4, 18, 19


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
    *,
    cdn: Cdn,
    channel: Channel,
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


def press(message: Message, what: str, values: list[str]) -> Json:
    """The data of a click on the button, or a pick in the select, with this label or custom_id."""
    items = [item for row in message.components for item in row.get("components", [])]
    named = [each for each in items if what in (each.get("label"), each.get("custom_id"))]
    if not named or named[0].get("disabled") or named[0].get("url"):
        raise NotPossible(f"The message has no {what!r} to click on.")
    item = named[0]
    data: Json = {"custom_id": item["custom_id"], "component_type": item["type"]}
    return data if item["type"] == _BUTTON else data | {"values": _picked(item, values)}


def fill_modal(modal: Json, values: dict[str, Any], *, cdn: Cdn, channel: Channel) -> Json:
    """The data of a submitted modal; keys of `values` are labels or custom_ids of its inputs."""
    components: list[Json] = []
    resolved: Json = {}
    for item in _inputs(modal):
        key = item["custom_id"] if item["custom_id"] in values else item["label"]
        value = values.pop(key, None)
        if item.get("required", True) and not value:
            raise NotPossible(f"The modal's input {key!r} is empty.")
        if item["type"] == _FILE_UPLOAD:
            files = [cdn.store(channel.id, *pair) for pair in (value or {}).items()]
            for each in files:
                _resolve(each, resolved, cdn)
            answer: Json = {"values": [str(each.id) for each in files]}
        elif item["type"] == _TEXT_INPUT:
            answer = {"value": _typed(item, value or "")}
        else:
            answer = {"values": _picked(item, value or [])}
        filled = {"type": item["type"], "custom_id": item["custom_id"], **answer}
        components.append({"type": _LABEL, "component": filled})
    if values:
        raise NotPossible(f"The modal has no input {', '.join(values)}.")
    data = {"custom_id": modal["custom_id"], "components": components}
    return data | ({"resolved": resolved} if resolved else {})


def _inputs(modal: Json) -> list[Json]:
    found: list[Json] = []
    for row in modal["components"]:
        inside = [row["component"]] if row["type"] == _LABEL else row.get("components", [])
        found += [{**each, "label": each.get("label") or row.get("label")} for each in inside]
    return found


def _picked(item: Json, values: list[str]) -> list[str]:
    offered = [option["value"] for option in item.get("options", [])]
    if offered and not set(values) <= set(offered):
        raise NotPossible(f"The select offers {offered}, not {values}.")
    least = item.get("min_values", 1) if item.get("required", True) else 0
    if not least <= len(values) <= item.get("max_values", 1):
        raise NotPossible(f"The select does not take {len(values)} values.")
    return values


def _typed(item: Json, value: str) -> str:
    least, most = item.get("min_length") or 0, item.get("max_length") or 4000
    if value and not least <= len(value) <= most:
        raise NotPossible(f"The modal's input takes {least} to {most} characters.")
    return value
