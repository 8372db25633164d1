"""A picture that fills the frame, with its subject below the captions and nothing stretched."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.errors import UserError
from pipeline.reel import captions, portrait
from pipeline.reel.sprites import HEIGHT, WIDTH

FACE, WALL = (210, 60, 40), (120, 150, 190)


def drawing(folder, width, height, *, middle=0.5):
    """A wall with a face on it: a disc in the upper half, `middle` across."""
    image = Image.new("RGB", (width, height), WALL)
    radius = min(width, height) * 0.2
    x, y = width * middle, height * 0.3
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=FACE)
    path = folder / f"{width}x{height}-{middle}.png"
    image.save(path)
    return path


def face_in(frame):
    """Left, top, right and bottom of the face."""
    rows, columns = np.nonzero(np.abs(frame.astype(int) - FACE).max(axis=2) < 12)
    return columns.min(), rows.min(), columns.max(), rows.max()


@pytest.mark.parametrize(
    "size", [(512, 768), (64, 96), (512, 512), (768, 512), (540, 960), (400, 900), (48, 40)]
)
def test_every_shape_fills_the_frame_and_stays_in_proportion(tmp_path, size):
    frame = portrait.zoomed(drawing(tmp_path, *size), 0)

    assert frame.shape == (HEIGHT, WIDTH, 3)
    left, top, right, bottom = face_in(frame)
    assert right - left == pytest.approx(bottom - top, rel=0.08)
    assert (np.abs(frame[::240, ::135].astype(int) - WALL).max(axis=2) < 90).any(axis=1).all()


@pytest.mark.parametrize("size", [(512, 768), (512, 512), (512, 640)])
def test_the_eyes_of_a_portrait_are_below_the_captions(tmp_path, size):
    _, top, _, bottom = face_in(portrait.zoomed(drawing(tmp_path, *size), 1))

    assert (top + bottom) / 2 > captions.MIDDLE + captions.BOX[1] / 2
    assert bottom < HEIGHT


@pytest.mark.parametrize("middle", [0.25, 0.5, 0.75])
def test_a_face_off_the_middle_of_a_wide_picture_is_not_cut(tmp_path, middle):
    left, _, right, _ = face_in(portrait.zoomed(drawing(tmp_path, 768, 512, middle=middle), 0))

    assert left > 0
    assert right < WIDTH - 1


def test_the_camera_goes_nearer_slowly_and_never_jumps(tmp_path):
    path = drawing(tmp_path, 512, 768)
    widths = [np.subtract(*face_in(portrait.zoomed(path, n / 30))[2::-2]) for n in range(9)]

    steps = np.diff(widths)
    assert steps.min() >= 0
    assert steps.max() <= 4
    assert widths[-1] / widths[0] == pytest.approx(1 + portrait.ZOOM * 8 / 30, abs=0.01)


def test_there_is_no_edge_where_the_picture_begins(tmp_path):
    path = drawing(tmp_path, 512, 768)
    column = portrait.zoomed(path, 0)[:700, 5].astype(int)

    assert np.abs(np.diff(column, axis=0)).max() <= 3


def test_the_same_moment_is_the_same_frame(tmp_path):
    path = drawing(tmp_path, 512, 768)
    first = portrait.zoomed(path, 0.4)
    portrait.filling.cache_clear()

    assert (portrait.zoomed(path, 0.4) == first).all()


def test_what_is_no_picture_is_a_sentence(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\ntorn")

    with pytest.raises(UserError, match=r"torn\.png is missing or broken"):
        portrait.zoomed(tmp_path / "torn.png", 0)
