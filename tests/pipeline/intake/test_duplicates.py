"""Which pictures are the same, and which are much alike."""

import io

import pytest
from PIL import Image, ImageEnhance
from standins.strangers import as_file, photo

from pipeline.facts import KnownPicture
from pipeline.intake.duplicates import NEAR, Gallery, Seen, average_hash, distance

ONE, OTHER = "1" * 64, "2" * 64


def changed(name):
    image = photo()
    return {
        "stored again as JPEG": Image.open(io.BytesIO(as_file(image, "JPEG", quality=40))),
        "smaller": image.resize((200, 200)),
        "brighter": ImageEnhance.Brightness(image).enhance(1.1),
    }[name]


@pytest.mark.parametrize("change", ["stored again as JPEG", "smaller", "brighter"])
def test_the_same_picture_is_near_after(change):
    assert distance(average_hash(photo()), average_hash(changed(change))) <= NEAR


def test_other_pictures_are_not_near():
    hashes = [average_hash(photo(seed=seed)) for seed in range(8)]
    assert min(distance(a, b) for a in hashes for b in hashes if a != b) > NEAR


def test_the_hash_says_which_squares_are_bright():
    image = Image.new("L", (80, 80))
    image.paste(255, (0, 0, 80, 10))
    assert average_hash(image) == "ff00000000000000"


def seen(sha256, average):
    return Seen(sha256, sha256, average, "A")


@pytest.mark.parametrize(("bits", "is_near"), [(5, True), (6, False)])
def test_near_is_five_bits_or_less(bits, is_near):
    gallery, other = Gallery([]), seen(ONE, f"{2**bits - 1:016x}")
    gallery.add(other)
    assert gallery.much_like("0" * 16) == (other if is_near else None)


def test_the_nearest_one_is_named():
    gallery = Gallery([])
    for sha256, average in ((ONE, 0b111), (OTHER, 0b1)):
        gallery.add(seen(sha256, f"{average:016x}"))
    assert gallery.much_like("0" * 16).sha256 == OTHER


@pytest.mark.parametrize("sha256", [ONE, OTHER])
def test_a_known_picture_is_found_by_what_arrived_and_by_what_was_stored(sha256):
    known = KnownPicture(sha256=ONE, source_sha256=OTHER, average_hash="0" * 16)
    assert Gallery([known]).same_as(sha256).words == "11111111, which is there already"
    assert Gallery([known]).same_as("3" * 64) is None
