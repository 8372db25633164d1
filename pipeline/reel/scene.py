"""The picture of a reel, frame by frame: backdrop, the two characters, captions, title.

A frame is painted from cached parts. Once a speaker has arrived, only the bounce (a few steps)
and the caption change, so that a whole frame costs a copy and one small cut-out.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipeline.reel import captions, lettering, portrait
from pipeline.reel.captions import Card
from pipeline.reel.lettering import INK, Style
from pipeline.reel.sprites import HEIGHT, WIDTH, Frame, Sprite, cut_out, grown, lay, opened

SPEAKER_BOX = (1000, 1130)
SPEAKER_FEET, LISTENER_FEET = 1742, 1540
SPEAKER_ASIDE, LISTENER_ASIDE = 86, 352  # pixels from the middle, to the character's own side
LISTENER_SIZE = 0.5
LISTENER_LIGHT = (0.74, 0.76, 0.86)  # as if in the shade: darker, and less warm
BACKDROP_SIZE = 1.08  # room for the camera to pan
ENTRANCE = 8  # frames
BOUNCE_STEPS = 8
STRETCH, SQUEEZE = 0.05, 0.022  # of height and width at the loudest
TITLE_TOP = 272
TITLE_COLOUR = (255, 214, 64)


@dataclass(frozen=True)
class Reaction:
    """The one who listens, large, from frame `first` to the end of the shot."""

    picture: Path
    first: int


@dataclass(frozen=True)
class Shot:
    """One line on the screen, for the frames [first, end)."""

    index: int
    picture: Path
    side: int
    """-1 when the speaker belongs to the left, 1 to the right."""
    listener: Path | None
    first: int
    end: int
    cards: tuple[Card, ...]
    returning: bool = False
    """True when the same character spoke the line before."""
    reaction: Reaction | None = None

    def card(self, frame: int) -> Card | None:
        return next((card for card in self.cards if card.first <= frame < card.end), None)


@dataclass
class Scene:
    """Paints any frame of a reel; `levels` is the loudness of the voice per frame, 0 to 1."""

    shots: Sequence[Shot]
    backdrop: Frame
    levels: NDArray[np.float64]
    title: str = ""
    _settled: dict[int, Frame] = field(default_factory=dict, repr=False)
    _settled_shot: int = -1

    def __post_init__(self) -> None:
        size = (round(WIDTH * BACKDROP_SIZE), round(HEIGHT * BACKDROP_SIZE))
        wide = Image.fromarray(self.backdrop).resize(size, Image.Resampling.LANCZOS)
        self._wide = np.asarray(wide)
        self._title = title_sprite(self.title) if self.title else None
        self._firsts = [shot.first for shot in self.shots]
        self._cards = lru_cache(maxsize=16)(captions.picture)

    def shot(self, frame: int) -> Shot:
        return self.shots[max(bisect.bisect_right(self._firsts, frame) - 1, 0)]

    def paint(self, frame: int) -> Frame:
        """The finished picture of a frame; the caller may keep it."""
        shot = self.shot(frame)
        reaction = shot.reaction
        if reaction is not None and frame >= reaction.first:
            age = (frame - reaction.first) / (shot.end - reaction.first)
            canvas = portrait.zoomed(reaction.picture, age)
        else:
            canvas = self._characters(shot, frame)
        card = shot.card(frame)
        if card is not None:
            age = min(frame - card.first, len(captions.POP))
            lay(self._cards(card, card.active(frame), age=age), canvas)
        return canvas

    def _characters(self, shot: Shot, frame: int) -> Frame:
        step = round(float(self.levels[min(frame, len(self.levels) - 1)]) * (BOUNCE_STEPS - 1))
        age = frame - shot.first
        if age < ENTRANCE:
            return self._compose(shot, step, age)
        if self._settled_shot != shot.index:
            self._settled.clear()
            self._settled_shot = shot.index
        if step not in self._settled:
            self._settled[step] = self._compose(shot, step, ENTRANCE)
        return self._settled[step].copy()

    def _compose(self, shot: Shot, step: int, age: int) -> Frame:
        canvas = self._backdrop(shot, age)
        if shot.listener is not None:
            lay(listener_sprite(shot.listener, -shot.side), canvas)
        arrived = _ease_out_back(age / ENTRANCE)
        start = 0.95 if shot.returning else 0.8
        scale = start + (1 - start) * arrived
        level = step / (BOUNCE_STEPS - 1)
        middle = WIDTH // 2 + shot.side * SPEAKER_ASIDE
        if not shot.returning:
            middle += round(shot.side * 120 * (1 - arrived))
        image = fitted(shot.picture, SPEAKER_BOX)
        lay(shadow(image.width, middle, SPEAKER_FEET), canvas)
        image = grown(
            image, width=scale * (1 - SQUEEZE * level), height=scale * (1 + STRETCH * level)
        )
        lay(standing(image, middle, SPEAKER_FEET), canvas)
        if self._title is not None and shot is self.shots[0]:
            lay(self._title, canvas)
        return canvas

    def _backdrop(self, shot: Shot, age: int) -> Frame:
        """The part of the backdrop that the camera sees: it swings to the speaker's side."""
        room = self._wide.shape[1] - WIDTH
        turn = shot.side if shot.returning else shot.side * (2 * _ease_out(age / ENTRANCE) - 1)
        left = round(room / 2 * (1 + turn))
        top = (self._wide.shape[0] - HEIGHT) // 2
        return self._wide[top : top + HEIGHT, left : left + WIDTH].copy()


def _ease_out(t: float) -> float:
    return 1 - (1 - min(t, 1.0)) ** 3


def _ease_out_back(t: float) -> float:
    """Runs a little beyond 1 and comes back (the usual overshoot of 10 %)."""
    rest = min(t, 1.0) - 1
    return 1 + 2.70158 * rest**3 + 1.70158 * rest**2


@lru_cache(maxsize=32)
def fitted(path: Path, box: tuple[int, int]) -> Image.Image:
    """A picture scaled into a box, premultiplied; one without transparency gets round corners."""
    image = opened(path, "RGBA")
    scale = min(box[0] / image.width, box[1] / image.height)
    if image.getchannel("A").getextrema()[0] == 255:
        image.putalpha(_round_corners(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    premultiplied: Image.Image = image.convert("RGBa")
    return premultiplied.resize(size, Image.Resampling.LANCZOS)


def _round_corners(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *size), radius=min(size) // 10, fill=255)
    return mask


def standing(image: Image.Image, middle: int, feet: int) -> Sprite:
    return cut_out(image, middle - image.width // 2, feet - image.height)


@lru_cache(maxsize=16)
def listener_sprite(path: Path, side: int) -> Sprite:
    """The one who listens: smaller, further back, in less light."""
    box = (round(SPEAKER_BOX[0] * LISTENER_SIZE), round(SPEAKER_BOX[1] * LISTENER_SIZE))
    sprite = standing(fitted(path, box), WIDTH // 2 + side * LISTENER_ASIDE, LISTENER_FEET)
    dim = (sprite.colour * np.array(LISTENER_LIGHT)).astype(np.uint8)
    return Sprite(dim, sprite.through, sprite.left, sprite.top)


@lru_cache(maxsize=16)
def shadow(width: int, middle: int, feet: int) -> Sprite:
    """A soft ellipse on the ground under somebody `width` pixels wide."""
    blur = 18
    size = (round(width * 0.72), round(width * 0.13))
    alpha = Image.new("L", (size[0] + 6 * blur, size[1] + 6 * blur), 0)
    box = (3 * blur, 3 * blur, 3 * blur + size[0], 3 * blur + size[1])
    ImageDraw.Draw(alpha).ellipse(box, fill=110)
    image = Image.new("RGBA", alpha.size, (*INK, 0))
    image.putalpha(alpha.filter(ImageFilter.GaussianBlur(blur)))
    return cut_out(image, middle - image.width // 2, feet - size[1] // 2 - image.height // 2)


def title_sprite(text: str) -> Sprite:
    """The topic on a small sign at the top of the safe area."""
    style = Style(size=50, outline=0)
    room = captions.BOX[0] - 80
    word = lettering.drawable(text)
    lettered = lettering.block([[(word, INK)]], style, box=(room, 46))
    size = (lettered.width + 64, 68)
    sign = Image.new("RGBA", (size[0] * 2, size[1] * 2), (0, 0, 0, 0))
    ImageDraw.Draw(sign).rounded_rectangle(
        (2, 2, size[0] * 2 - 3, size[1] * 2 - 3),
        radius=36,
        fill=TITLE_COLOUR,
        outline=INK,
        width=10,
    )
    sign = sign.resize(size, Image.Resampling.LANCZOS)
    sign.alpha_composite(lettered, (32, (size[1] - lettered.height) // 2))
    return cut_out(sign, (WIDTH - size[0]) // 2, TITLE_TOP)
