"""A picture that fills the frame: what a model drew, as a cutaway or on the cover.

A portrait is wider than a reel. It keeps its width where it can and stands on the lower edge,
so that the face comes below the captions; its upper edge goes on above it, out of focus.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from pipeline.reel.sprites import HEIGHT, WIDTH, Frame, opened

LEAST_HEIGHT = 1560  # of the picture itself, in a frame of 1920
SEAM = 150  # pixels in which the picture comes into focus
BLUR = 42
EDGE = 40  # a fortieth of the picture goes on above it: less would be noise, more a second head
ZOOM = 0.07  # how much larger it is at the end
DARK, MOST_DARK = 32, 0.9  # of 255, and the part of the frame that may be as dark as that
STILL_POINT = (WIDTH / 2, 1060.0)  # what the zoom goes towards: about the middle of a face


def zoomed(path: Path, t: float) -> Frame:
    """The picture as the camera goes slowly nearer; `t` runs from 0 to 1."""
    scale = 1 + ZOOM * t
    width, height = WIDTH / scale, HEIGHT / scale
    left, top = (point * (1 - 1 / scale) for point in STILL_POINT)
    box = (left, top, left + width, top + height)
    image = filling(path)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box)).copy()


@lru_cache(maxsize=4)
def filling(path: Path) -> Image.Image:
    """1080 x 1920 in RGB; UserError when the file is no picture."""
    picture = _scaled(opened(path, "RGB"))
    gap = HEIGHT - picture.height
    if gap <= 0:
        return picture.crop((0, 0, WIDTH, HEIGHT))
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    edge = picture.crop((0, 0, WIDTH, max(1, picture.height // EDGE)))
    canvas.paste(edge.resize((WIDTH, gap), Image.Resampling.BILINEAR), (0, 0))
    canvas.paste(picture, (0, gap))
    upper = canvas.crop((0, 0, WIDTH, gap + SEAM + 3 * BLUR))
    canvas.paste(upper.filter(ImageFilter.GaussianBlur(BLUR)), (0, 0), _focus(upper.size, gap))
    return canvas


def is_dark(path: Path) -> bool:
    """True when a frame of it might be taken for a black one (`probe.play` has the limits)."""
    grey = np.asarray(filling(path).convert("L").resize((108, 192), Image.Resampling.BOX))
    return bool((grey < DARK).mean() > MOST_DARK)


def _scaled(image: Image.Image) -> Image.Image:
    """As wide as the frame; a low one is made larger, and loses what is far from its subject."""
    scale = max(WIDTH / image.width, LEAST_HEIGHT / image.height)
    size = (max(WIDTH, round(image.width * scale)), round(image.height * scale))
    left = round(np.clip(_subject(image) * size[0] - WIDTH / 2, 0, size[0] - WIDTH))
    large = image.resize(size, Image.Resampling.LANCZOS)
    return large.crop((left, 0, left + WIDTH, size[1]))


def _subject(image: Image.Image) -> float:
    """Where the detail is, as a part of the width: a face has more of it than what is behind."""
    grey = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX), np.float64)
    detail = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    detail[1:] += np.abs(np.diff(grey, axis=0))
    columns = detail.sum(axis=0)
    total = columns.sum()
    return float(columns @ (np.arange(64) + 0.5) / (64 * total)) if total else 0.5


def _focus(size: tuple[int, int], gap: int) -> Image.Image:
    """White where all is out of focus, down to black where the picture is as it was drawn."""
    rows = np.clip((gap + SEAM - np.arange(size[1])) / SEAM, 0, 1) * 255
    return Image.fromarray(np.tile(rows.astype(np.uint8)[:, None], (1, size[0])))
