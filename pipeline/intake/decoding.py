"""Bytes that a stranger has sent -> pixels, or the reason why not.

The format is told by the bytes, and only its own decoder is opened; the dimensions are read and
judged before a pixel is decoded. What comes out is plain RGB without any of the file's other
contents. Colour profiles are dropped, not applied: that would be one more parser for strangers.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)

MOST_PIXELS = 40_000_000
LEAST_SIDE = 256
LONGEST_TO_SHORTEST = 4
LARGEST_SIDE = 2048
"""What is kept of a larger picture; no family trains at more than half of it."""
MOST_SCANS = 100
"""Of a progressive JPEG; usual are 10. Each one costs a pass over the picture, however empty."""
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.32, 4.6.4: the orientation tag -> what undoes it."""


class Unusable(Exception):
    """Why a file is no picture to train with; reads on after its name, without a full stop."""


@dataclass(frozen=True)
class Decoded:
    """RGB, upright; `is_one_of_many` says that the file has frames which were left out."""

    image: Image.Image
    is_one_of_many: bool


def decode(data: bytes) -> Decoded:
    """Unusable for whatever is not a picture of a usable size and shape."""
    kind = format_of(data)
    if kind == "WEBP":
        # Its decoder makes room for the whole canvas as soon as it is opened.
        _judge(*_webp_size(data))
    if kind == "JPEG" and data.count(b"\xff\xda") > MOST_SCANS:
        raise Unusable("is stored in more layers than a photo needs; save it anew as PNG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[kind]) as opened:
                return _decoded(opened)
    except Unusable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unusable(_too_many()) from error
    except MemoryError as error:
        raise Unusable("needs more memory than a picture should; save it anew as PNG") from error
    except Exception as error:  # a decoder may raise anything at bytes that were made to break it
        log.info("a %s file cannot be decoded", kind, exc_info=error)
        raise Unusable("is damaged or cut short; send it again") from error


def format_of(data: bytes) -> str:
    """JPEG, PNG or WEBP, by the first bytes; the file's name is not asked."""
    if not data:
        raise Unusable("is empty; send it again")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    raise Unusable("is not a JPEG, PNG or WebP picture; save it as one of these")


def _webp_size(data: bytes) -> tuple[int, int]:
    """From the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise Unusable("is cut short; send it again")
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        sides = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        return sides[0] & 0x3FFF, sides[1] & 0x3FFF
    raise Unusable("is damaged; send it again")


def _judge(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Unusable(_too_many())
    if min(width, height) < LEAST_SIDE:
        raise Unusable(
            f"is {width} x {height} pixels; a picture needs at least {LEAST_SIDE} on each side"
        )
    if max(width, height) > LONGEST_TO_SHORTEST * min(width, height):
        raise Unusable(f"is {width} x {height} pixels; cut it down to the character")


def _too_many() -> str:
    return f"has more than {MOST_PIXELS // 1_000_000} megapixels; send a smaller copy"


def _decoded(opened: Image.Image) -> Decoded:
    _judge(*opened.size)
    is_one_of_many = bool(getattr(opened, "is_animated", False)) and opened.format != "MPO"
    turn = UPRIGHT.get(_orientation(opened))
    opened.load()
    plain = _scaled(_on_white(opened))
    if turn is not None:
        plain = plain.transpose(turn)
    # Made of nothing but the pixels, so that no other content of the file comes along.
    return Decoded(Image.frombytes("RGB", plain.size, plain.tobytes()), is_one_of_many)


def _orientation(opened: Image.Image) -> int:
    """1, which is upright, when it cannot be read: the picture may be good all the same."""
    try:
        return int(opened.getexif().get(ORIENTATION, 1))
    except Exception as error:  # as above; EXIF is a file format of its own
        log.info("the orientation of a picture cannot be read", exc_info=error)
        return 1


def _on_white(image: Image.Image) -> Image.Image:
    """RGB of any mode; what is transparent shows white."""
    if image.mode.startswith("I"):  # grey of 16 bits
        grey = np.clip(np.asarray(image, np.int32) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    white.alpha_composite(seen)
    return white.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest <= LARGEST_SIDE:
        return image
    sides = [math.floor(side * LARGEST_SIDE / longest + 0.5) for side in image.size]
    return image.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)
