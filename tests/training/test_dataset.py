import numpy as np
import pytest
from PIL import Image

from training.dataset import crop, crops, find_pictures, fingerprint, load
from training.errors import TrainingError
from training.randomness import Randomness
from training.streams import Stream


def picture(folder, name, **keywords):
    image = Image.new("RGB", keywords.pop("size", (40, 32)), keywords.pop("colour", "red"))
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **keywords)
    return folder / name


def test_only_known_pictures_count_and_they_come_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "c.webp"):
        picture(tmp_path / "p", name)
    (tmp_path / "p" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "p" / "._a.JPG").write_bytes(b"resource fork")
    (tmp_path / "p" / "notes.md").write_text("hello")
    (tmp_path / "p" / "folder.png").mkdir()
    found = find_pictures(tmp_path / "p", "a dog")
    assert [one.path.name for one in found] == ["a.JPG", "b.png", "c.webp"]


def test_a_caption_beside_a_picture_is_its_prompt(tmp_path):
    picture(tmp_path / "p", "a.png")
    picture(tmp_path / "p", "b.png")
    (tmp_path / "p" / "a.txt").write_text(" a dog\nasleep ")
    (tmp_path / "p" / "b.txt").write_text("  ")
    assert [one.prompt for one in find_pictures(tmp_path / "p", "a dog")] == [
        "a dog asleep",
        "a dog",
    ]


def test_a_caption_may_begin_with_a_mark_of_its_encoding(tmp_path):
    picture(tmp_path / "p", "a.png")
    (tmp_path / "p" / "a.txt").write_text("a dog asleep", encoding="utf-8-sig")
    [found] = find_pictures(tmp_path / "p", "a dog")
    assert found.prompt == "a dog asleep"


def test_a_long_caption_is_cut_between_letters(tmp_path):
    picture(tmp_path / "p", "a.png")
    (tmp_path / "p" / "a.txt").write_text("é" + "ü" * 5000, encoding="utf-8")
    [found] = find_pictures(tmp_path / "p", "a dog")
    assert found.prompt == "é" + "ü" * 4095


def with_torn_exif(path):
    """A picture that must be turned, and a tag whose number does not fit what it holds."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "hello"
    Image.new("RGB", (8, 8)).save(path, "JPEG", exif=exif)
    path.write_bytes(path.read_bytes().replace(b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02"))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"no picture"),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: Image.new("RGB", (8, 8)).save(path, format="BMP"),
        lambda path: path.write_bytes(b""),
        with_torn_exif,
    ],
    ids=["text", "cut short", "another decoder", "empty", "torn EXIF"],
)
def test_a_broken_picture_is_a_sentence_that_names_it(tmp_path, write):
    rng = np.random.default_rng(1)
    (tmp_path / "p").mkdir()
    noise = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "p" / "a.png")
    write(tmp_path / "p" / "a.png")
    [found] = find_pictures(tmp_path / "p", "a dog")
    with pytest.raises(TrainingError, match=r"a\.png is not a whole PNG, JPEG or WebP"):
        load(found, 32)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (9000, 9000)).save(path)
    [found] = find_pictures(tmp_path, "a dog")
    with pytest.raises(TrainingError, match=r"huge\.png has 9000x9000 pixels"):
        load(found, 32)


def test_a_strip_is_refused_before_it_is_made_a_thousand_times_as_large(tmp_path):
    Image.new("RGB", (2, 20_000)).save(tmp_path / "strip.png")
    [found] = find_pictures(tmp_path, "a dog")
    with pytest.raises(TrainingError, match=r"strip\.png is a strip of 2x20000 pixels; cut it"):
        load(found, 512)


def test_a_grey_picture_of_16_bits_keeps_its_greys(tmp_path):
    greys = np.linspace(0, 65535, 256).astype(np.uint16).repeat(256).reshape(256, 256)
    Image.fromarray(greys).save(tmp_path / "grey.png")
    [found] = find_pictures(tmp_path, "a dog")
    assert [load(found, 256).getpixel((9, y))[0] for y in (0, 128, 255)] == [0, 128, 255]


def test_an_empty_folder_and_a_missing_one_are_sentences(tmp_path):
    with pytest.raises(TrainingError, match="holds no pictures; put"):
        find_pictures(tmp_path, "a dog")
    with pytest.raises(TrainingError, match="cannot be read"):
        find_pictures(tmp_path / "missing", "a dog")


def test_the_shorter_side_becomes_the_resolution_and_exif_turns_the_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture(tmp_path, "a.jpg", size=(80, 40), exif=exif)
    [found] = find_pictures(tmp_path, "a dog")
    assert load(found, 32).size == (32, 64)


def test_transparent_pixels_are_white(tmp_path):
    Image.new("RGBA", (32, 32), (255, 0, 0, 0)).save(tmp_path / "a.png")
    [found] = find_pictures(tmp_path, "a dog")
    pixels = crop(load(found, 32), 32, left=0, upper=0)
    assert pixels.shape == (3, 32, 32)
    assert (pixels == 1).all()


def test_pixels_are_between_minus_one_and_one():
    image = Image.fromarray(np.array([[[0, 127, 255]] * 8] * 8, dtype=np.uint8))
    pixels = crop(image, 8, left=0, upper=0)
    assert pixels[0].max() == -1
    assert pixels[2].min() == 1
    assert abs(float(pixels[1, 0, 0])) < 0.01


def test_only_a_picture_that_can_be_cropped_differently_is_encoded_more_than_once():
    assert crops((32, 32), 32, center=False) == 1
    assert crops((48, 32), 32, center=True) == 1
    assert crops((48, 32), 32, center=False) == 8


def test_a_picture_that_changes_meanwhile_is_refused(tmp_path):
    path = picture(tmp_path, "a.png")
    [found] = find_pictures(tmp_path, "a dog")
    picture(tmp_path, "a.png", colour="blue")
    with pytest.raises(TrainingError, match=f"{path} was changed meanwhile"):
        load(found, 32)


def test_the_fingerprint_is_that_of_content_and_prompts_not_of_places(tmp_path):
    for folder in ("one", "two"):
        picture(tmp_path / folder, "a.png")
    one = fingerprint(find_pictures(tmp_path / "one", "a dog"))
    assert one == fingerprint(find_pictures(tmp_path / "two", "a dog"))
    assert one != fingerprint(find_pictures(tmp_path / "two", "a cat"))
    picture(tmp_path / "two", "b.png")
    assert one != fingerprint(find_pictures(tmp_path / "two", "a dog"))


def stream(pictures, seed=1):
    return Stream("class", pictures, [], Randomness(seed), 1000)


def test_all_pictures_are_used_equally_often_in_another_order_each_time():
    of_seven = stream([None] * 7)
    draws = [of_seven.item(draw) for draw in range(7 * 5 + 3)]
    counts = [draws.count(item) for item in range(7)]
    assert max(counts) - min(counts) == 1
    assert min(counts) == 5
    assert len({tuple(draws[start : start + 7]) for start in range(0, 35, 7)}) > 1


def test_the_order_hangs_on_the_seed_and_can_be_asked_for_from_the_middle():
    of_seven, again, other = stream([None] * 7), stream([None] * 7), stream([None] * 7, seed=2)
    expected = [of_seven.item(draw) for draw in range(40)]
    assert [again.item(draw) for draw in range(39, -1, -1)] == expected[::-1]
    assert [other.item(draw) for draw in range(40)] != expected
