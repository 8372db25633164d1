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


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@dataclass(frozen=True)
class Seen:
    """A picture that later ones are held against; `words` name it for people."""

    words: str
    hashes: frozenset[str]
    """Of the bytes that arrived, and of what was stored."""
    average_hash: str


class Gallery:
    """The character's pictures, and those of the upload as they are taken."""

    def __init__(self, known: Iterable[KnownPicture]) -> None:
        self._seen = [
            Seen(
                f"the character's picture {number}",
                frozenset({picture.sha256, picture.source_sha256}),
                picture.average_hash,
            )
            for number, picture in enumerate(known, 1)
        ]

    def add(self, picture: Seen) -> None:
        self._seen.append(picture)

    def same_as(self, sha256: str) -> str | None:
        """The words for a picture of these very bytes, before or after they were encoded."""
        return next((seen.words for seen in self._seen if sha256 in seen.hashes), None)

    def much_like(self, average: str) -> str | None:
        """The words for the nearest picture, if any is near."""
        near = [(distance(average, seen.average_hash), seen.words) for seen in self._seen]
        found = min((pair for pair in near if pair[0] <= NEAR), default=None)
        return found[1] if found else None
