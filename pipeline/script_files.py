"""Scripts written by hand: read from JSON, completed from the show, refused with one sentence."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.checks import check_script
from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.sections import Emotion, Line, Script
from pipeline.shows import Show

LARGEST_FILE = 256 * 1024
DEEPEST = 12


def read_script(source: str | Path, show: Show, config: WriterConfig) -> Script:
    """A script from a file (Path) or its text (str), with names, caption and hashtags completed.

    Raises UserError with one sentence that says what to correct.
    """
    where = str(source) if isinstance(source, Path) else "The script"
    data = _parse(_text_of(source, where), where)
    try:
        script = _completed(Script.model_validate(data), show, config)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_problem(error, data)}") from error
    problems = check_script(
        script,
        show,
        topic=None,
        lines_min=config.lines_min,
        lines_max=config.lines_max,
        max_hashtags=config.max_hashtags,
    )
    if problems:
        raise UserError(f"{where}: {problems[0]}")
    return script


def _text_of(source: str | Path, where: str) -> str:
    if isinstance(source, str):
        data = source.encode("utf-8", errors="surrogatepass")
    else:
        data = _bytes_of(source, where)
    if len(data) > LARGEST_FILE:
        raise UserError(f"{where} is larger than {LARGEST_FILE // 1024} kB; a script is not.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text; save it as UTF-8.") from error


def _bytes_of(path: Path, where: str) -> bytes:
    if not path.exists():
        raise UserError(f"There is no file {where}.")
    if not path.is_file():
        raise UserError(f"{where} is not a file; give the JSON file of a script.")
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror}.") from error


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        deep = _depth(data) > DEEPEST
    except RecursionError:
        deep, data = True, None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except _BadJson as error:
        raise UserError(f"{where}: {error}") from error
    except ValueError as error:  # Python refuses numbers of thousands of digits
        raise UserError(f"{where} has a number that nobody can read; remove it.") from error
    if deep:
        raise UserError(f"{where} is nested too deeply; a script is an object with `lines`.")
    if not isinstance(data, dict):
        raise UserError(f"{where} is not a JSON object; a script is an object with `lines`.")
    return data


class _BadJson(ValueError):
    """JSON that Python reads and the standard does not allow, or that hides something."""


def _no_constant(name: str) -> NoReturn:
    raise _BadJson(f"{name} is not a number; JSON has no such value.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise _BadJson(f"The key {key[:40]!r} is there twice.")
    return dict(pairs)


def _depth(data: Any) -> int:
    if isinstance(data, dict):
        return 1 + max((_depth(value) for value in data.values()), default=0)
    if isinstance(data, list):
        return 1 + max((_depth(value) for value in data), default=0)
    return 0


def _completed(script: Script, show: Show, config: WriterConfig) -> Script:
    lines = tuple(_with_names(line, show) for line in script.lines)
    caption = (
        script.caption.strip()
        or f"{show.title}: {show.characters[0].name} and {show.characters[1].name} have opinions."
    )
    hashtags = script.hashtags or show.hashtags[: config.max_hashtags]
    return script.model_copy(update={"lines": lines, "caption": caption, "hashtags": hashtags})


def _with_names(line: Line, show: Show) -> Line:
    text = " ".join(unicodedata.normalize("NFC", line.text).split())
    character = show.character(line.character.strip())
    return line.model_copy(update={"character": character.name, "text": text})


def _first_problem(error: ValidationError, data: dict[str, Any]) -> str:
    """The first error of pydantic as one sentence about the file."""
    first = error.errors()[0]
    where = _place(first["loc"])
    match first["type"]:
        case "extra_forbidden":
            return f"{where} is not a part of a script; remove it."
        case "missing":
            return f"{where} is missing."
        case "enum":
            known = ", ".join(Emotion)
            return f"{where} must be one of {known}."
        case "string_too_short":
            return f"{where} is empty."
        case "string_too_long" | "string_pattern_mismatch":
            return f"{where} is too long or has characters that are not allowed."
        case _:
            return f"{where} has the wrong type: {first['msg'].rstrip('.').lower()}."


def _place(location: tuple[int | str, ...]) -> str:
    """`('lines', 3, 'emotion')` as `emotion` of line 4."""
    match location:
        case ("lines", int(number)):
            return f"Line {number + 1}"
        case ("lines", int(number), *rest):
            return f"`{str(rest[0])[:40]}` of line {number + 1}"
        case ():
            return "The script"
        case _:
            return f"`{'.'.join(str(part)[:40] for part in location[:3])}`"
