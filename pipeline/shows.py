"""A show is a folder: show.yaml, one SVG rig per character, backgrounds.

The bundled ones live beside this file in `shows/`; DATA_DIR/shows/ holds the user's own,
which win over a bundled one of the same name. No stage names a character.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import UserError
from pipeline.sections import Emotion

BUNDLED = Path(__file__).parent / "shows"
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
PlainFile = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.[a-z]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VoiceStyle(_Strict):
    """How the offline voice speaks a character.

    `blend` mixes named style vectors (weights sum to 1). `tape` replays the samples at another
    rate, pitch and formants together (1.35 is a third higher and shorter); `speed` is the
    tempo asked of the model before that. `accent` names a set of phoneme rules.
    """

    blend: dict[str, Annotated[float, Field(gt=0, le=1)]]
    speed: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    tape: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    accent: Literal["none", "french"] = "none"
    fallback_speed: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    fallback_tape: Annotated[float, Field(ge=0.5, le=2)] = 1.0

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> VoiceStyle:
        if abs(sum(self.blend.values()) - 1) > 0.01:
            raise ValueError("the weights under `blend` must sum to 1")
        return self


class ElevenLabsSettings(_Strict):
    """What changes how an ElevenLabs voice says a line; None leaves it as it is.

    `stability` at 0 is the most emotional. Ranges are the service's own.
    """

    stability: Annotated[float, Field(ge=0, le=1)] | None = None
    similarity_boost: Annotated[float, Field(ge=0, le=1)] | None = None
    style: Annotated[float, Field(ge=0, le=1)] | None = None
    speed: Annotated[float, Field(ge=0.7, le=1.2)] | None = None
    use_speaker_boost: bool | None = None


class ElevenLabsStyle(_Strict):
    """How ElevenLabs speaks a character; defaults are the service's.

    `voice` is a voice's id, where the settings name none; `emotions` override the rest.
    """

    voice: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{0,64}$")] = ""
    stability: Annotated[float, Field(ge=0, le=1)] = 0.5
    similarity_boost: Annotated[float, Field(ge=0, le=1)] = 0.75
    style: Annotated[float, Field(ge=0, le=1)] = 0.0
    speed: Annotated[float, Field(ge=0.7, le=1.2)] = 1.0
    use_speaker_boost: bool = True
    emotions: dict[Emotion, ElevenLabsSettings] = {}

    def settings(self, emotion: Emotion) -> ElevenLabsSettings:
        """Every setting for a line, none of them None."""
        own = self.model_dump(exclude={"voice", "emotions"})
        override = self.emotions.get(emotion, ElevenLabsSettings())
        return ElevenLabsSettings(**{**own, **override.model_dump(exclude_none=True)})


class Character(_Strict):
    """One of the two; `role` tells the writer who is dry and who is wild."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,30}$")]
    role: Literal["dry", "wild"]
    species: str
    class_noun: Annotated[str, Field(pattern=r"^[a-z][a-z -]{0,39}$")] | None = None
    """What a network calls such a being; the species in lower case if it is not given."""
    persona: str
    nicknames: tuple[str, ...] = ()
    """What the *other* one calls this character; safe for the voice to say."""
    phrases: dict[str, tuple[str, ...]] = {}
    """Phrase banks of the character for the offline writer, by name of the slot."""
    colour: Colour
    rig: PlainFile
    voice: VoiceStyle
    elevenlabs: ElevenLabsStyle = ElevenLabsStyle()


class Show(_Strict):
    """Everything a stage knows of the characters and their world."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    title: str
    premise: str
    rules: tuple[str, ...] = ()
    running_gags: tuple[str, ...] = ()
    characters: tuple[Character, Character]
    backgrounds: dict[str, tuple[str, ...]]
    """Background file -> topic families it suits; one of them has `default`."""
    caption_template: str = "{caption}\n\n{title} No. {episode}\n{hashtags}"
    hashtags: tuple[Annotated[str, Field(pattern=r"^\w{1,60}$")], ...] = ()
    blocked_words: tuple[str, ...] = ()
    unspoken_words: tuple[str, ...] = ()
    """Words no voice may say, e.g. a name that is heard as another word; captions may have them."""
    folder: Path = Field(exclude=True)

    @field_validator("caption_template")
    @classmethod
    def _template_can_be_filled(cls, template: str) -> str:
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        if unknown := names - {"caption", "title", "episode", "hashtags"}:
            raise ValueError(f"there is no {{{min(unknown)}}}; write {{{{ for a brace")
        if missing := {"caption", "episode"} - names:
            # A post whose answer was lost is found again by its text, so no two may be alike.
            raise ValueError(f"it must contain {{{min(missing)}}}")
        try:
            template.format(caption="", title="", episode=1, hashtags="")
        except LookupError as error:  # a name inside a format, as in {caption:{width}}
            raise ValueError(f"there is no {{{error.args[0]}}}") from error
        return template

    @model_validator(mode="after")
    def _roles_and_files(self) -> Show:
        if {c.role for c in self.characters} != {"dry", "wild"}:
            raise ValueError("one character must be `dry` and the other `wild`")
        for name in [*(c.rig for c in self.characters), *self.backgrounds]:
            if not re.fullmatch(r"[A-Za-z0-9_-]+\.svg", name) or not (self.folder / name).is_file():
                raise ValueError(f"there is no file {name} in the folder of the show")
        return self

    def character(self, name: str) -> Character:
        """Look a character up, in any letter case."""
        for character in self.characters:
            if character.name.casefold() == name.casefold():
                return character
        names = " and ".join(c.name for c in self.characters)
        raise UserError(f"There is no character {name!r} in this show; it has {names}.")

    def post_text(self, episode: int, caption: str, hashtags: tuple[str, ...]) -> str:
        """The text that goes out with the reel; the number marks the post as ours."""
        tags = " ".join(f"#{tag}" for tag in hashtags)
        return self.caption_template.format(
            caption=caption, title=self.title, episode=episode, hashtags=tags
        ).strip()


def load_show(name: str, data_dir: Path | None = None) -> Show:
    """Read a show by name; UserError names the file and the field that is wrong."""
    folders = [BUNDLED / name] if data_dir is None else [data_dir / "shows" / name, BUNDLED / name]
    if not re.fullmatch(r"[a-z0-9_]{1,40}", name):
        raise UserError(f"SHOW={name!r} is not a show's name; use letters, digits and underscores.")
    for folder in folders:
        if (folder / "show.yaml").is_file():
            return read_show(folder)
    raise UserError(f"There is no show {name!r}; put a show.yaml into {folders[0]}.")


def read_show(folder: Path) -> Show:
    """Read the show in a folder; UserError names the field that is wrong."""
    path = folder / "show.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Show.model_validate({**data, "name": folder.name, "folder": folder})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "show"
        raise UserError(f"{path}: {where}: {first['msg']}.") from error
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a YAML mapping; correct it and try again.") from error
