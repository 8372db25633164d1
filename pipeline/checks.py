"""What every script must satisfy before anything is spoken, drawn or shown.

`check_script` judges a script of ours and lists what is wrong; `read_script` takes one written
by hand and is content when it can be spoken, drawn and posted safely.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.sections import Emotion, Line, Script
from pipeline.shows import Character, Show

LONGEST_LINE = 140  # characters: two full captions, about ten seconds
LONGEST_POST = 2200  # Instagram's limit for a caption, in characters
MOST_HASHTAGS = 30  # Instagram's hard ceiling; MAX_HASHTAGS is the working limit
SECONDS = (15.0, 45.0)  # a reel of ours
LARGEST_FILE = 256 * 1024
DEEPEST = 12

WORDS_PER_SECOND = 2.7  # of an unchanged voice; tape and speed of the character scale it
PAUSE_S = 0.3  # between two lines

# The joke must be the last thing heard. Mechanically: the dialogue ends on a word that can carry
# it, so not on a function word, a filler or a laugh, and not on the name of the one spoken to.
_WEAK_ENDINGS = frozenset(
    """a an and are as at be been but by can could did do does for from had has have he her here him
    his i if in is it its like maybe me my of okay on or our out really she should so than that the
    their them then there these they this those though to too up us was we well were will with would
    yeah yes yet you your anyway haha hahaha lol hehe right actually basically please thanks""".split()
)
_FORBIDDEN_TEXT = (
    (re.compile(r"@\w"), "mentions somebody with @"),
    (
        re.compile(r"(?i)\bhttps?:|\bwww\.|\b[a-z0-9-]+\.(?:com|net|org|io|tv|gg|ly|me|de|fr)\b"),
        "contains a link",
    ),
    (re.compile(r"(?:\+|\b)\d(?:[ ()./-]?\d){7,}\b"), "contains a phone number"),
    (re.compile(r"[<>{}\[\]|*_`~\\]"), "contains markup or an unfilled slot"),
)


def check_script(
    script: Script,
    show: Show,
    *,
    topic: str,
    lines_min: int = 5,
    lines_max: int = 12,
    max_hashtags: int = 5,
) -> list[str]:
    """All that is wrong with a script, one sentence each; empty when it may go on."""
    return [
        *_structure(script, show, lines_min=lines_min, lines_max=lines_max),
        *_words(script, show),
        *_post(script, show, max_hashtags=max_hashtags),
        *_craft(script, show, topic),
    ]


def estimated_seconds(script: Script, show: Show) -> float:
    """Spoken length by the words and the tempo of each character's voice."""
    tempo = {c.name: c.voice.speed * c.voice.tape for c in show.characters}
    spoken = sum(
        len(line.text.split()) / (WORDS_PER_SECOND * tempo.get(line.character, 1.0))
        for line in script.lines
    )
    return spoken + PAUSE_S * max(len(script.lines) - 1, 0)


def names_topic(topic: str, text: str) -> bool:
    """Whether the words of the topic stand in the text, in order; case and accents aside."""
    return f" {_plain_words(topic)} " in f" {_plain_words(text)} "


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
    problems = [
        *_structure(script, show, lines_min=config.lines_min, lines_max=config.lines_max),
        *_words(script, show),
        *_post(script, show, max_hashtags=config.max_hashtags),
    ]
    if problems:
        raise UserError(f"{where}: {problems[0]}")
    return script


def _structure(script: Script, show: Show, *, lines_min: int, lines_max: int) -> Iterator[str]:
    count = len(script.lines)
    if not lines_min <= count <= lines_max:
        yield f"It has {count} lines; {lines_min} to {lines_max} are allowed."
    for number, line in enumerate(script.lines, 1):
        if line.index != number:
            yield f"Line {number} has the index {line.index}; count the lines from 1 without a gap."
        if not any(char.isalpha() for char in line.text):
            yield f"Line {number} is empty; every line needs words."
        if len(line.text) > LONGEST_LINE:
            yield f"Line {number} has {len(line.text)} characters; at most {LONGEST_LINE} can be said."
    names = [character.name for character in show.characters]
    speaking = {line.character for line in script.lines}
    for stranger in sorted(speaking - set(names)):
        yield f"There is no character {stranger!r} in this show; it has {' and '.join(names)}."
    for silent in sorted(set(names) - speaking):
        yield f"{silent} says nothing; both characters must speak."


def _words(script: Script, show: Show) -> Iterator[str]:
    texts = [(f"Line {line.index}", line.text) for line in script.lines]
    for where, text in [*texts, ("The caption", script.caption)]:
        yield from (f"{where} {what}." for form, what in _FORBIDDEN_TEXT if form.search(text))
        if any(_is_invisible(char) for char in text if where != "The caption" or char != "\n"):
            yield f"{where} contains control or direction characters."
        yield from (
            f"{where} contains the blocked word {word!r}."
            for word in show.blocked_words
            if names_topic(word, text)
        )
    for where, text in texts:
        yield from (
            f"{where} says {word!r}, which no voice of this show may say; use a nickname."
            for word in show.unspoken_words
            if names_topic(word, text)
        )


def _post(script: Script, show: Show, *, max_hashtags: int) -> Iterator[str]:
    limit = min(max_hashtags, MOST_HASHTAGS)
    if not script.caption.strip():
        yield "The caption is missing."
    if limit and not script.hashtags:
        yield "The hashtags are missing."
    if len(script.hashtags) > limit:
        yield f"It has {len(script.hashtags)} hashtags; at most {limit} are allowed."
    if len({tag.casefold() for tag in script.hashtags}) < len(script.hashtags):
        yield "A hashtag is there twice."
    if "#" in script.caption:
        yield "The caption has a hashtag inside; list it under `hashtags`."
    number = script.episode if isinstance(script.episode, int) else 999_999
    length = len(show.post_text(number, script.caption, script.hashtags))
    if length > LONGEST_POST:
        yield f"The text of the post has {length} characters; at most {LONGEST_POST} are allowed."


def _craft(script: Script, show: Show, topic: str) -> Iterator[str]:
    if not any(names_topic(topic, line.text) for line in script.lines):
        yield f"Nobody names the topic {topic!r}."
    seconds = estimated_seconds(script, show)
    if not SECONDS[0] <= seconds <= SECONDS[1]:
        yield f"It would last about {seconds:.0f} s; {SECONDS[0]:.0f} to {SECONDS[1]:.0f} are wanted."
    if script.lines and not ends_on_punch_word(script.lines[-1].text, show):
        yield "The last word of the last line is not the joke."


def ends_on_punch_word(text: str, show: Show) -> bool:
    """Whether the last word can carry the joke; see the comment at the top."""
    words = _plain_words(text).split()
    names = {
        word
        for character in show.characters
        for name in (character.name, *character.nicknames)
        for word in _plain_words(name).split()
    }
    # A nickname can be the joke itself ("after you, boss"), but not after a comma at a full line.
    vocative = bool(words) and words[-1] in names and "," not in text
    return bool(words) and len(words[-1]) > 1 and words[-1] not in _WEAK_ENDINGS and not vocative


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
    character: Character = show.character(line.character.strip())
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


def _plain_words(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(char for char in bare if not unicodedata.combining(char))
    return " ".join(re.findall(r"[^\W_]+", letters))


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
