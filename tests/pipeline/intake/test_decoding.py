"""What strangers send becomes plain pixels, or one sentence."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from standins.strangers import (
    HOSTILE,
    as_file,
    moving_webp,
    photo,
    raw_png,
    where_it_was_taken,
)

from pipeline.intake import decoding
from pipeline.intake.decoding import Unusable, decode
from pipeline.intake.duplicates import average_hash

PIXELS = np.asarray(photo())


def colour_of(data, at=(150, 150)):
    return decode(data).image.getpixel(at)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused_with_a_reason_that_says_what_to_do(name):
    with pytest.raises(Unusable, match=r"; (send|save) "):
        decode(HOSTILE[name])


@pytest.mark.parametrize("name", ["zip-bomb.png", "larger-still.png", "canvas.webp"])
def test_too_many_pixels_are_refused_before_one_is_decoded(name, monkeypatch):
    def decoded(image):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Image.Image, "load", decoded)
    with pytest.raises(Unusable, match="more than 40 megapixels"):
        decode(HOSTILE[name])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_format_opens_no_other_decoder(kind, monkeypatch):
    opened, real = [], Image.open
    monkeypatch.setattr(
        decoding.Image,
        "open",
        lambda file, formats: opened.append(formats) or real(file, "r", formats),
    )
    decode(as_file(photo(), kind))
    assert opened == [[kind]]


@pytest.mark.parametrize("size", [(255, 400), (400, 255), (1, 1)])
def test_tiny_pictures_are_refused_with_their_size(size):
    with pytest.raises(Unusable, match=f"is {size[0]} x {size[1]} pixels; .* at least 256"):
        decode(as_file(photo(*size)))


def test_a_strip_is_refused():
    with pytest.raises(Unusable, match="cut it down to the character"):
        decode(as_file(photo(1200, 280)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_pixels_of_lossless_formats_stay_as_they_are(kind):
    image = decode(as_file(photo(), kind, lossless=True)).image
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), PIXELS)


def test_a_large_picture_is_made_smaller():
    assert decode(as_file(photo(2100, 600))).image.size == (2048, 585)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_white(mode):
    clear = Image.new("RGBA", (300, 300), (200, 0, 0, 0)).convert(mode)
    assert colour_of(as_file(clear)) == (255, 255, 255)


def test_a_colour_that_stands_for_transparent_shows_white():
    red = Image.new("RGB", (300, 300), (200, 0, 0))
    assert colour_of(as_file(red, transparency=(200, 0, 0))) == (255, 255, 255)


def test_half_transparent_red_shows_pink_on_white():
    red = Image.new("RGBA", (300, 300), (255, 0, 0, 128))
    assert colour_of(as_file(red)) == (255, 127, 127)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_becomes_rgb(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    made = Image.new("RGB", (300, 300), "white").convert(mode)
    assert colour_of(as_file(made, kind)) == (255, 255, 255)


@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_brought_down_to_eight(colour, samples):
    opaque = b"\xff\xff" if colour & 4 else b""
    pixel = b"\x80\x33" * (samples - len(opaque) // 2) + opaque
    data = raw_png(300, 300, bits=16, colour=colour, rows=(b"\0" + pixel * 300) * 300)
    assert colour_of(data) == (128, 128, 128)


def test_the_picture_is_turned_upright():
    decoded = decode(where_it_was_taken()).image
    on_its_side = Image.open(io.BytesIO(where_it_was_taken())).convert("RGB")
    assert decoded.size == (300, 400)
    assert np.array_equal(np.asarray(decoded), np.rot90(np.asarray(on_its_side), -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = as_file(photo(300, 400), exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(decode(data).image), np.asarray(upright))


def test_the_place_the_camera_and_the_comment_are_gone():
    image = decode(where_it_was_taken()).image
    again = as_file(image)
    assert not image.info
    assert not Image.open(io.BytesIO(again)).getexif()
    assert not any(word in again for word in (b"Exif", b"eXIf", b"Spycam", b"home address"))


def test_a_colour_profile_does_not_come_along():
    data = as_file(photo(), icc_profile=b"a profile that nobody reads")
    assert "icc_profile" not in Image.open(io.BytesIO(as_file(decode(data).image))).info


def test_a_picture_with_a_damaged_orientation_is_taken_as_it_is():
    assert np.array_equal(
        np.asarray(decode(as_file(photo(), exif=b"Exif\0\0MM\0*\xff")).image), PIXELS
    )


@pytest.mark.parametrize(
    "tail", [b"<html><script>alert(1)</script></html>", b"PK\x03\x04" + bytes(99)]
)
def test_what_hides_behind_a_picture_is_left_behind(tail):
    image = decode(as_file(photo()) + tail).image
    assert np.array_equal(np.asarray(image), PIXELS)
    assert tail not in as_file(image)


def test_of_a_moving_picture_the_first_frame_is_taken():
    decoded = decode(moving_webp())
    assert decoded.is_one_of_many
    assert np.array_equal(np.asarray(decoded.image), PIXELS)
    assert not decode(as_file(photo(), "WEBP")).is_one_of_many


def test_a_phone_s_picture_with_a_second_one_inside_is_not_a_moving_one():
    decoded = decode(as_file(photo(), "MPO", save_all=True, append_images=[photo(seed=2)]))
    assert not decoded.is_one_of_many
    assert average_hash(decoded.image) == average_hash(photo())


def test_a_progressive_jpeg_is_taken():
    assert decode(as_file(photo(), "JPEG", progressive=True)).image.size == (300, 300)


def test_memory_that_runs_out_is_a_reason(monkeypatch):
    def runs_out(image):
        raise MemoryError

    monkeypatch.setattr(decoding, "_on_white", runs_out)
    with pytest.raises(Unusable, match="needs more memory"):
        decode(as_file(photo()))
