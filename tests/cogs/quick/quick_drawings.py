"""A picture of one colour per emotion, another one for each board."""

import hashlib

from PIL import Image

from pipeline.context import StageContext
from pipeline.facts import Gaps
from pipeline.files import write_whole
from pipeline.providers.images.illustrations import png
from pipeline.sections import Drawing, Drawings


def run(gaps: Gaps, *, ctx: StageContext) -> Drawings:
    made = []
    for number, emotion in enumerate(gaps.emotions):
        data = png(Image.new("RGB", (16, 24), (gaps.board, number, 99)))
        digest = hashlib.sha256(data).hexdigest()
        path = f"library/{gaps.model.character.lower()}/{emotion}/{digest}.png"
        write_whole(ctx.data_dir / path, data)
        made.append(
            Drawing(emotion=emotion, path=path, sha256=digest, width=16, height=24, score=0.5)
        )
    sheet = f"library/boards/{gaps.board}.png"
    write_whole(ctx.data_dir / sheet, png(Image.new("RGB", (40, 30), "gold")))
    return Drawings(board=gaps.board, drawings=tuple(made), sheet=sheet)
