"""Pictures of a folder: which there are, what they are called, and how they are cropped.

Files are taken by name and known by the hash of what is in them, so the same folder means the same
run on every machine.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from training.errors import TrainingError

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
DECODERS = ("JPEG", "PNG", "WEBP")
"""Pillow has 43; these are all that is ever asked."""
LARGEST_PIXELS = 40_000_000
LARGEST_BYTES = 100 * 1024 * 1024
LARGEST_CAPTION = 4096
"""Letters; an encoder reads 77 tokens of them."""
CROPS = 8
"""Random crops per picture: each is encoded once, before the first step."""


@dataclass(frozen=True)
class Picture:
    path: Path
    sha256: str
    prompt: str


def find_pictures(folder: Path, prompt: str) -> list[Picture]:
    """By name; `prompt` is for those that have no caption. TrainingError when there are none."""
    try:
        paths = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise TrainingError(f"{folder} cannot be read: {error.strerror}.") from error
    if not paths:
        raise TrainingError(f"{folder} holds no pictures; put PNG, JPEG or WebP files into it.")
    return [Picture(path, _hash(_bytes(path)), _caption(path) or prompt) for path in paths]


def fingerprint(pictures: Iterable[Picture]) -> str:
    """SHA-256 over the content and the prompts, in their order; names of files do not count."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.sha256} {len(picture.prompt)} {picture.prompt}\n".encode())
    return digest.hexdigest()


def load(picture: Picture, resolution: int) -> Image.Image:
    """RGB, upright, its shorter side as long as `resolution`; TrainingError names a broken one."""
    data = _bytes(picture.path)
    if _hash(data) != picture.sha256:
        raise TrainingError(f"{picture.path} was changed meanwhile; start the run again.")
    try:
        image = _decoded(data, picture.path)
    except TrainingError:
        raise
    except Exception as error:  # decoders let out what they meet in torn bytes, struct.error say
        raise TrainingError(
            f"{picture.path} is not a whole PNG, JPEG or WebP picture; replace or remove it."
        ) from error
    scale = resolution / min(image.size)
    width, height = (max(resolution, round(side * scale)) for side in image.size)
    if width * height > LARGEST_PIXELS:
        raise TrainingError(
            f"{picture.path} is a strip of {image.width}x{image.height} pixels; "
            "cut it nearer to a square."
        )
    return image.resize((width, height), Image.Resampling.BICUBIC)


def crops(size: tuple[int, int], resolution: int, *, center: bool) -> int:
    """How many different crops a picture of that size is used with."""
    return 1 if center or size == (resolution, resolution) else CROPS


def crop(image: Image.Image, resolution: int, *, left: int, upper: int) -> Any:
    """An array 3 x resolution x resolution of fp32 in [-1, 1]."""
    box = (left, upper, left + resolution, upper + resolution)
    values = np.asarray(image.crop(box), dtype=np.float32) / 127.5 - 1
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _decoded(data: bytes, path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=DECODERS) as opened:
            width, height = opened.size
            if width * height > LARGEST_PIXELS:
                raise TrainingError(
                    f"{path} has {width}x{height} pixels; make it smaller than "
                    f"{LARGEST_PIXELS // 1_000_000} million."
                )
            opened.seek(0)  # the first frame of an animation
            upright = ImageOps.exif_transpose(opened)
            return _on_white(_of_8_bits(upright)).convert("RGB")


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Pillow makes white of whatever is above 255 in a grey picture of 16 bits."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    """What lies under transparent pixels is anything; people cut characters out."""
    if not image.has_transparency_data:
        return image
    seen = image.convert("RGBA")
    ground = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(ground, seen)


def _caption(path: Path) -> str | None:
    file = path.with_suffix(".txt")
    if not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8-sig") as opened:  # some editors begin a file with a mark
            text = " ".join(opened.read(LARGEST_CAPTION).split())
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file} is not UTF-8 text; save it as that.") from error
    return text or None


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise TrainingError(f"{path} is larger than 100 MiB; make it smaller.")
        return path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
