"""From the script's emotions to one picture per line, and to drawings that are seen besides."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pipeline.config import ImagesConfig
from pipeline.context import StageContext
from pipeline.facts import Library, Models, Picture
from pipeline.providers import factory
from pipeline.providers.images import cutaways
from pipeline.providers.images.cutaways import NEVER, Moment
from pipeline.reel.cover import face_line
from pipeline.sections import Cutaway, Images, Line, Script, Selection

SELECTIONS_FILE = "image_selections.json"
MODEL = "model"
"""Source of pictures without mouths: they never speak a line."""


def run(script: Script, library: Library, models: Models, *, ctx: StageContext) -> Images:
    """Choose a picture for every line; pictures whose file is gone or changed are passed over."""
    provider = factory.pictures(cast(ImagesConfig, ctx.config))
    usable = tuple(p for p in library.pictures if is_intact(p, ctx.data_dir))
    ctx.report(0.2, f"choosing from {len(usable)} pictures")
    lines = [_by_its_name(line, ctx) for line in script.lines]
    speaking = tuple(picture for picture in usable if picture.source != MODEL)
    selections = provider.choose(lines, Library(pictures=speaking))
    face = face_line(lines)
    cover = Moment(face.index, face.character, (face.emotion,))
    seen, notes = _drawings([cover, *cutaways.moments(lines)], script, usable, models, ctx=ctx)
    drawn = _of(cover, seen)
    images = Images(
        episode=ctx.episode,
        selections=tuple(selections),
        cutaways=tuple(one for one in seen if one is not drawn),
        cover=drawn if drawn and _is_fresh(drawn, selections, usable) else None,
        missing=missing(selections),
        notes=tuple(notes),
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


def _drawings(
    wanted: list[Moment],
    script: Script,
    usable: Sequence[Picture],
    models: Models,
    *,
    ctx: StageContext,
) -> tuple[list[Cutaway], list[str]]:
    """New ones where that is asked for and can be done, else the library's, else none."""
    library = [picture for picture in usable if picture.source == MODEL]
    if cast(ImagesConfig, ctx.config).provider == "library":
        return cutaways.from_library(wanted, library), []
    from pipeline.providers.images import illustrations

    like = [picture for picture in usable if picture.source != MODEL]
    drawn, notes = illustrations.draw(wanted, models, like, script.metadata.family, ctx)
    rest = [moment for moment in wanted if _of(moment, drawn) is None]
    found = [*drawn, *cutaways.from_library(rest, library)]
    in_order = [_of(moment, found) for moment in wanted]
    return [one for one in in_order if one is not None], notes


def _of(moment: Moment, found: Sequence[Cutaway]) -> Cutaway | None:
    """The drawing of a moment; the line alone does not tell the cover from a reaction."""
    place = (moment.line_index, moment.character)
    return next((one for one in found if (one.line_index, one.character) == place), None)


def _is_fresh(cover: Cutaway, selections: Sequence[Selection], pictures: Sequence[Picture]) -> bool:
    """Whether it was seen less lately than the picture it stands for; what is new always is.

    Of a face the library has one drawing or two: they take turns with the rig's, or all covers
    of the channel would look the same.
    """
    last = {picture.image_id: picture.last_used_at or NEVER for picture in pictures}
    spoken = next(one for one in selections if one.line_index == cover.line_index)
    return cover.image_id is None or last[cover.image_id] <= last[spoken.image_id]


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
