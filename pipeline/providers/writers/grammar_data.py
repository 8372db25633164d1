"""The grammar as typed data: sketches, topic families, captions and default phrase banks."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.sections import Emotion

FOLDER = Path(__file__).parent / "comedy"
SKETCH_FILES = ("any_one", "any_two", "families_one", "families_two")
Phrasings = Annotated[tuple[str, ...], Field(min_length=1)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Beat(_Data):
    """One line of a sketch; any phrasing of it answers any phrasing of the beat before."""

    role: Literal["dry", "wild"]
    emotion: Emotion
    says: Phrasings

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, data: dict[str, list[str]]) -> dict[str, object]:
        (head, says), *more = data.items()
        if more:
            raise ValueError("a beat is one `role emotion` and its phrasings")
        role, emotion = head.split()
        return {"role": role, "emotion": emotion, "says": says}


class Sketch(_Data):
    """A skeleton of a dialogue. Without `families` it fits every topic."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    pattern: str
    families: tuple[str, ...] = ()
    not_families: tuple[str, ...] = ()
    """E.g. nobody is cooked or reviewed who is a person."""
    needs: tuple[str, ...] = ()
    """Slots that only some topics give, e.g. `a` and `b` of "a vs b"."""
    ask: Phrasings
    beats: Annotated[tuple[Beat, ...], Field(min_length=6, max_length=10)]


class Family(_Data):
    """A kind of topic: the words it is known by, its own phrase banks and hashtags."""

    words: tuple[str, ...]
    banks: dict[str, Phrasings]
    hashtags: tuple[str, ...]


class Grammar(_Data):
    sketches: tuple[Sketch, ...]
    families: dict[str, Family]
    hooks: dict[str, Phrasings]
    banks: dict[str, Phrasings]
    words: dict[str, frozenset[str]]
    """Lists for reading a topic: `small` words, `acronyms`, `first_names`."""
    sha256: str
    """Of the files, so that a script says which grammar wrote it."""


@cache
def load_grammar() -> Grammar:
    """Read the bundled grammar; it never changes while a process lives."""
    names = (*SKETCH_FILES, "families", "captions", "defaults", "words")
    raw = {name: (FOLDER / f"{name}.yaml").read_bytes() for name in names}
    data = {name: yaml.load(text, Loader=_loader()) for name, text in raw.items()}
    return Grammar(
        sketches=tuple(
            Sketch.model_validate(sketch) for name in SKETCH_FILES for sketch in data[name]
        ),
        families=data["families"],
        hooks=data["captions"]["hooks"],
        banks=data["defaults"],
        words={name: frozenset(text.split(", ")) for name, text in data["words"].items()},
        sha256=hashlib.sha256(b"\0".join(raw.values())).hexdigest(),
    )


def _loader() -> type[yaml.SafeLoader | yaml.CSafeLoader]:
    # libyaml's loader is ten times faster, and as safe; not every wheel of PyYAML has it.
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
