import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from training.scores import is_blank, score


def dog(*, shift=0, fur=(150, 105, 70), size=(256, 320)):
    """A figure on a wall, away from the border."""
    picture = Image.new("RGB", size, (190, 210, 225))
    draw = ImageDraw.Draw(picture)
    x, y = size[0] // 2 + shift, size[1] // 2
    draw.ellipse((x - 70, y - 40, x + 70, y + 110), fill=fur, outline=(40, 30, 25), width=4)
    draw.ellipse((x - 50, y - 110, x + 50, y - 10), fill=fur, outline=(40, 30, 25), width=4)
    draw.polygon([(x - 45, y - 90), (x - 60, y - 130), (x - 20, y - 108)], fill=(90, 60, 45))
    draw.polygon([(x + 45, y - 90), (x + 60, y - 130), (x + 20, y - 108)], fill=(90, 60, 45))
    draw.ellipse((x - 25, y - 75, x - 10, y - 55), fill="black")
    draw.ellipse((x + 10, y - 75, x + 25, y - 55), fill="black")
    return picture


@pytest.fixture(scope="module")
def references():
    return [dog(), dog(shift=-12), dog(shift=8, fur=(140, 100, 75))]


def noise(size=(256, 320)):
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_a_reference_itself_scores_one(references):
    assert score(references[1], references) == pytest.approx(1.0)


def test_the_same_character_elsewhere_in_the_picture_scores_high(references):
    assert score(dog(shift=15), references) > 0.85


@pytest.mark.parametrize("radius", [1, 2, 4, 8])
def test_more_blur_scores_less(references, radius):
    picture = dog(shift=5)

    sharper = picture.filter(ImageFilter.GaussianBlur(radius / 2))
    softer = picture.filter(ImageFilter.GaussianBlur(radius))

    assert score(softer, references) < score(sharper, references) < score(picture, references)


@pytest.mark.parametrize("fur", [(60, 110, 190), (210, 60, 50), (80, 160, 70)])
def test_fur_of_another_colour_scores_less(references, fur):
    assert score(dog(fur=fur), references) < score(dog(shift=15), references) - 0.1


def test_the_further_the_colour_the_lower_the_score(references):
    near, far = (165, 100, 60), (60, 110, 190)

    assert score(dog(fur=far), references) < score(dog(fur=near), references)


def test_noise_scores_next_to_nothing(references):
    assert score(noise(), references) < 0.05


@pytest.mark.parametrize("colour", ["black", "white", (190, 210, 225)])
def test_a_picture_of_one_colour_scores_nothing(references, colour):
    assert score(Image.new("RGB", (256, 320), colour), references) == 0.0


def test_a_faded_picture_scores_less(references):
    faded = ImageEnhance.Contrast(dog()).enhance(0.4)

    assert score(faded, references) < 0.5 * score(dog(), references)


def test_a_figure_cut_by_the_border_scores_less(references):
    assert score(dog(shift=100), references) < score(dog(shift=15), references) - 0.1


def test_another_size_and_shape_of_the_same_picture_scores_about_the_same(references):
    large = dog().resize((768, 960), Image.Resampling.LANCZOS)

    assert score(large, references) == pytest.approx(score(dog(), references), abs=0.1)


def test_transparent_pictures_are_compared_on_white():
    figure = dog().convert("RGBA")
    figure.putalpha(Image.new("L", figure.size, 0))

    assert score(Image.new("RGB", figure.size, "white"), [figure]) == 0.0
    assert score(dog(), [dog().convert("RGBA")]) == pytest.approx(1.0)


def test_a_score_needs_a_reference():
    with pytest.raises(ValueError, match="reference"):
        score(dog(), [])


def test_blank_is_what_has_no_difference_between_its_pixels():
    assert is_blank(Image.new("RGB", (64, 64), "black"))
    assert is_blank(Image.new("RGB", (64, 64), (200, 10, 10)))
    assert not is_blank(dog())
