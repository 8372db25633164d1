"""Fills the library's gaps: the emotions of a character that its model has not been seen in."""

import hashlib
import time
from typing import cast

from PIL import Image

from pipeline.config import ImagesConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError
from pipeline.facts import Gaps
from pipeline.files import write_whole
from pipeline.providers.images import diffusion
from pipeline.providers.images.illustrations import png
from pipeline.reel import sheet
from pipeline.sections import Drawing, Drawings, Emotion

MOST_S = 50 * 60.0
"""Then the emotions drawn so far are shown, and the others are gaps as before."""
LIBRARY = "library"


def run(gaps: Gaps, *, ctx: StageContext) -> Drawings:
    """The best of several candidates for each emotion, and a sheet that shows them numbered.

    A second attempt draws the same pictures; another board draws others.
    """
    config = cast(ImagesConfig, ctx.config)
    until = time.monotonic() + MOST_S
    made: list[Drawing] = []
    images: list[Image.Image] = []
    with diffusion.promoted(gaps.model, ctx.data_dir, config) as trained:
        for number, emotion in enumerate(gaps.emotions):
            if made and time.monotonic() > until:
                break
            ctx.report(number / len(gaps.emotions), f"drawing {emotion}")
            best = trained.draw(
                trained.prompt(emotion),
                [_seed(gaps, emotion, candidate) for candidate in range(config.candidates)],
                check=ctx.check_cancelled,
                until=until,
            )
            if best is not None:
                made.append(_kept(gaps, emotion, best, ctx))
                images.append(best.image)
    if not made:
        raise ProviderError(
            "model", f"the model of {gaps.model.character} draws blank pictures; train it anew"
        )
    path = f"{LIBRARY}/boards/{gaps.board}.png"
    write_whole(ctx.data_dir / path, sheet.drawn(made, images))
    ctx.report(1.0, f"{len(made)} pictures drawn")
    return Drawings(board=gaps.board, drawings=tuple(made), sheet=path)


def _seed(gaps: Gaps, emotion: Emotion, candidate: int) -> int:
    return diffusion.seed_of(gaps.model.promotion_id, gaps.board, emotion, candidate)


def _kept(gaps: Gaps, emotion: Emotion, drawn: diffusion.Drawn, ctx: StageContext) -> Drawing:
    data = png(drawn.image)
    digest = hashlib.sha256(data).hexdigest()
    path = f"{LIBRARY}/{gaps.model.character.lower()}/{emotion}/{digest}.png"
    write_whole(ctx.data_dir / path, data)
    return Drawing(
        emotion=emotion,
        path=path,
        sha256=digest,
        width=drawn.image.width,
        height=drawn.image.height,
        score=drawn.score or 0.0,
    )
