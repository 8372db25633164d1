"""The typed parts of an episode and what stages read; all of it is stored as JSON.

Sections are made by the stage of the same name (brief, script, voices, images, video, preview).
What a stage must know besides is in facts.py.
Times are seconds from the start of the reel unless said otherwise; paths are relative.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """Base of everything that is stored or crosses a process: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Emotion(StrEnum):
    """The eight emotions a line can have and a picture can show."""

    HAPPY = "happy"
    SAD = "sad"
    EXCITED = "excited"
    SARCASTIC = "sarcastic"
    ANGRY = "angry"
    CONFUSED = "confused"
    SURPRISED = "surprised"
    NEUTRAL = "neutral"


Text = Annotated[str, Field(min_length=1, max_length=280)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.[a-z0-9]+$")]
"""A relative path of plain names: no `..`, no leading slash, nothing that needs quoting."""


class TrendItem(Section):
    """One topic people talk about; `headlines` say why, and are never used in a reel."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    score: Annotated[float, Field(ge=0, le=1)]
    timestamp: AwareDatetime
    source: str
    region: str = ""
    headlines: tuple[str, ...] = ()


class SourceState(Section):
    """What is remembered of a trend source; `failures` counts those in a row."""

    name: str
    failures: int = 0
    not_before: AwareDatetime | None = None
    """Until then it is not asked."""
    has_named: bool = False
    """It has named that time itself (Retry-After), so a person does not shorten it."""
    error: str = ""
    answered_at: AwareDatetime | None = None


class Trends(Section):
    """What a fetch found; `failures` are sentences, one per source that did not answer."""

    items: tuple[TrendItem, ...]
    failures: tuple[str, ...] = ()
    sources: tuple[SourceState, ...] = ()
    """As they are now, of every source there is but the bundled list; resting ones included."""


class Premise(Section):
    """How a pitch wants the reel to begin and to end."""

    hook: Text
    last_line: Text


class Brief(Section):
    """What the writer is asked for; with a premise when it was chosen from a pitch."""

    episode: int
    topic: Annotated[str, Field(min_length=1, max_length=120)]
    headlines: tuple[str, ...] = ()
    source: str = "hand"
    premise: Premise | None = None
    created_at: AwareDatetime


class Pitch(Section):
    """A premise as text, before anything is voiced."""

    topic: Annotated[str, Field(min_length=1, max_length=120)]
    source: str
    hook: Text
    last_line: Text
    why: Annotated[str, Field(max_length=280)] = ""
    """Why this trend, in a sentence."""


class Pitches(Section):
    """At most one per topic."""

    pitches: tuple[Pitch, ...]
    provider: str = "offline"


class Line(Section):
    """One line of dialogue; `index` counts from 1."""

    index: Annotated[int, Field(ge=1)]
    character: str
    text: Text
    emotion: Emotion


class ScriptMetadata(Section):
    """Where a script came from. `provider` is `offline`, `openai`, `anthropic` or `hand`."""

    provider: str = "hand"
    model: str = ""
    prompt_hash: str = ""
    trends: tuple[str, ...] = ()
    created_at: datetime | None = None
    cost_usd: float = 0.0
    skeleton: str = ""
    gags: tuple[str, ...] = ()
    """Running gags of the show that it uses."""
    family: str = ""
    """Topic family, e.g. `sport` or `weather`; the video stage picks the background by it."""

    @field_validator("created_at")
    @classmethod
    def _is_utc_by_itself(cls, at: datetime | None) -> datetime | None:
        """A file written by hand may not name its zone."""
        return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


class Script(Section):
    """The dialogue, with the caption and hashtags that go out with it (hashtags without `#`).

    Reads old files too: `script` for `lines`, `line` for `text`, a missing `index`.
    """

    schema_version: Literal[1] = 1
    episode: int | str | None = None
    metadata: ScriptMetadata = ScriptMetadata()
    lines: tuple[Line, ...]
    caption: Annotated[str, Field(max_length=2000)] = ""
    hashtags: tuple[Annotated[str, Field(pattern=r"^\w{1,60}$")], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if "lines" not in data and "script" in data:
            data["lines"] = data.pop("script")
            data.pop("characters", None)
            data.pop("timestamp", None)
            old = data.get("metadata")
            if isinstance(old, dict):
                keep = {k: v for k, v in old.items() if k in ScriptMetadata.model_fields}
                data["metadata"] = {"provider": old.get("llm_provider", "hand"), **keep}
        lines = data.get("lines")
        if isinstance(lines, list):
            data["lines"] = [_line_with_new_names(n, line) for n, line in enumerate(lines, 1)]
        return data


def _line_with_new_names(number: int, line: Any) -> Any:
    if not isinstance(line, dict):
        return line
    line = {"index": number, **line}
    if "text" not in line and "line" in line:
        line["text"] = line.pop("line")
    return line


class Word(Section):
    """A word as the script spells it. Words of a line joined by single spaces give its text."""

    text: str
    start: float
    end: float


class Phoneme(Section):
    """One symbol of the voice's own alphabet; the video stage picks the mouth by it."""

    symbol: str
    start: float
    end: float


class SpokenLine(Section):
    """A line on the timeline; `audio_file` is relative to the revision's folder."""

    index: int
    character: str
    text: str
    emotion: Emotion
    audio_file: FileName
    start_time: float
    duration: float
    end_time: float
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...] = ()
    sha256: Sha256
    sample_rate: int
    chars_billed: int = 0
    reused: bool = False
    """True when the audio was made earlier and nothing was synthesised."""
    plan: str = ""
    """The account's plan when the audio was made; audio of a free plan is never published."""


class Voices(Section):
    """The timeline: who says what, when; also stored as `timeline.json`."""

    episode: int
    provider: str
    lines: tuple[SpokenLine, ...]
    total_duration: Annotated[float, Field(gt=0)]


class Selection(Section):
    """Which picture a line shows; `fallback_from` is the emotion that had none."""

    line_index: int
    character: str
    emotion: Emotion
    image_id: int
    image_path: FileName
    sha256: Sha256
    fallback_from: Emotion | None = None
    found: bool = True


class Cutaway(Section):
    """A full picture of a character who does not speak: drawn by a model, seen for a moment.

    `image_id` is its row in the library; None when it was drawn for this episode.
    """

    line_index: int
    character: str
    emotion: Emotion
    image_path: FileName
    sha256: Sha256
    image_id: int | None = None
    prompt: str = ""
    score: float | None = None


class Images(Section):
    """One selection per line; also stored as `image_selections.json`."""

    episode: int
    selections: tuple[Selection, ...]
    cutaways: tuple[Cutaway, ...] = ()
    """At most one per line, in the script's order."""
    cover: Cutaway | None = None
    """Shown on the cover in place of a drawing of the rig; its line is the one it stands for."""
    missing: tuple[dict[str, str], ...] = ()
    """Pairs of character and emotion that the library lacks (a fall-back was shown)."""
    notes: tuple[str, ...] = ()
    """Sentences: why nothing was drawn anew, where that was asked for."""
    stats: dict[str, int] = Field(default_factory=dict)


class Video(Section):
    """The finished reel; file names are relative to the revision's folder."""

    episode: int
    reel: FileName = "reel.mp4"
    cover: FileName = "cover.jpg"
    storyboard: FileName = "storyboard.png"
    sha256: Sha256
    cover_sha256: Sha256
    size_bytes: int
    duration_s: float
    width: int
    height: int
    fps: float
    frames: int
    loudness_lufs: float
    peak_dbtp: float
    longest_silence_s: float
    drawn: tuple[int, ...] = ()
    """What a model drew for the library and is seen here, as a cutaway or on the cover."""


class Preview(Section):
    """The file shown in the draft: the reel itself when it fits."""

    episode: int
    path: FileName
    size_bytes: int
    is_reel: bool


class SentPicture(Section):
    """A file of an upload; `number` is its place there, `name` what the person calls it."""

    number: Annotated[int, Field(ge=1, le=26)]
    name: str

    @property
    def letter(self) -> str:
        """Its mark on the sheet, as a number would be taken for one of the character's list."""
        return chr(ord("A") + self.number - 1)


class TakenPicture(SentPicture):
    """An upload that was taken: encoded anew and stored under its content's hash."""

    path: FileName
    sha256: Sha256
    source_sha256: Sha256
    width: int
    height: int
    average_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    sharpness: float
    remarks: tuple[str, ...] = ()
    """Sentences: small, blurred, or much like another one."""


class RefusedPicture(SentPicture):
    """An upload that was not taken; `reason` is a sentence."""

    reason: str


class Intake(Section):
    """What became of uploads; `sheet` is a contact sheet, relative to DATA_DIR."""

    character: str
    taken: tuple[TakenPicture, ...] = ()
    refused: tuple[RefusedPicture, ...] = ()
    sheet: FileName | None = None
    uploaded_by: str


class Drawing(Section):
    """What a model drew for the library; `path` is relative to DATA_DIR, `score` 0 to 1."""

    emotion: Emotion
    path: FileName
    sha256: Sha256
    width: int
    height: int
    score: float


class Drawings(Section):
    """The best of several candidates for each emotion; `sheet` shows them with their numbers."""

    board: int
    drawings: tuple[Drawing, ...]
    sheet: FileName
