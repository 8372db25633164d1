import random
import sys

import numpy as np
import pytest
from PIL import Image, ImageColor

from training.errors import TrainingError
from training.plots import PROMOTED, TRAINING, VALIDATION, draw_loss, smoothed
from training.progress import EVENTS_FILE, Event, EventLog

STEPS = 200


@pytest.fixture
def run(tmp_path):
    log, chance = EventLog(tmp_path), random.Random(1)
    log.tell(Event(kind="started", steps=STEPS))
    for step in range(1, 150):
        loss = chance.lognormvariate(-2, 0.5)
        log.tell(Event(kind="step", step=step, steps=STEPS, loss=loss))
        if step % 50 == 0:
            log.tell(Event(kind="checkpoint", step=step, steps=STEPS))
            log.tell(Event(kind="validation", step=step, steps=STEPS, loss=0.2 - step / 1000))
    return tmp_path


def drawn(folder, **keywords):
    draw_loss(folder / EVENTS_FILE, folder / "loss.png", **keywords)
    with Image.open(folder / "loss.png") as picture:
        return np.asarray(picture.convert("RGB"))


def has(pixels, colour):
    """Whether anything is drawn in it."""
    return bool((pixels == ImageColor.getrgb(colour)).all(axis=2).any())


def test_a_plot_shows_training_validation_and_what_is_in_use(run):
    pixels = drawn(run, promoted=50)

    assert pixels.shape == (675, 1200, 3)
    assert has(pixels, TRAINING)
    assert has(pixels, VALIDATION)
    assert has(pixels, PROMOTED)


def test_nothing_is_marked_that_is_not_in_use(run):
    assert not has(drawn(run), PROMOTED)


def test_equal_events_give_an_equal_file(run):
    drawn(run)
    before = (run / "loss.png").read_bytes()

    drawn(run)

    assert (run / "loss.png").read_bytes() == before


@pytest.mark.parametrize("told", [0, 1])
def test_a_run_that_has_told_little_is_drawn_as_well(tmp_path, told):
    for step in range(told):
        EventLog(tmp_path).tell(Event(kind="step", step=step + 1, steps=9, loss=0.1))

    assert drawn(tmp_path).shape == (675, 1200, 3)


def test_one_peak_does_not_flatten_the_lines(run):
    calm = drawn(run)
    EventLog(run).tell(Event(kind="step", step=149, steps=STEPS, loss=500.0))

    peaked = drawn(run)

    assert np.abs(height_of(peaked, VALIDATION) - height_of(calm, VALIDATION)) < 60


def height_of(pixels, colour):
    """Mean row of what is drawn in a colour, counted from above."""
    return np.nonzero((pixels == ImageColor.getrgb(colour)).all(axis=2))[0].mean()


def test_a_folder_that_cannot_be_written_is_a_sentence(run):
    with pytest.raises(TrainingError, match=r"loss\.png cannot be written"):
        draw_loss(run / EVENTS_FILE, run / "nowhere" / "loss.png")


def test_plotting_leaves_no_figures_behind(run):
    drawn(run)

    assert "matplotlib.pyplot" not in sys.modules


def test_smoothing_keeps_a_constant_and_calms_the_rest():
    chance = random.Random(1)
    losses = [chance.uniform(0, 1) for _ in range(400)]

    calm = smoothed(losses)

    assert smoothed([0.3] * 50) == pytest.approx([0.3] * 50)
    assert calm[0] == losses[0]
    assert np.std(calm[50:]) < 0.4 * np.std(losses[50:])
    assert np.mean(calm[50:]) == pytest.approx(0.5, abs=0.05)
