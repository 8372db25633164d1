"""The contact sheet that reviewers see: one still per line, with who says what and how."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.reel import captions, lettering
from pipeline.reel.scene import Scene
from pipeline.sections import Cutaway, Voices
from pipeline.shows import Show

STILL = (270, 480)
MARGIN, TEXT_HEIGHT, PITCH = 18, 128, 21
HEAD_SIZE, TEXT_SIZE = 22, 20
PAPER, PAPER_INK, FAINT = (31, 29, 43), (240, 238, 245), (162, 158, 178)
COLOURS = 200  # a palette keeps the file small enough for a message


@dataclass(frozen=True)
class Panel:
    """A still and what is under it."""

    frame: int
    head: str
    character: str
    emotion: str
    text: str


def draw(
    scene: Scene,
    voices: Voices,
    show: Show,
    path: Path,
    reactions: Mapping[int, Cutaway] | None = None,
) -> None:
    """`reactions` are the cutaways that are seen, by line; each has a still of its own."""
    panels = list(_panels(scene, voices, reactions or {}))
    columns = _columns(len(panels))
    rows = -(-len(panels) // columns)
    step = (STILL[0] + MARGIN, STILL[1] + TEXT_HEIGHT + MARGIN)
    sheet = Image.new("RGB", (columns * step[0] + MARGIN, rows * step[1] + MARGIN), PAPER)
    for number, panel in enumerate(panels):
        left = MARGIN + number % columns * step[0]
        top = MARGIN + number // columns * step[1]
        still = Image.fromarray(scene.paint(panel.frame))
        sheet.paste(still.resize(STILL, Image.Resampling.LANCZOS), (left, top))
        colour = captions.bright(show.character(panel.character).colour)
        _label(ImageDraw.Draw(sheet), panel, colour, (left, top + STILL[1] + 8))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def _panels(scene: Scene, voices: Voices, reactions: Mapping[int, Cutaway]) -> Iterator[Panel]:
    for shot, line in zip(scene.shots, voices.lines, strict=True):
        end = shot.reaction.first if shot.reaction else shot.end
        head = f"{line.index}  {line.character}"
        yield Panel((shot.first + end) // 2, head, line.character, line.emotion, line.text)
        if shot.reaction and (cutaway := reactions.get(line.index)):
            middle = (shot.reaction.first + shot.end) // 2
            head = f"{line.index}b  {cutaway.character}"
            yield Panel(middle, head, cutaway.character, cutaway.emotion, "drawn by the model")


def _columns(count: int) -> int:
    """Few rows, as messages show wide pictures larger than tall ones."""
    rows = 1 if count <= 4 else max(2, -(-count // 6))
    return -(-count // rows)


def _label(
    pen: ImageDraw.ImageDraw, panel: Panel, colour: lettering.Colour, at: tuple[int, int]
) -> None:
    left, top = at
    head = lettering.drawable(panel.head)
    face = lettering.font(lettering.PLAIN, round(HEAD_SIZE * lettering.PLAIN_SCALE))
    pen.text((left, top), head, font=face, fill=colour)
    pen.text((left + face.getlength(head) + 10, top), panel.emotion, font=face, fill=FAINT)
    text = lettering.font(lettering.PLAIN, round(TEXT_SIZE * lettering.PLAIN_SCALE))
    rows = lettering.wrapped(panel.text, TEXT_SIZE, STILL[0], speaking=False)
    most = (TEXT_HEIGHT - 30) // PITCH
    if len(rows) > most:
        rows = [*rows[: most - 1], rows[most - 1].rstrip(".,") + "…"]
    for number, row in enumerate(rows):
        pen.text((left, top + 28 + number * PITCH), row, font=text, fill=PAPER_INK)
