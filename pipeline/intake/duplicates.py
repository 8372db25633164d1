"""Which pictures are the same, and which are much alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.facts import KnownPicture

NEAR = 5
"""Bits of 64 by which the average hashes of two takes of the same picture differ at most."""


def average_hash(image: Image.Image) -> str:
    """A bit for each of 8 x 8 squares, row by row: brighter than the picture is on average."""
    squares = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.BOX), np.float64)
    bits = np.packbits(squares > squares.mean())
    return bits.tobytes().hex()


def short(sha256: str) -> str:
    """What a picture is called on sheets and in lists, for good."""
    return sha256[:8]


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@dataclass(frozen=True)
class Seen:
    """A picture that later ones are held against; `words` tell people where it is."""

    sha256: str
    source_sha256: str
    average_hash: str
    words: str


class Gallery:
    """The character's pictures, and those of the upload as they are taken."""

    def __init__(self, known: Iterable[KnownPicture]) -> None:
        self._seen = [
            Seen(
                picture.sha256,
                picture.source_sha256,
                picture.average_hash,
                f"{short(picture.sha256)}, which is there already",
            )
            for picture in known
        ]

    def add(self, picture: Seen) -> None:
        self._seen.append(picture)

    def same_as(self, sha256: str) -> Seen | None:
        """A picture of these very bytes, before or after they were encoded."""
        return next((s for s in self._seen if sha256 in (s.sha256, s.source_sha256)), None)

    def much_like(self, average: str) -> Seen | None:
        """The nearest picture, if any is near."""
        near = [seen for seen in self._seen if distance(average, seen.average_hash) <= NEAR]
        return min(near, key=lambda seen: distance(average, seen.average_hash), default=None)
