import numpy as np
import pytest
from PIL import Image

from training.grids import draw_grid


def colours(count):
    return [(60 + 10 * number, 200 - 10 * number, 90) for number in range(count)]


def grid(count, *, size=(64, 64), prompt="a photo of sks dog", title="Butcher · step 100"):
    pictures = [Image.new("RGB", size, colour) for colour in colours(count)]
    return np.asarray(draw_grid(pictures, [prompt] * count, title))


def places(pixels, colour):
    """Left, upper, width and height of what has that colour."""
    rows, columns = np.nonzero((pixels == colour).all(axis=2))
    size = (int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    return int(columns.min()), int(rows.min()), *size


@pytest.mark.parametrize(
    ("count", "columns", "side"),
    [(1, 1, 1024), (2, 2, 512), (4, 2, 512), (5, 3, 400), (16, 4, 320)],
)
def test_all_pictures_are_there_in_rows_and_large(count, columns, side):
    pixels = grid(count)

    found = [places(pixels, colour) for colour in colours(count)]

    assert {(width, height) for _, _, width, height in found} == {(side, side)}
    assert len({left for left, _, _, _ in found}) == columns
    assert [place[:2] for place in found] == sorted((p[:2] for p in found), key=lambda p: p[::-1])


def test_portraits_keep_their_shape():
    left, _, width, height = places(grid(2, size=(40, 60)), colours(2)[0])

    assert (width, height) == (512, 768)
    assert left == 16


def test_every_prompt_and_the_title_are_written():
    plain = grid(2)

    assert (grid(2, prompt="a squirrel") != plain).any()
    assert (grid(2, title="Nutsy · step 100") != plain).any()


def test_a_long_prompt_stays_under_its_picture():
    short, long = grid(4, prompt=" "), grid(4, prompt="a very long prompt " * 40)

    assert short.shape == long.shape
    changed = np.nonzero((short != long).any(axis=2))
    _, upper, _, height = places(long, colours(4)[2])
    assert changed[1].max() < long.shape[1]
    assert not set(changed[0]) & set(range(upper, upper + height))


def test_letters_of_other_alphabets_are_no_boxes():
    one, other = grid(1, prompt="Привет"), grid(1, prompt="πρόγνω")

    assert (one != other).any()
