"""Reads a language model's answer: JSON text in, a script or pitches out, or what is wrong."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.facts import Topic
from pipeline.providers.writers.filter import tidied
from pipeline.sections import Brief, Emotion, Line, Pitch, Script, ScriptMetadata
from pipeline.shows import Show

LONGEST_ANSWER = 200_000  # characters; what is longer is no script
MOST_SHOWN = 6
_HASHTAG = re.compile(r"\w{1,60}")


class Broken(Exception):
    """The answer has not the form that was asked for; `problems` are sentences."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Line(_Answer):
    character: str = Field(max_length=60)
    text: str = Field(min_length=1, max_length=280)
    emotion: Emotion


class _Script(_Answer):
    lines: list[_Line] = Field(min_length=1, max_length=60)
    caption: str = Field(max_length=2000)
    hashtags: list[str] = Field(max_length=60)
    gags: list[int] = Field(default_factory=list, max_length=60)


class _Pitch(_Answer):
    topic: int
    hook: str = Field(min_length=1, max_length=280)
    last_line: str = Field(min_length=1, max_length=280)
    why: str = Field(default="", max_length=200)


class _Pitches(_Answer):
    pitches: list[_Pitch] = Field(max_length=60)


T = TypeVar("T", bound=_Answer)


def read_script(text: str, brief: Brief, show: Show, metadata: ScriptMetadata) -> Script:
    """`metadata` gets the running gags added; Broken says what is wrong with the form."""
    answer = _read(text, _Script)
    names = {character.name for character in show.characters}
    if any(line.character not in names for line in answer.lines):
        raise Broken([f"Only {' and '.join(sorted(names))} speak in this show."])
    hashtags = tuple(tag.strip().removeprefix("#") for tag in answer.hashtags)
    if not all(_HASHTAG.fullmatch(tag) for tag in hashtags):
        raise Broken(["A hashtag has letters and digits only, at most 60 of them."])
    try:  # plain punctuation may take more room than what was written
        lines = tuple(
            Line(index=n, character=line.character, text=tidied(line.text), emotion=line.emotion)
            for n, line in enumerate(answer.lines, 1)
        )
        return Script(
            episode=brief.episode,
            metadata=metadata.model_copy(update={"gags": _gags(answer.gags, show)}),
            lines=lines,
            caption=_in_one_line(answer.caption),
            hashtags=hashtags,
        )
    except ValidationError as error:
        raise Broken(_sentences(error)) from error


def read_pitches(text: str, topics: list[Topic]) -> list[Pitch]:
    """The first pitch for each topic; numbers that no topic has are passed over."""
    answer = _read(text, _Pitches)
    found: dict[int, Pitch] = {}
    try:
        for pitch in answer.pitches:
            if 1 <= pitch.topic <= len(topics) and pitch.topic not in found:
                found[pitch.topic] = _pitch(pitch, topics[pitch.topic - 1])
    except ValidationError as error:  # as above
        raise Broken(_sentences(error)) from error
    return list(found.values())


def _pitch(pitch: _Pitch, topic: Topic) -> Pitch:
    return Pitch(
        topic=topic.name,
        source=topic.source,
        hook=tidied(pitch.hook) or "-",
        last_line=tidied(pitch.last_line) or "-",
        why=_in_one_line(pitch.why),
    )


def _in_one_line(text: str) -> str:
    return tidied(" ".join(re.split(r"[\r\n]+", text)))


def _read(text: str, form: type[T]) -> T:
    """Local models like to wrap their JSON in words or fences."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start or len(text) > LONGEST_ANSWER:
        raise Broken(["It is not the JSON object that was asked for."])
    try:
        return form.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        raise Broken(_sentences(error)) from error


def _sentences(error: ValidationError) -> list[str]:
    """Where and what, never the value: that is the model's own text."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if any(one["type"] == "json_invalid" for one in found):
        return ["It is not valid JSON."]
    places = [".".join(str(part) for part in one["loc"][:3]) for one in found]
    texts = [f"{place}: {one['msg']}." for place, one in zip(places, found, strict=True)]
    return list(dict.fromkeys(texts))[:MOST_SHOWN]


def _gags(numbers: list[int], show: Show) -> tuple[str, ...]:
    known = [number for number in dict.fromkeys(numbers) if 1 <= number <= len(show.running_gags)]
    return tuple(show.running_gags[number - 1] for number in known)
