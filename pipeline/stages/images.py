"""From the script's emotions to one picture per line."""

import hashlib
from pathlib import Path
from typing import cast

from pipeline.config import ImagesConfig
from pipeline.context import StageContext
from pipeline.facts import Library, Picture
from pipeline.providers import factory
from pipeline.sections import Images, Line, Script, Selection

SELECTIONS_FILE = "image_selections.json"


def run(script: Script, library: Library, *, ctx: StageContext) -> Images:
    """Choose a picture for every line; pictures whose file is gone or changed are passed over."""
    provider = factory.pictures(cast(ImagesConfig, ctx.config))
    usable = tuple(p for p in library.pictures if is_intact(p, ctx.data_dir))
    ctx.report(0.5, f"choosing from {len(usable)} pictures")
    lines = [_by_its_name(line, ctx) for line in script.lines]
    selections = provider.choose(lines, Library(pictures=usable))
    images = Images(
        episode=ctx.episode,
        selections=tuple(selections),
        missing=missing(selections),
        stats={
            "total_lines": len(lines),
            "images_found": len(selections),
            "images_missing": sum(s.fallback_from is not None for s in selections),
            "pictures_passed_over": len(library.pictures) - len(usable),
        },
    )
    path = ctx.folder / SELECTIONS_FILE
    path.write_text(images.model_dump_json(indent=2), encoding="utf-8")
    ctx.report(1.0, "pictures chosen")
    return images


def is_intact(picture: Picture, data_dir: Path) -> bool:
    """True when the file is there and still the one the library knows."""
    try:
        with (data_dir / picture.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == picture.sha256
    except OSError:
        return False


def missing(selections: list[Selection]) -> tuple[dict[str, str], ...]:
    """The pairs of character and emotion that had no picture, each once, in the script's order."""
    pairs = dict.fromkeys(
        (s.character, s.fallback_from.value) for s in selections if s.fallback_from
    )
    return tuple({"character": character, "emotion": emotion} for character, emotion in pairs)


def _by_its_name(line: Line, ctx: StageContext) -> Line:
    return line.model_copy(update={"character": ctx.show.character(line.character).name})
