"""Text as pixels: the two fonts of the reels, glyphs they lack, outlined rows of words.

Luckiest Guy speaks; DejaVu Sans Bold steps in for letters it lacks (Greek, Cyrillic, Hebrew,
Arabic). What neither has shows as a star (emoji) or a box, so that nothing vanishes unseen.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONTS = Path(__file__).parent / "fonts"
SPEAKING, PLAIN = FONTS / "LuckiestGuy.ttf", FONTS / "DejaVuSans-Bold.ttf"
PLAIN_SCALE = 0.82  # DejaVu's capitals are that much taller at the same size
INK = (24, 18, 43)  # the outline: a night blue that is softer than black
PIECE = 18  # letters of a word that has no other place to break
NOT_A_CHARACTER = "\U0010ffff"  # every font draws its "missing" box for it

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """How big and how thick; pixels."""

    size: int
    outline: int
    drop: int = 0
    """How far down the outline is repeated, as a shadow."""


@lru_cache(maxsize=64)
def font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=4096)
def _has(path: Path, letter: str) -> bool:
    face = font(path, 40)
    return bytes(face.getmask(letter)) != bytes(face.getmask(NOT_A_CHARACTER))


def drawable(text: str) -> str:
    """The text in composed form, without invisible characters, missing glyphs made visible."""
    letters = unicodedata.normalize("NFC", text)
    return "".join(_visible(letter) for letter in letters)


def _visible(letter: str) -> str:
    if letter.isspace():
        return " "
    category = unicodedata.category(letter)
    if category[0] == "C" or category == "Me" or 0xFE00 <= ord(letter) <= 0xFE0F:
        return ""
    if _has(SPEAKING, letter) or _has(PLAIN, letter):
        return letter
    if category[0] == "M":
        return ""
    return "★" if category in {"So", "Sk"} else "□"


@dataclass(frozen=True)
class Run:
    """Neighbouring letters that one font draws."""

    text: str
    path: Path

    def face(self, size: int) -> ImageFont.FreeTypeFont:
        return font(self.path, size if self.path == SPEAKING else round(size * PLAIN_SCALE))

    def width(self, size: int) -> float:
        return self.face(size).getlength(self.text)


@lru_cache(maxsize=1024)
def runs(text: str, *, speaking: bool = True) -> tuple[Run, ...]:
    """Split drawable text by the font that has its letters; a mark stays with its letter."""
    paths: list[Path] = []
    for letter in text:
        if paths and unicodedata.combining(letter):
            paths[-1] = PLAIN
            paths.append(PLAIN)
        else:
            own = speaking and (letter.isspace() or _has(SPEAKING, letter))
            paths.append(SPEAKING if own else PLAIN)
    pairs = zip(text, paths, strict=True)
    return tuple(
        Run("".join(letter for letter, _ in group), path)
        for path, group in groupby(pairs, key=lambda pair: pair[1])
    )


def width(text: str, size: int, *, speaking: bool = True) -> float:
    return sum(run.width(size) for run in runs(text, speaking=speaking))


def pieces(text: str) -> list[str]:
    """Break a word that is too long for one row into parts of at most PIECE letters."""
    count = -(-len(text) // PIECE)
    step = -(-len(text) // max(count, 1))
    return [text[at : at + step] for at in range(0, len(text), step or 1)]


def wrapped(text: str, size: int, limit: float, *, speaking: bool = True) -> list[str]:
    """Break text into rows no wider than `limit` pixels where its words allow that."""
    rows: list[str] = []
    for word in (piece for whole in drawable(text).split() for piece in pieces(whole)):
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and width(longer, size, speaking=speaking) <= limit:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows


Row = list[tuple[str, Colour]]


def block(rows: list[Row], style: Style, *, box: tuple[int, int]) -> Image.Image:
    """Draw centred rows of coloured words, outlined; shrunk as a whole if larger than `box`."""
    edge = style.outline + style.drop + 2
    gap = width(" ", style.size) * 1.15
    pitch = round(style.size * 1.12)
    widths = [
        sum(width(word, style.size) for word, _ in row) + gap * (len(row) - 1) for row in rows
    ]
    # Accents rise above and some scripts hang below a row of capitals, so leave room and crop.
    room = style.size
    size = (round(max(widths, default=0)) + 2 * edge + room, pitch * len(rows) + 2 * (edge + room))
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for outline in (True, False):
        for number, (row, wide) in enumerate(zip(rows, widths, strict=True)):
            x, baseline = (size[0] - wide) / 2, edge + room + pitch * number + style.size * 0.8
            for word, colour in row:
                x = _write(draw, word, (x, baseline), style, colour=None if outline else colour)
                x += gap
    cropped = image.crop(image.getbbox() or (0, 0, 1, 1))
    cropped.thumbnail(box, Image.Resampling.LANCZOS)
    return cropped


def _write(
    draw: ImageDraw.ImageDraw,
    word: str,
    at: tuple[float, float],
    style: Style,
    *,
    colour: Colour | None,
) -> float:
    """Draw the outline (no colour) or the face of a word; returns where the next one starts."""
    x, baseline = at
    for run in runs(word):
        face = run.face(style.size)
        if colour is None:
            outline = {"stroke_width": style.outline, "anchor": "ls", "fill": INK}
            for drop in {0, style.drop // 2, style.drop}:
                draw.text((x, baseline + drop), run.text, font=face, **outline)  # type: ignore[arg-type]
        else:
            draw.text((x, baseline), run.text, font=face, anchor="ls", fill=colour)
        x += run.width(style.size)
    return x
