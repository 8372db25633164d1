"""Pictures drawn for one episode: cutaways and its cover, in a place that suits the topic."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PIL import Image

from pipeline.config import ImagesConfig
from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.facts import Models, Picture, PromotedModel
from pipeline.files import write_whole
from pipeline.providers.images import diffusion
from pipeline.providers.images.cutaways import Moment
from pipeline.sections import Cutaway, Emotion

FOLDER = "pictures"
MOST_S = 40 * 60.0
"""Then the library's drawings have to do: a reel never waits for pictures until it fails."""
BEFORE = 0.2
"""Of the stage's work, when the first one is drawn."""
LEAST_SCORE = 0.1
"""Nobody has looked at these before they are in a reel. Noise in the right colours has 0.03."""


def draw(
    wanted: Sequence[Moment],
    models: Models,
    library: Iterable[Picture],
    family: str,
    ctx: StageContext,
) -> tuple[list[Cutaway], list[str]]:
    """What could be drawn of the moments, in their order, and why the rest could not.

    Each model is loaded once.
    """
    if models.why:
        return [], [models.why]
    rigs = list(library)
    drawn: list[Cutaway] = []
    notes: list[str] = []
    until = time.monotonic() + MOST_S
    done = 0
    for name in dict.fromkeys(moment.character for moment in wanted):
        own = [moment for moment in wanted if moment.character == name]
        shares = [BEFORE + (1 - BEFORE) * (done + n) / len(wanted) for n in range(len(own))]
        done += len(own)
        model = next((m for m in models.models if m.character.casefold() == name.casefold()), None)
        if model is None:
            notes.append(f"{name} has no model in use; /train start trains one.")
            continue
        like = [ctx.data_dir / p.path for p in rigs if p.character.casefold() == name.casefold()]
        try:
            made = _draw_character(own, model, like, family, until, shares, ctx)
        except UserError as error:
            notes.append(f"Nothing was drawn of {name}: {error}")
            continue
        drawn += made
        if missing := len(own) - len(made):
            notes.append(f"{missing} of {len(own)} drawings of {name} were poor or late.")
    order = {(moment.line_index, moment.character): n for n, moment in enumerate(wanted)}
    return sorted(drawn, key=lambda one: order[one.line_index, one.character]), notes


def _draw_character(
    wanted: Sequence[Moment],
    model: PromotedModel,
    like: Sequence[Path],
    family: str,
    until: float,
    shares: Sequence[float],
    ctx: StageContext,
) -> list[Cutaway]:
    """`shares` are how much of the stage's work is done when each of them is begun."""
    config = cast(ImagesConfig, ctx.config)
    made = []
    with diffusion.promoted(model, ctx.data_dir, config, else_like=like) as trained:
        for number, (moment, share) in enumerate(zip(wanted, shares, strict=True), 1):
            if time.monotonic() > until:
                break
            ctx.report(share, f"drawing {moment.character}, {number} of {len(wanted)}")
            emotion = moment.emotions[0]
            best = trained.draw(
                trained.prompt(emotion, diffusion.PLACES.get(family, diffusion.NOWHERE)),
                [
                    diffusion.seed_of(ctx.episode, ctx.revision, moment.line_index, candidate)
                    for candidate in range(config.candidates)
                ],
                check=ctx.check_cancelled,
                until=until,
            )
            if best is not None and (best.score is None or best.score >= LEAST_SCORE):
                made.append(_kept(moment, best, ctx))
    return made


def _kept(moment: Moment, drawn: diffusion.Drawn, ctx: StageContext) -> Cutaway:
    data = png(drawn.image)
    name = f"{FOLDER}/{moment.line_index:03}-{moment.character.lower()}.png"
    write_whole(ctx.folder / name, data)
    # Where the file lies once the attempt has succeeded.
    place = ctx.revision_folder.relative_to(ctx.data_dir) / name
    return Cutaway(
        line_index=moment.line_index,
        character=moment.character,
        emotion=moment.emotions[0],
        image_path=place.as_posix(),
        sha256=hashlib.sha256(data).hexdigest(),
        prompt=drawn.prompt,
        score=drawn.score,
    )


@dataclass(frozen=True)
class ByHand:
    """A picture somebody asked for at the keyboard, as PNG; or the sentence that says why not."""

    data: bytes = b""
    prompt: str = ""
    seed: int = 0
    score: float | None = None
    refusal: str = ""


def draw_by_hand(
    folder: Path,
    config: ImagesConfig,
    emotion: Emotion,
    words: str,
    seeds: Sequence[int],
    sha256: str | None,
) -> ByHand:
    """Runs in a worker. `words` stand where an episode's drawings have a place."""
    try:
        references = diffusion.learned_from(folder)
        with diffusion.opened(folder, config, references=references, sha256=sha256) as model:
            best = model.draw(model.prompt(emotion, words or diffusion.NOWHERE), seeds)
    except UserError as error:
        return ByHand(refusal=str(error))
    if best is None:
        return ByHand(refusal=f"{folder.name} draws blank pictures; try another checkpoint.")
    return ByHand(png(best.image), best.prompt, best.seed, best.score)


def png(image: Image.Image) -> bytes:
    """Without anything but the picture."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
