"""The cover: one face, one title, both inside the part that the profile grid shows (3:4)."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.reel import captions, lettering, portrait, scene
from pipeline.reel.lettering import Style
from pipeline.reel.scene import Scene, Shot
from pipeline.reel.sprites import HEIGHT, WIDTH, Frame, cut_out, lay
from pipeline.sections import Emotion, Line, Script, SpokenLine, Voices

GRID_TOP, GRID_BOTTOM = 240, 1680  # the central 1080 x 1440
FACE_BOX, FEET = (1060, 1190), 1745
TITLE_BOX, TITLE_TOP = (captions.BOX[0], 340), 292
TITLE_SIZES = (168, 148, 128, 112, 96)
TITLE_WORDS = 7
STRONG = (Emotion.SURPRISED, Emotion.EXCITED, Emotion.ANGRY, Emotion.SARCASTIC, Emotion.CONFUSED)
LARGEST_BYTES = 8_000_000
L = TypeVar("L", Line, SpokenLine)


def title(script: Script) -> str:
    """The topic if there is one, else the caption's first words, else the first line's."""
    if script.metadata.trends:
        return script.metadata.trends[0]
    text = script.caption or script.lines[0].text
    sentence = re.split(r"(?<=[.!?…])\s", text.strip())[0]
    words = sentence.split()
    return " ".join(words[:TITLE_WORDS]) + ("…" if len(words) > TITLE_WORDS else "")


def draw(
    pictured: Scene, voices: Voices, text: str, path: Path, *, drawn: Path | None = None
) -> None:
    """Write the cover as JPEG of 1080 x 1920; `drawn` fills it in place of the shot's picture."""
    shot = face(pictured, voices)
    canvas = portrait.zoomed(drawn, 0) if drawn else _cut_out_on_stage(pictured, shot)
    _write_title(text, shot, canvas)
    for quality in (92, 80, 60):
        Image.fromarray(canvas).save(path, "JPEG", quality=quality, optimize=True)
        if path.stat().st_size <= LARGEST_BYTES:
            return


def face(pictured: Scene, voices: Voices) -> Shot:
    """The hook's or the punch line's face, whichever shows the stronger emotion."""
    return pictured.shots[0 if face_line(voices.lines) is voices.lines[0] else -1]


def face_line(lines: Sequence[L]) -> L:
    """The line whose speaker is on the cover."""
    ranks = {emotion: rank for rank, emotion in enumerate(STRONG)}
    return min((lines[0], lines[-1]), key=lambda line: ranks.get(line.emotion, len(STRONG)))


def _cut_out_on_stage(pictured: Scene, shot: Shot) -> Frame:
    canvas = _stage(pictured)
    image = scene.fitted(shot.picture, FACE_BOX)
    lay(scene.shadow(image.width, WIDTH // 2, FEET), canvas)
    lay(scene.standing(image, WIDTH // 2, FEET), canvas)
    return canvas


def _stage(pictured: Scene) -> Frame:
    """The backdrop out of focus, with rays from behind the face."""
    blurred = Image.fromarray(pictured.backdrop).filter(ImageFilter.GaussianBlur(9))
    rays = Image.new("L", (WIDTH, HEIGHT), 0)
    pen = ImageDraw.Draw(rays)
    centre, reach, count = (WIDTH / 2, 1150.0), 2000.0, 14
    for ray in range(count):
        angles = (2 * math.pi * ray / count, 2 * math.pi * (ray + 0.5) / count)
        edge = [(centre[0] + reach * math.cos(a), centre[1] + reach * math.sin(a)) for a in angles]
        pen.polygon([centre, *edge], fill=62)
    blurred.paste((255, 255, 255), mask=rays.filter(ImageFilter.GaussianBlur(2)))
    return np.asarray(blurred).copy()


def _write_title(text: str, shot: Shot, canvas: Frame) -> None:
    """The largest size at which the title has at most three rows that fit."""
    limit = TITLE_BOX[0] - 40
    for size in TITLE_SIZES:
        rows = lettering.wrapped(text, size, limit)
        tall = len(rows) * size * 1.12 > TITLE_BOX[1]
        if not tall and all(lettering.width(row, size) <= limit for row in rows):
            break
    colour = shot.cards[0].colour if shot.cards else captions.WHITE
    coloured = [[(row, colour if n % 2 else captions.WHITE)] for n, row in enumerate(rows)]
    style = Style(size=size, outline=size // 9, drop=size // 12)
    image = lettering.block(coloured, style, box=TITLE_BOX)
    top = TITLE_TOP + (TITLE_BOX[1] - image.height) // 2
    lay(cut_out(image, (WIDTH - image.width) // 2, top), canvas)
