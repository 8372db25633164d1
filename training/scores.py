"""How near a drawn picture comes to pictures of its character, by numbers that need no network.

    score = likeness * sharpness * contrast * framing        each 0 to 1

- likeness: the largest share of colours in common with a reference (histogram intersection, Swain
  and Ballard 1991), over 12 x 12 x 12 cells of CIE Lab, each pixel shared among the cells about it;
- sharpness: edge energy (mean square of the Laplacian of the grey picture) against the references':
  1 between the least and the most of them, else the ratio to the nearer one (its square root, as
  energy is a square), so that blurred and noisy pictures both lose;
- contrast: spread of the grey values, 1 from the least of the references on;
- framing: edges in the outermost twentieth of the picture, 1 up to the most of the references, or
  to a quarter of even spread: a figure that the border cuts has edges there.

It ranks candidates of one character; it does not know a dog from a squirrel of the same colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]

LONGEST_SIDE = 256
"""Pixels at which pictures are compared."""
CELLS = 12
BORDER = 1 / 20
QUIET_BORDER = 0.25
"""Edges there in any case allowed, as a share of even spread: references may be on plain white."""
BLANK_SPREAD = 2.0
"""Standard deviation of 8-bit values below which a picture shows nothing."""


@dataclass(frozen=True)
class _Look:
    colours: Array
    sharpness: float
    contrast: float
    border: float
    """Share of the edge energy near the border, 1 if it is spread evenly."""


def score(picture: Image.Image, references: Sequence[Image.Image]) -> float:
    """0 to 1; of pictures of any size and shape, against at least one reference."""
    if not references:
        raise ValueError("a score needs a reference picture")
    side = min(LONGEST_SIDE, *(max(image.size) for image in (picture, *references)))
    drawn = _look(picture, side)
    known = [_look(reference, side) for reference in references]
    if is_blank(picture):
        return 0.0
    likeness = max(float(np.minimum(drawn.colours, look.colours).sum()) for look in known)
    sharpness = _within([look.sharpness for look in known], drawn.sharpness) ** 0.5
    contrast = _at_least(min(look.contrast for look in known), drawn.contrast)
    framing = _at_most(max(QUIET_BORDER, *(look.border for look in known)), drawn.border)
    return float(np.clip(likeness * sharpness * contrast * framing, 0.0, 1.0))


def is_blank(picture: Image.Image) -> bool:
    """Black, or of one colour: what a network draws when its numbers have overflowed."""
    return bool(
        np.asarray(picture.convert("RGB"), dtype=np.float64).std(axis=(0, 1)).max() < BLANK_SPREAD
    )


def _look(picture: Image.Image, side: int) -> _Look:
    small = _opaque(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    edges = _edges(grey)
    total = float(edges.mean())
    return _Look(
        colours=_histogram(small),
        sharpness=total,
        contrast=float(grey.std()),
        border=float(edges[_ring(edges.shape)].mean()) / total if total > 0 else 0.0,
    )


def _opaque(picture: Image.Image) -> Image.Image:
    """On white, as the library's drawings are shown when nothing is behind them."""
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    drawn = picture.convert("RGBA")
    white = Image.new("RGBA", drawn.size, "white")
    return Image.alpha_composite(white, drawn).convert("RGB")


def _histogram(picture: Image.Image) -> Array:
    """Sums to 1. A pixel counts in the eight nearest cells, so that a small shift costs little."""
    lab = _lab(np.asarray(picture, dtype=np.float64).reshape(-1, 3) / 255)
    place = (lab - (0, -90, -110)) / (100, 190, 210) * (CELLS - 1)
    low = np.clip(np.floor(place).astype(int), 0, CELLS - 2)
    part = np.clip(place - low, 0, 1)
    cells = np.zeros(CELLS**3)
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1 - part).prod(axis=1)
        index = (low + corner) @ (CELLS * CELLS, CELLS, 1)
        cells += np.bincount(index, weight, CELLS**3)
    return cells / cells.sum()


def _lab(rgb: Array) -> Array:
    """CIE L*a*b* under D65 of sRGB values from 0 to 1 (IEC 61966-2-1, CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / (0.9505, 1.0, 1.089)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _edges(grey: Array) -> Array:
    """Square of the discrete Laplacian at each inner pixel."""
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    squares: Array = (around - 4 * grey[1:-1, 1:-1]) ** 2
    return squares


def _ring(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    height, width = shape
    thick = max(1, round(min(shape) * BORDER))
    ring = np.ones((height, width), dtype=bool)
    ring[thick:-thick, thick:-thick] = False
    return ring


def _at_least(wanted: float, value: float) -> float:
    return 1.0 if value >= wanted else value / wanted


def _at_most(allowed: float, value: float) -> float:
    return 1.0 if value <= allowed else allowed / value


def _within(known: Sequence[float], value: float) -> float:
    return min(_at_least(min(known), value), _at_most(max(known), value))
