"""SVG files, which a user may supply: reading them safely, and turning them into pixels."""

from __future__ import annotations

import functools
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from thorvg_python.base import Colorspace, Result
from thorvg_python.canvas.sw import SwCanvas
from thorvg_python.engine import Engine
from thorvg_python.paint.picture import Picture

from pipeline.errors import UserError

NAMESPACE = "{http://www.w3.org/2000/svg}"
MAX_BYTES = 2_000_000
MAX_DEPTH = 40
# No <use>: nested copies of copies grow without bound. No <style>: our layers carry attributes.
DRAWING = frozenset(
    {"svg", "g", "path", "circle", "ellipse", "rect", "line", "polyline", "polygon"}
    | {"defs", "clipPath", "mask", "linearGradient", "radialGradient", "stop", "title", "desc"}
)
_BLOCK = 4096
_lock = threading.Lock()


def read_svg(path: Path, *, extra: frozenset[str] = frozenset()) -> ET.Element:
    """The root of a drawing that is known to hold shapes only; `extra` allows further elements."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read; check that it is there.") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path.name} is larger than {MAX_BYTES} bytes; simplify the drawing.")
    try:
        text = data.decode("utf-8-sig")
        # Entities can only be declared in a DOCTYPE, so without one nothing can expand.
        if "<!doctype" in text.casefold() or "<!entity" in text.casefold():
            raise UserError(f"{path.name} has a DOCTYPE; delete that line.")
        root = ET.fromstring(text)
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise UserError(
            f"{path.name} is not SVG in UTF-8; export it again as plain SVG."
        ) from error
    if root.tag != f"{NAMESPACE}svg":
        raise UserError(f"{path.name} is not an SVG drawing; export it again as plain SVG.")
    view_box(root, path.name)
    _refuse_all_but_shapes(root, path.name, DRAWING | extra)
    return root


def view_box(root: ET.Element, name: str) -> tuple[float, ...]:
    """Left, top, width, height of a drawing."""
    try:
        box = tuple(float(n) for n in root.get("viewBox", "").replace(",", " ").split())
    except ValueError:
        box = ()
    if len(box) != 4 or not (0 < box[2] <= 10_000 and 0 < box[3] <= 10_000):
        raise UserError(f'{name} has no viewBox; give it one, for example viewBox="0 0 1000 1200".')
    return box


def _refuse_all_but_shapes(
    element: ET.Element, name: str, allowed: frozenset[str], depth: int = 0
) -> None:
    tag = element.tag.removeprefix(NAMESPACE)
    if tag not in allowed:
        shown = tag.rpartition("}")[2]
        raise UserError(f"{name} holds <{shown}>, which a drawing may not; delete it.")
    if depth > MAX_DEPTH:
        raise UserError(f"{name} nests groups deeper than {MAX_DEPTH}; flatten it.")
    for key, value in element.attrib.items():
        local = key.rpartition("}")[2].casefold()
        outside = "url(" in value.replace("url(#", "").casefold()
        if local == "href" or local.startswith("on") or local == "style" or outside:
            raise UserError(f"{name} has {local!r} on <{tag}>, which may not be; delete it.")
    for child in element:
        _refuse_all_but_shapes(child, name, allowed, depth + 1)


def opening(element: ET.Element) -> str:
    """An element's tag up to where its `>` goes; attributes that only we read are left out."""
    attributes = element.attrib.items()
    shown = "".join(f" {k}={quoteattr(v)}" for k, v in attributes if not k.startswith("data-"))
    xmlns = f' xmlns="{NAMESPACE[1:-1]}"' if element.tag == f"{NAMESPACE}svg" else ""
    return f"<{element.tag.removeprefix(NAMESPACE)}{xmlns}{shown}"


def to_text(element: ET.Element) -> str:
    """Write a drawing out again; text between elements draws nothing and is left out."""
    inner = "".join(to_text(child) for child in element)
    return f"{opening(element)}>{inner}</{element.tag.removeprefix(NAMESPACE)}>"


@functools.cache
def _engine() -> Engine:
    return Engine(threads=0)


def rasterise(svg: str, width: int, height: int) -> NDArray[np.uint8]:
    """Draw an SVG stretched to width x height; RGBA, straight alpha, shape (height, width, 4)."""
    data = svg.encode()
    # The binding keeps one ctypes type for ever per distinct length: round the length up.
    data += b" " * (-len(data) % _BLOCK)
    with _lock:  # the binding sets argument types on shared functions before each call
        engine = _engine()
        canvas = SwCanvas(engine)
        try:
            picture = Picture(engine)
            _must(picture.load_data(data, "svg", None, True))
            _must(picture.set_size(float(width), float(height)))
            # It returns other things than it says; without a target the drawing below fails.
            canvas.set_target(width, height, cs=Colorspace.ABGR8888S)
            _must(canvas.add(picture))
            _must(canvas.draw(True))
            _must(canvas.sync())
        finally:
            canvas.destroy()
    return np.array(canvas.buffer_arr, np.uint32).view(np.uint8).reshape(height, width, 4)


def _must(result: Result) -> None:
    if result != Result.SUCCESS:
        raise ValueError(f"the drawing cannot be rendered: {result.name}")
