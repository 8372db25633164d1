"""Validation pictures on one sheet, each with its prompt, large enough to judge on a phone."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TILES = {1: 1024, 2: 512, 3: 400, 4: 320}
"""Width of a picture in pixels, by how many stand side by side."""
GAP = 16
TITLE_SIZE, TEXT_SIZE = 36, 22
TEXT_LINES = 2
BACKGROUND, INK, FAINT = "#16181d", "#e8eaed", "#b4bac2"
WIDTH_PER_LETTER = 0.56
"""Of DejaVu Sans, on average, as a part of its size."""


def draw_grid(pictures: Sequence[Image.Image], prompts: Sequence[str], title: str) -> Image.Image:
    """All pictures of one size; prompts longer than two lines are cut."""
    columns = math.ceil(math.sqrt(len(pictures)))
    tile = TILES[min(columns, max(TILES))]
    height = round(tile * pictures[0].height / pictures[0].width)
    cell = height + TEXT_LINES * _line(TEXT_SIZE) + 2 * GAP
    top = _line(TITLE_SIZE) + 2 * GAP
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * (tile + GAP) + GAP, top + rows * cell), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, fill=INK, font=_font(TITLE_SIZE, bold=True))
    for number, (picture, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        row, column = divmod(number, columns)
        x, y = GAP + column * (tile + GAP), top + row * cell
        sheet.paste(picture.convert("RGB").resize((tile, height), Image.Resampling.LANCZOS), (x, y))
        text = _wrapped(prompt, tile)
        draw.text((x, y + height + GAP // 2), text, fill=FAINT, font=_font(TEXT_SIZE))
    return sheet


def _wrapped(prompt: str, width: int) -> str:
    letters = int(width / (TEXT_SIZE * WIDTH_PER_LETTER))
    return "\n".join(textwrap.wrap(prompt, letters, max_lines=TEXT_LINES, placeholder="…"))


def _line(size: int) -> int:
    return round(size * 1.25)


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The one that comes with matplotlib: prompts are written in many alphabets."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
