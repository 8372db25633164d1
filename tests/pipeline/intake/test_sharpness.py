from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipeline.intake.sharpness import BLURRED_BELOW, sharpness
from pipeline.reel.characters import Pose, Rig

RIG = Path("pipeline/shows/butcher_and_nutsy/butcher.svg")


@pytest.fixture(scope="module")
def drawing():
    pixels = Image.fromarray(Rig.load(RIG).render(Pose(), 1000, 1200))
    white = Image.new("RGBA", pixels.size, "white")
    white.alpha_composite(pixels)
    return white.convert("RGB")


def test_a_clean_drawing_is_sharp_and_a_slightly_soft_one_too(drawing):
    assert sharpness(drawing) > sharpness(drawing.filter(ImageFilter.GaussianBlur(2)))
    assert sharpness(drawing.filter(ImageFilter.GaussianBlur(2))) > BLURRED_BELOW


def test_a_blur_that_everybody_sees_is_below_the_threshold(drawing):
    assert sharpness(drawing.filter(ImageFilter.GaussianBlur(4))) < BLURRED_BELOW


def test_a_large_copy_is_as_sharp_as_it_looks_when_it_is_trained_at(drawing):
    large = drawing.resize((2000, 2400), Image.Resampling.LANCZOS)
    assert sharpness(large) == pytest.approx(sharpness(drawing), rel=0.2)


def test_it_is_the_variance_of_the_laplacian():
    pixels = np.zeros((5, 5), np.uint8)
    pixels[2, 2] = 10
    inner = np.array([[0, 10, 0], [10, -40, 10], [0, 10, 0]])
    assert sharpness(Image.fromarray(pixels)) == round(float(np.var(inner)), 2)


def test_an_even_picture_has_none():
    assert sharpness(Image.new("RGB", (300, 300), "teal")) == 0
