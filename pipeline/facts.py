"""What a stage must know from the database: arguments of its own, for a worker never opens it.

The engine asks the services for them when an attempt begins; workflow.py names them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from pipeline.sections import (
    Emotion,
    FileName,
    RefusedPicture,
    Section,
    SentPicture,
    Sha256,
    SourceState,
)


class Sources(Section):
    """Fact for the trends stage: how the sources did when they were last asked."""

    states: tuple[SourceState, ...] = ()


class Rejection(Section):
    """Why a reel was rejected; `words` are the person's own, if any."""

    reason: str
    words: str = ""
    topic: str = ""


class Memory(Section):
    """Fact for the writer: the newest first."""

    skeletons: tuple[str, ...] = ()
    """Skeleton ids of the last reels."""
    texts: tuple[str, ...] = ()
    """Full dialogue of the last reels, one string each."""
    topics: tuple[str, ...] = ()
    """Of the last reels; not to be used again."""
    gags: dict[str, int] = Field(default_factory=dict)
    """Running gag -> how many reels ago it was last used (0 is the last reel)."""
    rejections: tuple[Rejection, ...] = ()
    """Recent ones; older ones have aged out."""


class Topic(Section):
    """A trend that a pitch may be about."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    source: str
    headlines: tuple[str, ...] = ()


class Topics(Section):
    """Fact for the pitches stage: what may be pitched, the best first, and how many pitches."""

    topics: tuple[Topic, ...]
    count: Annotated[int, Field(ge=1, le=5)] = 5


class Picture(Section):
    """A row of the image library; `path` is relative to DATA_DIR."""

    image_id: int
    character: str
    emotion: Emotion
    path: FileName
    sha256: Sha256
    usage_count: int = 0
    last_used_at: AwareDatetime | None = None
    source: str = "rig"
    """`rig` and `photo` can speak a line; what a `model` drew is for covers and cutaways."""


class Library(Section):
    """Fact for the images stage: every picture of the characters in the script."""

    pictures: tuple[Picture, ...]


class PreviewLimit(Section):
    """Fact for the preview stage: the largest file the Discord server takes."""

    bytes: Annotated[int, Field(ge=100_000)]


class PromotedModel(Section):
    """The model in use for a character; `path` is relative to DATA_DIR."""

    promotion_id: int
    character: str
    path: Annotated[str, Field(pattern=r"^models/[A-Za-z0-9_-]+/promoted-\d+$")]
    sha256: Sha256
    """Of its model_info.json."""
    pictures: tuple[FileName, ...] = ()
    """What the character is trained with; what the model draws is compared with them."""


class Models(Section):
    """Fact for whatever draws: at most one model for each character."""

    models: tuple[PromotedModel, ...] = ()
    why: str = ""
    """A sentence, when none may draw although there are some."""


class Upload(SentPicture):
    """A file somebody sent; its bytes lie in DATA_DIR."""

    path: Annotated[str, Field(pattern=r"^training/incoming/[0-9a-f]{32}$")]


class KnownPicture(Section):
    """A picture that is there already, to tell duplicates by."""

    sha256: Sha256
    source_sha256: Sha256
    average_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Uploads(Section):
    """Fact for the intake stage: what arrived for a character, and what it has."""

    character: str
    files: tuple[Upload, ...]
    refused: tuple[RefusedPicture, ...] = ()
    """Those of the same upload that were too large to be received."""
    known: tuple[KnownPicture, ...] = ()
    uploaded_by: str


class Gaps(Section):
    """Fact for the drawings stage: the emotions of a character that a model has to draw."""

    board: int
    model: PromotedModel
    emotions: tuple[Emotion, ...]
