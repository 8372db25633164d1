"""Pictures of the class ("a dog"), drawn by the base once, so that it keeps what a dog is.

Each is whole or absent, and a function of (seed, prompt, base, number): what a stop left out is
drawn later as it would have been. Those of another prompt or base stay where they are, unused;
any other picture in the folder was put there by a person, and counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from training.config import TrainingConfig
from training.dataset import SUFFIXES
from training.errors import TrainingError
from training.files import saying, whole_file
from training.painter import Painter
from training.progress import Event, EventKind, EventLog
from training.randomness import Randomness
from training.scores import is_blank

SIDECAR = "class_images.json"
OURS = re.compile(r"class_(?P<key>[0-9a-f]{12})_(?P<number>[0-9]{5})\.png")
INFERENCE_STEPS = 25
GUIDANCE = 7.5
TRIES = 5


def ensure(
    config: TrainingConfig,
    painter: Callable[[], Painter],
    events: EventLog,
    stop: Callable[[], bool],
    *,
    fingerprint: str,
) -> list[Path]:
    """All pictures to use, by name; fewer than wanted when `stop()` said so.

    `painter` is called only when one is missing; `fingerprint` is the base's.
    """
    folder = config.class_images_dir
    with saying(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    series = _Series(folder, _description(config, fingerprint))
    wanted = config.num_class_images - len(series.by_people())
    missing = [number for number in range(wanted) if not series.path(number).is_file()]
    if missing and not stop():
        series.describe()
        _draw(series, missing, config, painter(), events, stop)
    # No more than wanted: those that another run had drawn beyond would make this one another.
    return sorted([*series.by_people(), *series.by_us(wanted)], key=lambda path: path.name)


class _Series:
    """The pictures of one description, numbered from 0."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        self._folder, self._description = folder, description
        text = json.dumps(description, sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:12]

    def path(self, number: int) -> Path:
        return self._folder / f"class_{self._key}_{number:05}.png"

    def by_us(self, wanted: int) -> list[Path]:
        return [path for path in map(self.path, range(wanted)) if path.is_file()]

    def by_people(self) -> list[Path]:
        return [
            path
            for path in self._folder.iterdir()
            if path.suffix.lower() in SUFFIXES
            and not path.name.startswith(".")
            and path.is_file()
            and not _is_ours(path)
        ]

    def describe(self) -> None:
        """For whoever wonders what the names mean."""
        file = self._folder / SIDECAR
        try:
            known = json.loads(file.read_bytes())
        except (OSError, ValueError):
            known = {}
        with saying(SIDECAR), whole_file(file) as aside:
            known[self._key] = self._description
            aside.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def _is_ours(path: Path) -> bool:
    return OURS.fullmatch(path.name) is not None


def _description(config: TrainingConfig, fingerprint: str) -> dict[str, Any]:
    return {
        "prompt": config.class_prompt,
        "seed": config.seed,
        "base": fingerprint,
        "resolution": config.resolution,
        "inference_steps": INFERENCE_STEPS,
        "guidance": GUIDANCE,
    }


def _draw(
    series: _Series,
    missing: list[int],
    config: TrainingConfig,
    painter: Painter,
    events: EventLog,
    stop: Callable[[], bool],
) -> None:
    made = config.num_class_images - len(missing)
    for batch in _batches(missing, painter.batch(config.resolution, config.resolution)):
        if stop():
            return
        pictures = _pictures(batch, config, painter)
        for number in sorted(set(batch) & set(missing)):
            path = series.path(number)
            with saying(path.name), whole_file(path) as aside:
                pictures[number].save(aside, format="PNG")
            made += 1
            events.tell(
                Event(kind=EventKind.CLASS_IMAGE, made=made, wanted=config.num_class_images)
            )


def _batches(missing: list[int], size: int) -> list[range]:
    """Always the same numbers together: on a GPU a picture's bits depend on its neighbours."""
    return [
        range(first * size, (first + 1) * size) for first in sorted({n // size for n in missing})
    ]


def _pictures(batch: range, config: TrainingConfig, painter: Painter) -> dict[int, Image.Image]:
    """A blank one is drawn again, alone, from another seed."""
    random = Randomness(config.seed)

    def draw(numbers: Sequence[int], attempt: int) -> list[Image.Image]:
        return painter.paint_all(
            config.class_prompt or "",
            seeds=[random.key("class image", number, attempt) for number in numbers],
            width=config.resolution,
            height=config.resolution,
            steps=INFERENCE_STEPS,
            guidance=GUIDANCE,
        )

    pictures = dict(zip(batch, draw(batch, 0), strict=True))
    for number in batch:
        attempt = 0
        while is_blank(pictures[number]):
            attempt += 1
            if attempt == TRIES:
                raise TrainingError(
                    f"The base draws only blank pictures of '{config.class_prompt}'; use another "
                    "class_prompt or base, or put your own pictures into class_data_dir."
                )
            pictures[number] = draw([number], attempt)[0]
    return pictures
