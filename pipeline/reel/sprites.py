"""Cut-outs and how they are laid on a frame; frames are RGB arrays of 1920 x 1080 x 3 bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError

WIDTH, HEIGHT = 1080, 1920
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP")  # parsers of other formats stay unused
Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Sprite:
    """A cut-out and its place: premultiplied `colour`, `through` (0-256) lets the ground show."""

    colour: NDArray[np.uint8]
    through: NDArray[np.uint16]
    left: int
    top: int

    @property
    def opaque_box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom (the last two exclusive) of the pixels that change a frame."""
        rows, columns = np.nonzero(self.through[..., 0] < 256)
        if not rows.size:
            return self.left, self.top, self.left, self.top
        return (
            self.left + int(columns.min()),
            self.top + int(rows.min()),
            self.left + int(columns.max()) + 1,
            self.top + int(rows.max()) + 1,
        )


def opened(path: Path, mode: str) -> Image.Image:
    """A picture of the library; UserError when the file is gone or no picture."""
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as file:
            image: Image.Image = file.convert(mode)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"The picture {path.name} is missing or broken. Choose the images again."
        ) from error
    return image


def cut_out(image: Image.Image, left: int, top: int) -> Sprite:
    """Make a sprite of an RGBA (straight alpha) or RGBa (premultiplied) image."""
    pixels = np.asarray(image if image.mode == "RGBa" else image.convert("RGBA").convert("RGBa"))
    alpha = pixels[..., 3:].astype(np.uint16)
    through = ((255 - alpha) * 256 + 127) // 255
    return Sprite(np.ascontiguousarray(pixels[..., :3]), through.astype(np.uint16), left, top)


def lay(sprite: Sprite, frame: Frame) -> None:
    """Lay a sprite on a frame in place; what lies outside the frame is cut off."""
    height, width = sprite.colour.shape[:2]
    top, left = max(sprite.top, 0), max(sprite.left, 0)
    bottom = min(sprite.top + height, frame.shape[0])
    right = min(sprite.left + width, frame.shape[1])
    if top >= bottom or left >= right:
        return
    part = np.s_[
        top - sprite.top : bottom - sprite.top,
        left - sprite.left : right - sprite.left,
    ]
    ground = frame[top:bottom, left:right]
    ground[:] = sprite.colour[part] + (ground * sprite.through[part] >> 8).astype(np.uint8)


def grown(image: Image.Image, *, width: float, height: float) -> Image.Image:
    """Resize an RGBa image by two factors, smoothly."""
    size = (max(1, round(image.width * width)), max(1, round(image.height * height)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)
