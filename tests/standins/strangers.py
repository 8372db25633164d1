"""Pictures as strangers send them: good ones, and those that are made to break a decoder."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def as_file(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width=300, height=300, seed=1):
    """Large shapes and grain; no two seeds look alike."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
    large = np.asarray(coarse.resize((width, height), Image.Resampling.NEAREST), np.int16)
    grain = random.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8))


def raw_png(width, height, *, bits, colour, rows):
    """A PNG of given rows, each with its filter byte: for what Pillow itself would not write."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def bomb(side=13_000):
    """A one-bit PNG of a few kilobytes that is half a gigabyte once it is RGB."""
    return raw_png(side, side, bits=1, colour=0, rows=bytes(side * (side // 8 + 1)))


def endless_jpeg(scans=500):
    """A progressive JPEG that repeats its last pass over the picture."""
    data = as_file(photo(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def huge_webp():
    """A few bytes that claim a canvas of 16384 x 16384, for which the decoder makes room."""
    side = (16_384 - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + side + side
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def moving_webp():
    frames = [photo(seed=seed) for seed in (1, 2, 3)]
    return as_file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)


def where_it_was_taken():
    """A JPEG that tells the place, the camera and a comment, and lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    exif[0x010F] = "Spycam"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 29.0)
    return as_file(photo(400, 300), "JPEG", exif=exif, comment=b"home address")


HOSTILE = {
    "zip-bomb.png": bomb(),
    "larger-still.png": bomb(20_000),
    "canvas.webp": huge_webp(),
    "passes.jpg": endless_jpeg(),
    "text.png": b"<html><script>alert(1)</script></html>",
    "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='300' height='300'/>",
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n",
    "tiff.png": as_file(photo(), "TIFF"),
    "gif.png": as_file(photo(), "GIF"),
    "empty.png": b"",
    "only-magic.png": b"\x89PNG\r\n\x1a\n",
    "only-magic.jpg": b"\xff\xd8\xff",
    "only-magic.webp": b"RIFF\0\0\0\0WEBP",
    "cut-short.png": as_file(photo())[:5000],
    "cut-short.jpg": as_file(photo(), "JPEG")[:5000],
    "cut-short.webp": as_file(photo(), "WEBP")[:5000],
    "no-pixels.png": raw_png(300, 300, bits=8, colour=2, rows=b""),
}
"""Name -> bytes; none of them is a picture to train with."""
