"""The sheet is looked at by people; here only that it shows what it should, where it should."""

import io

import numpy as np
import pytest
from PIL import Image
from standins.strangers import photo

from pipeline.intake import contact_sheet
from pipeline.intake.contact_sheet import AMBER, GREEN, GREY, Tile, draw

BLUE = Image.new("RGB", (600, 600), "blue")


def taken(letter, *words):
    return Tile(letter, f"picture {letter}.png", words, "0123abcd", BLUE)


def refused(letter, *words):
    return Tile(letter, f"picture {letter}.png", words)


def seen(*tiles):
    return Image.open(io.BytesIO(draw("Butcher: some taken", tiles))).convert("RGB")


def count(sheet, colour, tolerance=24):
    """Pixels of nearly this colour; JPEG changes them a little."""
    off = np.abs(np.asarray(sheet, np.int16) - np.array(colour)).max(axis=2)
    return int((off <= tolerance).sum())


@pytest.mark.parametrize("many", [1, 2, 4, 5, 10])
def test_it_is_as_wide_as_a_phone_and_not_too_long_to_scroll(many):
    sheet = seen(
        *(taken(letter, "Looks blurred.", "Much like 0123abcd.") for letter in "ABCDEFGHIJ"[:many])
    )
    assert sheet.width == 1080
    assert sheet.height < 2000


def test_what_was_taken_has_a_green_mark_and_what_was_refused_is_grey():
    both = [seen(taken("A")), seen(refused("A", "Empty; send it again."))]
    assert [count(sheet, GREEN) > 1000 for sheet in both] == [True, False]
    assert [count(sheet, (0, 0, 255)) > 500_000 for sheet in both] == [True, False]
    assert [count(sheet, GREY, 4) > 500_000 for sheet in both] == [False, True]


def test_remarks_stand_under_the_picture():
    plain, remarked = seen(taken("A")), seen(taken("A", "Looks blurred."))
    assert count(plain, AMBER) == 0
    assert count(remarked, AMBER) > 500
    assert remarked.height > plain.height


def test_long_words_stay_inside_of_their_tile():
    wordy = Tile("B", "n" * 300, ("no " * 300,))
    sheet = seen(taken("A"), wordy, taken("C"), taken("D"), taken("E"))
    assert sheet.size == seen(*(taken(letter) for letter in "ABCDE")).size
    beside = sheet.crop((contact_sheet.MARGIN + 2 * (sheet.width // 3), 0, sheet.width, 400))
    assert count(beside, (0, 0, 255)) > 80_000


@pytest.mark.parametrize("shape", [(2000, 520), (520, 2000)])
def test_a_picture_is_shown_whole(shape):
    edge = Image.new("RGB", shape, "blue")
    edge.paste("lime", (0, 0, 40, 40))
    edge.paste("lime", (shape[0] - 40, shape[1] - 40, *shape))
    sheet = seen(Tile("A", "edges.png", (), "0123abcd", edge))
    assert count(sheet, (0, 255, 0), 60) > 2 * 15 * 15


def test_letters_of_no_font_of_ours_do_no_harm():
    assert seen(Tile("A", "犬 \U0001f436 \u202egnp.exe", ("Ünïcödé.",), "", photo())).width == 1080
