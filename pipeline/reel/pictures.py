"""Still pictures from a show's drawings: the image library's first stock, and the backgrounds."""

from __future__ import annotations

import hashlib
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError
from pipeline.files import write_whole
from pipeline.reel.characters import Pose, Rig
from pipeline.reel.svg import rasterise, read_svg, to_text, view_box
from pipeline.sections import Emotion
from pipeline.shows import Character, Show

WIDTH, HEIGHT = 1000, 1200
FRAME = (1080, 1920)
# What sets the pictures of one emotion apart: at rest, mid-sentence, and glancing away.
VARIATIONS = (
    Pose(),
    Pose(mouth="D", tilt=4.0, look=(0.3, -0.1)),
    Pose(mouth="C", tilt=-4.0, look=(-0.5, 0.25)),
)


@dataclass(frozen=True)
class PaintedPicture:
    """A picture that was written; `path` is relative to the library's folder."""

    character: str
    emotion: Emotion
    path: str
    sha256: str
    width: int
    height: int


def paint_library(show: Show, folder: Path) -> list[PaintedPicture]:
    """Paint every character in every emotion; the same show gives the same bytes."""
    return [picture for c in show.characters for picture in _paint(show, c, folder)]


def _paint(show: Show, character: Character, folder: Path) -> Iterator[PaintedPicture]:
    rig = Rig.load(show.folder / character.rig)
    for emotion in Emotion:
        for number, variation in enumerate(VARIATIONS, 1):
            path = f"{character.name.lower()}/{emotion}/{number}.png"
            pixels = rig.render(replace(variation, emotion=emotion), WIDTH, HEIGHT)
            sha256 = _write_png(pixels, folder / path)
            yield PaintedPicture(character.name, emotion, path, sha256, WIDTH, HEIGHT)


def _write_png(pixels: NDArray[np.uint8], path: Path) -> str:
    """The SHA-256 of what was written."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)  # 3: half as big, twice as slow
    write_whole(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def background(show: Show, file: str) -> NDArray[np.uint8]:
    """A background of the show that fills the frame; RGB, shape (1920, 1080, 3)."""
    if file not in show.backgrounds:
        raise UserError(f"{show.title} has no background {file}; name it in show.yaml.")
    root = read_svg(show.folder / file)
    _crop_to_frame(root, file)
    pixels = rasterise(to_text(root), *FRAME).astype(np.uint16)
    alpha = pixels[..., 3:]
    on_white = (pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return on_white.astype(np.uint8)


def _crop_to_frame(root: ET.Element, file: str) -> None:
    """Cut the view box to the frame's proportions around its centre."""
    left, top, width, height = view_box(root, file)
    scale = min(width / FRAME[0], height / FRAME[1])
    cut_w, cut_h = FRAME[0] * scale, FRAME[1] * scale
    left, top = left + (width - cut_w) / 2, top + (height - cut_h) / 2
    root.set("viewBox", f"{left:g} {top:g} {cut_w:g} {cut_h:g}")
    for key in ("width", "height", "preserveAspectRatio"):
        root.attrib.pop(key, None)
