"""The sheet of a board: what a model drew, numbered as the emoji below it, and how it scored."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from pipeline.reel import lettering
from pipeline.reel.lettering import INK, Style
from pipeline.reel.storyboard import FAINT, PAPER, PAPER_INK
from pipeline.sections import Drawing

COLUMNS = 4  # messages show wide pictures larger than tall ones
TILE = (360, 540)
MARGIN, TEXT_HEIGHT = 20, 62
NUMBER_SIZE, TEXT_SIZE = 96, 40
YELLOW = (255, 214, 64)


def drawn(drawings: Sequence[Drawing], images: Sequence[Image.Image]) -> bytes:
    """As PNG; the numbers count from 1."""
    columns = min(COLUMNS, len(drawings))
    rows = -(-len(drawings) // columns)
    step = (TILE[0] + MARGIN, TILE[1] + TEXT_HEIGHT + MARGIN)
    sheet = Image.new("RGB", (columns * step[0] + MARGIN, rows * step[1] + MARGIN), PAPER)
    for place, (drawing, image) in enumerate(zip(drawings, images, strict=True)):
        left = MARGIN + place % columns * step[0]
        top = MARGIN + place // columns * step[1]
        sheet.paste(_fitted(image), (left, top))
        _number(sheet, place + 1, (left, top))
        _label(sheet, drawing, (left, top + TILE[1] + 8))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fitted(image: Image.Image) -> Image.Image:
    """The whole picture: people judge all of it."""
    tile = Image.new("RGB", TILE, INK)
    scale = min(TILE[0] / image.width, TILE[1] / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    tile.paste(small, ((TILE[0] - size[0]) // 2, (TILE[1] - size[1]) // 2))
    return tile


def _number(sheet: Image.Image, number: int, at: tuple[int, int]) -> None:
    style = Style(size=NUMBER_SIZE, outline=12)
    image = lettering.block([[(str(number), YELLOW)]], style, box=(TILE[0] // 2, 120))
    sheet.paste(image, (at[0] + 6, at[1] + 4), image)


def _label(sheet: Image.Image, drawing: Drawing, at: tuple[int, int]) -> None:
    face = lettering.font(lettering.PLAIN, round(TEXT_SIZE * lettering.PLAIN_SCALE))
    pen = ImageDraw.Draw(sheet)
    pen.text(at, drawing.emotion.value, font=face, fill=PAPER_INK)
    score = f"{drawing.score:.0%}"
    pen.text((at[0] + TILE[0] - face.getlength(score), at[1]), score, font=face, fill=FAINT)
