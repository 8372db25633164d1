"""A character's rig: one SVG whose groups can be moved and exchanged, and how it is posed.

The file says everything a picture needs; no code knows a character.

    <g data-part="head" data-pivot="500 720">      a part turns and shifts around its pivot
    <g data-part="pupils" data-reach="24 16">      `reach`: how far a full glance shifts it
    <g data-part="blink" data-drop="190">          `drop`: how far a full blink lowers it
    <g data-slot="mouth" data-shape="D">           of each slot one shape is drawn at a time
    <metadata>
      <emotion name="happy" brows="raised" eyes="open" head="-4" ears="6 0 -10" .../>

An `<emotion>` names a shape for a slot, or degrees (then optionally dx and dy) for a part.
Mouths are the nine shapes of Rhubarb Lip Sync (A closed, B teeth together, C open, D wide,
E rounded, F puckered, G teeth on lip, H tongue up, X at rest). `D-happy` wins over `D` while
the character is happy, and `D-glad` does when the emotion says `mood="glad"`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.reel.svg import NAMESPACE, opening, rasterise, read_svg, view_box
from pipeline.sections import Emotion

MOUTHS = ("A", "B", "C", "D", "E", "F", "G", "H", "X")
# A rig may have fewer: a missing mouth is replaced by the nearest one. D and X must be there.
_NEAREST = {"A": "X", "B": "C", "C": "D", "E": "D", "F": "E", "G": "B", "H": "C"}
_REQUIRED = (("mouth", "X"), ("mouth", "D"), ("eyes", "open"), ("eyes", "shut"))
_SHUT = 0.85  # the blink from which on the eyes are drawn shut


@dataclass(frozen=True)
class Move:
    """How far a part is turned (degrees, clockwise), shifted (SVG units) and stretched."""

    degrees: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    sx: float = 1.0
    sy: float = 1.0

    def __add__(self, other: Move) -> Move:
        return Move(
            self.degrees + other.degrees,
            self.dx + other.dx,
            self.dy + other.dy,
            self.sx * other.sx,
            self.sy * other.sy,
        )

    def transform(self, pivot: tuple[float, float]) -> str:
        """The value of an SVG transform attribute; empty when nothing moves."""
        x, y = pivot
        steps = []
        if self.dx or self.dy:
            steps.append(f"translate({self.dx:.2f} {self.dy:.2f})")
        if self.degrees:
            steps.append(f"rotate({self.degrees:.2f} {x:g} {y:g})")
        if self.sx != 1 or self.sy != 1:
            scale = f"scale({self.sx:.4f} {self.sy:.4f})"
            steps.append(f"translate({x:g} {y:g}) {scale} translate({-x:g} {-y:g})")
        return " ".join(steps)


@dataclass(frozen=True)
class Pose:
    """What a rig shows at one moment.

    `mouth` is one of MOUTHS; `blink` goes from 0 (as the emotion has it) to 1 (shut); `look` is
    the glance, -1 to 1 each way; `tilt` leans the head (degrees); `moves` add to the emotion's.
    """

    emotion: Emotion = Emotion.NEUTRAL
    mouth: str = "X"
    blink: float = 0.0
    look: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    mirror: bool = False
    moves: Mapping[str, Move] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    name: str
    pivot: tuple[float, float]
    reach: tuple[float, float]
    drop: float


@dataclass(frozen=True)
class _Layer:
    slot: str
    shape: str


@dataclass(frozen=True)
class _Node:
    """A run of the drawing: text before and after, and what is between."""

    head: str
    tail: str
    children: tuple[_Node, ...] = ()
    role: _Part | _Layer | None = None


@dataclass(frozen=True)
class _Mood:
    """An emotion's row: the shape of each slot, the moves of parts, the flavour of mouths."""

    shapes: Mapping[str, str]
    moves: Mapping[str, Move]
    flavours: tuple[str, ...]


class Rig:
    """A character that can be drawn in any pose; immutable, so it can be shared by threads."""

    def __init__(
        self, name: str, box: tuple[float, ...], nodes: tuple[_Node, ...], moods: dict[str, _Mood]
    ) -> None:
        self.name = name
        self.box = box
        self._nodes = nodes
        self._moods = moods
        self._layers = {(r.slot, r.shape) for r in _roles(nodes) if isinstance(r, _Layer)}

    @classmethod
    def load(cls, path: Path) -> Rig:
        """Read a rig; UserError names the file and what is missing or not allowed."""
        root = read_svg(path, extra=frozenset({"metadata", "emotion"}))
        nodes = tuple(_compile(child, path.name) for child in root if _drawn(child))
        roles = list(_roles(nodes))
        layers = {(r.slot, r.shape) for r in roles if isinstance(r, _Layer)}
        for slot, shape in _REQUIRED:
            if (slot, shape) not in layers:
                raise UserError(
                    f'{path.name} has no layer {slot} {shape}; add a group with data-slot="{slot}"'
                    f' data-shape="{shape}".'
                )
        parts = {r.name for r in roles if isinstance(r, _Part)}
        return cls(path.name, view_box(root, path.name), nodes, _moods(root, path, layers, parts))

    def svg(self, pose: Pose) -> str:
        """The drawing of one pose as a complete SVG document."""
        mood = self._moods[pose.emotion]
        shapes = {**mood.shapes, "mouth": self._mouth(pose.mouth, mood)}
        if pose.blink >= _SHUT:
            shapes["eyes"] = "shut"
        left, top, width, height = self.box
        moves = dict(mood.moves)
        for name, move in [("head", Move(pose.tilt)), *pose.moves.items()]:
            moves[name] = moves.get(name, Move()) + move
        out = [
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="{left:g} {top:g} {width:g} {height:g}">'
        ]
        if pose.mirror:
            out.append(f'<g transform="translate({2 * left + width:g} 0) scale(-1 1)">')
        for node in self._nodes:
            _draw(node, out, shapes, moves, pose)
        out.append("</g></svg>" if pose.mirror else "</svg>")
        return "".join(out)

    def render(self, pose: Pose, width: int, height: int) -> NDArray[np.uint8]:
        """Draw one pose; RGBA with straight alpha, shape (height, width, 4)."""
        return rasterise(self.svg(pose), width, height)

    def _mouth(self, wanted: str, mood: _Mood) -> str:
        while True:
            for shape in (*(f"{wanted}-{flavour}" for flavour in mood.flavours), wanted):
                if ("mouth", shape) in self._layers:
                    return shape
            wanted = _NEAREST[wanted]


def _drawn(element: ET.Element) -> bool:
    return element.tag.removeprefix(NAMESPACE) not in {"metadata", "title", "desc"}


def _compile(element: ET.Element, name: str) -> _Node:
    tag = element.tag.removeprefix(NAMESPACE)
    head = opening(element)
    children = tuple(_compile(child, name) for child in element if _drawn(child))
    role = _role(element, name)
    if role is None and all(child.role is None and not child.children for child in children):
        inner = "".join(child.head + child.tail for child in children)
        return _Node(f"{head}>{inner}", f"</{tag}>")
    # A part keeps its own transform in the group around it.
    if isinstance(role, _Part):
        return _Node("<g", f"</{tag}></g>", (_Node(f"{head}>", "", children),), role)
    return _Node(f"{head}>", f"</{tag}>", children, role)


def _role(element: ET.Element, name: str) -> _Part | _Layer | None:
    if part := element.get("data-part"):
        drop = _numbers(element, "data-drop", 1, name)[0]
        pivot = _numbers(element, "data-pivot", 2, name)
        reach = _numbers(element, "data-reach", 2, name)
        return _Part(part, (pivot[0], pivot[1]), (reach[0], reach[1]), drop)
    if slot := element.get("data-slot"):
        return _Layer(slot, element.get("data-shape", ""))
    return None


def _numbers(element: ET.Element, key: str, count: int, name: str) -> list[float]:
    text = element.get(key)
    if text is None:
        return [0.0] * count
    try:
        numbers = [float(n) for n in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise UserError(f'{name} has {key}="{text}"; write {count} number(s) there.')
    return numbers


def _roles(nodes: tuple[_Node, ...]) -> Iterator[_Part | _Layer]:
    for node in nodes:
        if node.role is not None:
            yield node.role
        yield from _roles(node.children)


def _moods(
    root: ET.Element, path: Path, layers: set[tuple[str, str]], parts: set[str]
) -> dict[str, _Mood]:
    rows = {row.get("name"): row for row in root.iter(f"{NAMESPACE}emotion")}
    for emotion in Emotion:
        if emotion not in rows:
            raise UserError(
                f'{path.name} has no emotion {emotion}; add <emotion name="{emotion}" .../> to'
                " its <metadata>."
            )
    return {e: _mood(rows[e], path.name, layers, parts) for e in Emotion}


def _mood(row: ET.Element, file: str, layers: set[tuple[str, str]], parts: set[str]) -> _Mood:
    name = row.get("name", "")
    shapes = {"eyes": "open"}
    moves = {}
    for key, value in row.attrib.items():
        if key in {"name", "mood"}:
            continue
        if (key, value) in layers:
            shapes[key] = value
        elif key in parts:
            moves[key] = _move(value, file, name)
        else:
            raise UserError(f"{file} has no layer {key} {value}, which its emotion {name} shows.")
    flavours = (name, row.get("mood", "")) if row.get("mood") else (name,)
    return _Mood(shapes, moves, flavours)


def _move(text: str, file: str, emotion: str) -> Move:
    try:
        degrees, dx, dy = [*(float(n) for n in text.split()), 0.0, 0.0][:3]
    except ValueError as error:
        raise UserError(
            f"{file}: emotion {emotion}: {text!r} is not a number of degrees."
        ) from error
    return Move(degrees, dx, dy)


def _draw(
    node: _Node, out: list[str], shapes: Mapping[str, str], moves: Mapping[str, Move], pose: Pose
) -> None:
    role = node.role
    if isinstance(role, _Layer) and shapes.get(role.slot) != role.shape:
        return
    out.append(node.head)
    if isinstance(role, _Part):
        transform = _transform(role, moves, pose)
        out.append(f' transform="{transform}">' if transform else ">")
    for child in node.children:
        _draw(child, out, shapes, moves, pose)
    out.append(node.tail)


def _transform(part: _Part, moves: Mapping[str, Move], pose: Pose) -> str:
    shift = Move(
        dx=pose.look[0] * part.reach[0],
        dy=pose.look[1] * part.reach[1] + pose.blink * part.drop,
    )
    return (moves.get(part.name, Move()) + shift).transform(part.pivot)
