"""Modals: what Discord accepts when a bot opens one, and how a person's client fills it."""

from collections.abc import Mapping
from typing import Any

from bot.sandbox.discord.client import NotPossible, Uploader, picked, resolve
from bot.sandbox.discord.errors import Form, Json

ROW, TEXT_INPUT, TEXT, LABEL, FILE_UPLOAD = 1, 4, 10, 18, 19
_SELECTS = (3, 5, 6, 7, 8)
_IN_A_LABEL = (TEXT_INPUT, *_SELECTS, FILE_UPLOAD)
MOST_FILES = 10
Path = tuple[str | int, ...]


def check_modal(body: Json) -> None:
    form = Form()
    form.length(body.get("title"), ("title",), 45, least=1)
    form.length(body.get("custom_id"), ("custom_id",), 100, least=1)
    form.count(body.get("components"), ("components",), 5, least=1)
    for number, part in enumerate(body.get("components") or []):
        _check_part(form, part, ("components", number))
    form.finish()
    ids = [item["custom_id"] for item in _inputs(body)]
    is_unique = len(ids) == len(set(ids))
    form.require(is_unique, ("components",), "Component custom id cannot be duplicated")
    form.finish()


def _check_part(form: Form, part: Json, path: Path) -> None:
    """Text inputs may stand in a row of their own; everything else wants a label around it."""
    kind = part.get("type")
    form.require(kind in (ROW, TEXT, LABEL), (*path, "type"), "Value must be one of {1, 10, 18}.")
    if kind == LABEL:
        form.length(part.get("label"), (*path, "label"), 45, least=1)
        form.length(part.get("description") or "", (*path, "description"), 100)
        _check_input(form, part.get("component") or {}, (*path, "component"), _IN_A_LABEL)
    elif kind == ROW:
        form.count(part.get("components"), (*path, "components"), 1, least=1)
        for item in part.get("components") or []:
            _check_input(form, item, (*path, "components", 0), (TEXT_INPUT,))


def _check_input(form: Form, item: Json, path: Path, kinds: tuple[int, ...]) -> None:
    allowed = ", ".join(map(str, kinds))
    form.require(item.get("type") in kinds, (*path, "type"), f"Value must be one of {{{allowed}}}.")
    form.length(item.get("custom_id"), (*path, "custom_id"), 100, least=1)
    if item.get("type") == FILE_UPLOAD:
        least, most = _numbers(item)
        form.require(0 <= least <= MOST_FILES, (*path, "min_values"), "Must be between 0 and 10.")
        form.require(1 <= most <= MOST_FILES, (*path, "max_values"), "Must be between 1 and 10.")
        form.require(least <= most, (*path, "min_values"), "Must be at most max_values.")


def fill_modal(modal: Json, values: Mapping[str, Any], uploader: Uploader) -> Json:
    """The data of a submitted modal; keys of `values` are labels or custom_ids of its inputs.

    Texts, lists for selects, and for files {filename: bytes} or (filename, bytes) pairs.
    """
    given = dict(values)
    components: list[Json] = []
    resolved: Json = {}
    for item in _inputs(modal):
        key = item["custom_id"] if item["custom_id"] in given else item["label"]
        answer = _answer(item, key, given.pop(key, None), uploader, resolved)
        filled = {"type": item["type"], "custom_id": item["custom_id"], **answer}
        components.append({"type": LABEL, "component": filled})
    if given:
        raise NotPossible(f"The modal has no input {', '.join(given)}.")
    data = {"custom_id": modal["custom_id"], "components": components}
    return data | ({"resolved": resolved} if resolved else {})


def _inputs(modal: Json) -> list[Json]:
    found: list[Json] = []
    for part in modal["components"]:
        inside = [part["component"]] if part["type"] == LABEL else part.get("components", [])
        found += [{**each, "label": each.get("label") or part.get("label")} for each in inside]
    return found


def _answer(item: Json, key: str, value: Any, uploader: Uploader, resolved: Json) -> Json:
    if _is_required(item) and not value:
        raise NotPossible(f"The modal's input {key!r} is empty.")
    if item["type"] == FILE_UPLOAD:
        return {"values": _uploaded(item, key, value or (), uploader, resolved)}
    if item["type"] == TEXT_INPUT:
        return {"value": _typed(item, value or "")}
    return {"values": picked(item, value or [])}


def _uploaded(item: Json, key: str, value: Any, uploader: Uploader, resolved: Json) -> list[str]:
    files = list(value.items()) if isinstance(value, Mapping) else list(value)
    least, most = _numbers(item)
    if files and not least <= len(files) <= most:
        raise NotPossible(f"The modal's input {key!r} takes {least} to {most} files.")
    stored = [uploader.store(name, data) for name, data in files]
    for each in stored:
        resolve(each, resolved, uploader.cdn)
    return [str(each.id) for each in stored]


def _numbers(item: Json) -> tuple[int, int]:
    """The least and the most files; null is as good as not there, and both are one then."""
    least, most = item.get("min_values"), item.get("max_values")
    return 1 if least is None else least, 1 if most is None else most


def _is_required(item: Json) -> bool:
    return item.get("required") is not False


def _typed(item: Json, value: str) -> str:
    least, most = item.get("min_length") or 0, item.get("max_length") or 4000
    if value and not least <= len(value) <= most:
        raise NotPossible(f"The modal's input takes {least} to {most} characters.")
    return value
