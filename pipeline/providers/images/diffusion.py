"""Pictures by a trained model: the only module of the pipeline that reaches PyTorch.

What is drawn is said in our own words only: the prompt that the model was trained with, an
emotion, and a place for the family of a topic. A headline never gets here.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from pipeline.config import ImagesConfig
from pipeline.errors import UserError
from pipeline.facts import PromotedModel
from pipeline.sections import Emotion
from training.errors import TrainingError
from training.files import sha256_of
from training.model_info import INFO_FILE, ModelInfo, read_model, settings_of

log = logging.getLogger(__name__)

FACES: dict[Emotion, str] = {
    Emotion.HAPPY: "happy face, big warm smile",
    Emotion.SAD: "sad face, drooping eyes, a tear",
    Emotion.EXCITED: "excited face, mouth wide open, sparkling eyes",
    Emotion.SARCASTIC: "sarcastic face, smirk, one eyebrow raised, half-closed eyes",
    Emotion.ANGRY: "angry face, frown, clenched teeth",
    Emotion.CONFUSED: "confused face, head tilted, puzzled look",
    Emotion.SURPRISED: "surprised face, wide eyes, open mouth",
    Emotion.NEUTRAL: "neutral face, calm look",
}
PLACES = {
    "sport": "in a sports stadium",
    "weather": "outdoors under a dramatic sky",
    "holiday": "at a festive party",
    "place": "in front of a famous square",
    "animal": "in a park",
    "food": "in a kitchen",
    "film": "in a cinema",
    "money": "on a busy city street",
    "gadget": "in a room full of gadgets",
    "outage": "in a dark living room",
    "news": "on a city street",
    "celebrity": "on a red carpet",
}
"""By the family of a topic; another family is drawn before a plain wall."""
NOWHERE = "simple background"
FRAMING = "head and shoulders portrait, centered"
NEGATIVE = "blurry, low quality, deformed, extra limbs, two heads, text, watermark, signature"
"""Nothing here may forbid the style: the characters are cartoons, seen from any side."""
MOST_REFERENCES = 12
LARGEST_REFERENCE = (512, 512)
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
EXTRA_MISSING = "Drawing needs PyTorch, which is not installed; `./run install training` adds it."


class Painter(Protocol):
    """What training.painter.open_painter gives."""

    def paint(
        self,
        prompt: str,
        *,
        seed: int,
        width: int,
        height: int,
        steps: int,
        guidance: float,
        negative: str,
    ) -> Image.Image: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Drawn:
    """The best of several candidates; `score` is None when there was nothing to compare with."""

    image: Image.Image
    prompt: str
    seed: int
    score: float | None


class TrainedModel:
    """One loaded model; draws as many pictures as asked for."""

    def __init__(
        self,
        painter: Painter,
        info: ModelInfo,
        references: Sequence[Image.Image],
        config: ImagesConfig,
    ) -> None:
        self._painter = painter
        self._info = info
        self._references = references
        self._config = config

    def prompt(self, emotion: Emotion, place: str = NOWHERE) -> str:
        return ", ".join((self._info.instance_prompt, FACES[emotion], place, FRAMING))

    def draw(
        self,
        prompt: str,
        seeds: Sequence[int],
        *,
        check: Callable[[], None] = lambda: None,
        until: float = float("inf"),
    ) -> Drawn | None:
        """One candidate per seed, the best of them; None when none shows anything.

        `check` is called before each. After `until` (of time.monotonic) no further one is begun.
        """
        best: Drawn | None = None
        for number, seed in enumerate(seeds):
            if number and time.monotonic() > until:
                break
            check()
            drawn = self._candidate(prompt, seed)
            if drawn and (best is None or (drawn.score or 0) > (best.score or 0)):
                best = drawn
        return best

    def _candidate(self, prompt: str, seed: int) -> Drawn | None:
        from training import scores  # numpy, and none of torch

        width, height = portrait_size(self._info.resolution)
        image = self._painter.paint(
            prompt,
            seed=seed,
            width=width,
            height=height,
            steps=self._config.steps,
            guidance=self._config.guidance,
            negative=NEGATIVE,
        )
        if scores.is_blank(image):
            return None
        value = scores.score(image, self._references) if self._references else None
        return Drawn(image, prompt, seed, value)

    def close(self) -> None:
        self._painter.close()


@contextmanager
def opened(
    folder: Path,
    config: ImagesConfig,
    *,
    references: Sequence[Path] = (),
    sha256: str | None = None,
) -> Iterator[TrainedModel]:
    """The model in a folder of a result or a promotion; UserError when it cannot be used.

    That may come while it draws, as when a GPU has too little room. `sha256` is what its
    description must have; the description names all other files.
    """
    try:
        with closing(_open(folder, config, references, sha256)) as model:
            yield model
    except TrainingError as error:
        # Where DATA_DIR lies is nothing for a channel to know.
        sentence = str(error).replace(str(folder), "/".join(folder.parts[-3:]))
        raise UserError(sentence) from error


def _open(
    folder: Path, config: ImagesConfig, references: Sequence[Path], sha256: str | None
) -> TrainedModel:
    info = read_model(folder)
    if sha256 is not None and sha256_of(folder / INFO_FILE) != sha256:
        raise TrainingError(f"{folder.name} is not the model that was promoted.")
    try:
        painter = open_painter(folder)
    except ImportError as error:
        log.info("no drawing: %s", error)
        raise UserError(EXTRA_MISSING) from error
    return TrainedModel(painter, info, read_references(references), config)


@contextmanager
def promoted(
    model: PromotedModel, data_dir: Path, config: ImagesConfig, *, else_like: Sequence[Path] = ()
) -> Iterator[TrainedModel]:
    """The model in use of a character, compared with what it learned from or with `else_like`."""
    learned = [data_dir / picture for picture in model.pictures]
    references = [path for path in learned if path.is_file()] or else_like
    with opened(
        data_dir / model.path, config, references=references, sha256=model.sha256
    ) as trained:
        yield trained


def open_painter(folder: Path) -> Painter:
    from training.painter import open_painter

    painter: Painter = open_painter(folder)
    return painter


def portrait_size(resolution: int) -> tuple[int, int]:
    """Width and height, 2:3, for a model trained at a resolution; a taller one gets two heads."""
    step = 64 if resolution >= 256 else 8
    return resolution, round(resolution * 1.5 / step) * step


def learned_from(folder: Path) -> list[Path]:
    """The pictures a model learned from, where its settings say they are."""
    try:
        pictures = settings_of(folder).instance_data_dir
        return [path for path in pictures.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    except (TrainingError, OSError):
        return []


def read_references(paths: Sequence[Path]) -> list[Image.Image]:
    """Some of the pictures, evenly chosen; those that cannot be read are passed over."""
    step = max(1, -(-len(paths) // MOST_REFERENCES))
    found = []
    for path in sorted(paths)[::step]:
        try:
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as file:
                file.thumbnail(LARGEST_REFERENCE)
                found.append(file.convert("RGBA"))
        except (OSError, ValueError, Image.DecompressionBombError):
            log.warning("%s cannot be read, and is not compared with", path.name)
    return found


def seed_of(*key: object) -> int:
    """63 bits out of what is drawn, so that a second attempt draws the same."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
