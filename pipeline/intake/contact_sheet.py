"""One picture of an upload: what was taken with a green mark, what was refused as a grey tile.

1080 pixels wide, as a phone shows it; few columns, so that the words can be read there.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageOps

from pipeline.reel import lettering
from pipeline.reel.lettering import Colour

WIDTH, MARGIN, GAP, INSIDE = 1080, 28, 22, 18
PAPER, INK, FAINT = (31, 29, 43), (240, 238, 245), (162, 158, 178)
BESIDE, GREY = (39, 37, 52), (66, 64, 79)
GREEN, AMBER = (46, 174, 96), (255, 200, 92)
LETTERS = {1: 36, 2: 32, 3: 27}
"""Columns -> pixels of a letter: the more columns, the shorter the rows."""
MOST_ROWS = 4
"""Of words under a picture."""
QUALITY = 88


@dataclass(frozen=True)
class Tile:
    """`words` are remarks on a picture that was taken, or the reason why it was not.

    `short` is what a taken one is called from now on.
    """

    letter: str
    name: str
    words: tuple[str, ...]
    short: str = ""
    picture: Image.Image | None = None


@dataclass(frozen=True)
class _Grid:
    """Lengths in pixels."""

    columns: int

    @property
    def side(self) -> int:
        return (WIDTH - 2 * MARGIN - (self.columns - 1) * GAP) // self.columns

    @property
    def letters(self) -> int:
        return LETTERS[self.columns]

    @property
    def pitch(self) -> int:
        return round(self.letters * 1.2)


def draw(title: str, tiles: Sequence[Tile]) -> bytes:
    """A JPEG with a tile for each, in the order given."""
    grid = _Grid(1 if len(tiles) == 1 else 2 if len(tiles) <= 4 else 3)
    rows = [tiles[at : at + grid.columns] for at in range(0, len(tiles), grid.columns)]
    heights = [max(_height(tile, grid) for tile in row) for row in rows]
    top = MARGIN + round(grid.pitch * 1.7)
    sheet = Image.new("RGB", (WIDTH, top + sum(heights) + GAP * len(rows)), PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, title, (MARGIN, MARGIN - 4), round(grid.letters * 1.2), INK)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            _lay(sheet, tile, (MARGIN + column * (grid.side + GAP), top), grid)
        top += height + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _height(tile: Tile, grid: _Grid) -> int:
    rows = 1 + (len(_remarks(tile, grid)) if tile.picture else 0)
    return grid.side + grid.letters // 3 + rows * grid.pitch


def _remarks(tile: Tile, grid: _Grid) -> list[str]:
    return _rows(" ".join(tile.words), grid.side, MOST_ROWS, grid)


def _rows(text: str, width: int, most: int, grid: _Grid) -> list[str]:
    rows = lettering.wrapped(text, grid.letters, width, speaking=False)
    if len(rows) <= most:
        return rows
    return [*rows[: most - 1], rows[most - 1].rstrip(".,; ") + "…"]


def _lay(sheet: Image.Image, tile: Tile, at: tuple[int, int], grid: _Grid) -> None:
    left, top = at
    pen = ImageDraw.Draw(sheet)
    if tile.picture is None:
        _refused(pen, tile, at, grid)
    else:
        sheet.paste(ImageOps.pad(tile.picture, (grid.side, grid.side), color=BESIDE), at)
        tick = _tick(round(grid.letters * 1.7))
        sheet.paste(tick, (left + grid.side - tick.width - 10, top + 10), tick)
        _sign(pen, tile.short, (left + grid.side, top + grid.side), round(grid.letters * 0.85))
    below = top + grid.side + grid.letters // 3
    colour = INK if tile.picture else FAINT
    _write(pen, _label(tile, grid), (left, below), grid.letters, colour)
    for number, row in enumerate(_remarks(tile, grid) if tile.picture else (), 1):
        _write(pen, row, (left, below + number * grid.pitch), grid.letters, AMBER)


def _label(tile: Tile, grid: _Grid) -> str:
    """The letter and as much of the name as there is room for, of its middle at last."""
    name = lettering.drawable(tile.name)
    label = f"{tile.letter}  {name}"
    half = len(name) // 2
    while _width(label, grid.letters) > grid.side and half > 1:
        half -= 1
        label = f"{tile.letter}  {name[:half]}…{name[-half:]}"
    return label


def _refused(pen: ImageDraw.ImageDraw, tile: Tile, at: tuple[int, int], grid: _Grid) -> None:
    left, top = at
    pen.rectangle((left, top, left + grid.side - 1, top + grid.side - 1), GREY)
    most = (grid.side - 2 * INSIDE) // grid.pitch
    rows = _rows(" ".join(tile.words), grid.side - 2 * INSIDE, most, grid)
    first = top + (grid.side - len(rows) * grid.pitch) // 2
    for number, row in enumerate(rows):
        _write(pen, row, (left + INSIDE, first + number * grid.pitch), grid.letters, INK)


def _tick(side: int) -> Image.Image:
    """A white tick on a green disc with a white edge."""
    big = side * 4  # drawn large and made small, as the pen's own edges are jagged
    tick = Image.new("RGBA", (big, big), (255, 255, 255, 0))
    pen = ImageDraw.Draw(tick)
    pen.ellipse((0, 0, big - 1, big - 1), "white")
    pen.ellipse((big * 0.06, big * 0.06, big * 0.94, big * 0.94), GREEN)
    points = [(0.28, 0.51), (0.44, 0.68), (0.73, 0.34)]
    line = [(across * big, down * big) for across, down in points]
    pen.line(line, "white", width=big // 9, joint="curve")
    return tick.resize((side, side), Image.Resampling.LANCZOS)


def _sign(pen: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], letters: int) -> None:
    """Small words on a dark ground, in the lower right corner of a picture."""
    wide, high = round(_width(text, letters)) + letters, round(letters * 1.4)
    left, top = corner[0] - wide - 8, corner[1] - high - 8
    pen.rounded_rectangle((left, top, left + wide, top + high), letters // 3, PAPER)
    _write(pen, text, (left + letters // 2, top + letters // 5), letters, INK)


def _write(
    pen: ImageDraw.ImageDraw, text: str, at: tuple[int, int], letters: int, colour: Colour
) -> None:
    face = lettering.font(lettering.PLAIN, round(letters * lettering.PLAIN_SCALE))
    pen.text(at, lettering.drawable(text), font=face, fill=colour)


def _width(text: str, letters: int) -> float:
    return lettering.width(text, letters, speaking=False)
