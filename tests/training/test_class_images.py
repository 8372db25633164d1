import json
from itertools import count

import numpy as np
import pytest
from PIL import Image

from training.bases import find_base
from training.class_images import TRIES, ensure
from training.dreambooth import train
from training.errors import TrainingError
from training.families import open_family
from training.painter import painter_of
from training.progress import EventKind, EventLog, EventTail

BASE = "b" * 64


class Crayon:
    """Draws what its seed says; some seeds give nothing."""

    def __init__(self, *, batch=1, blank=lambda _seed: False):
        self._batch = batch
        self.calls = []
        self._blank = blank

    def __call__(self):
        return self

    def batch(self, width, height):
        return self._batch

    def paint_all(self, prompt, *, seeds, width, height, steps, guidance):
        self.calls.append(list(seeds))
        return [self._paint(seed, (height, width, 3)) for seed in seeds]

    def _paint(self, seed, shape):
        if self._blank(seed):
            return Image.new("RGB", (shape[1], shape[0]))
        values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        return Image.fromarray(values)

    @property
    def drawn(self):
        return sum(len(seeds) for seeds in self.calls)


def never():
    return False


@pytest.fixture
def prior(settings):
    """Settings that want six pictures of a dog."""

    def prior(**keywords):
        config = settings(
            **{
                "with_prior_preservation": True,
                "class_prompt": "a photo of a dog",
                "num_class_images": 6,
            }
            | keywords
        )
        config.output_dir.mkdir(exist_ok=True)
        return config

    return prior


def make(config, painter, *, stop=never, base=BASE):
    return ensure(config, painter, EventLog(config.output_dir), stop, fingerprint=base)


def size(path):
    with Image.open(path) as picture:
        return picture.size


def is_black(path):
    with Image.open(path) as picture:
        return picture.getbbox() is None


def contents(paths):
    return [path.read_bytes() for path in paths]


def test_the_missing_ones_are_made_once(prior):
    crayon, config = Crayon(), prior()

    first = make(config, crayon)
    again = make(config, crayon)

    assert again == first
    assert len(first) == len(set(contents(first))) == crayon.drawn == 6
    assert [path.name for path in first] == sorted(path.name for path in first)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("pause", range(1, 6))
def test_what_a_stop_left_out_is_drawn_later_as_it_would_have_been(prior, tmp_path, batch, pause):
    whole = make(prior(output_dir=tmp_path / "whole"), Crayon(batch=batch))
    config = prior()
    looks = count()

    part = make(config, Crayon(batch=batch), stop=lambda: next(looks) > pause)
    rest = make(config, Crayon(batch=batch))

    assert len(part) == min(6, pause * batch)
    assert contents(rest) == contents(whole)


def test_what_a_run_that_wanted_more_has_left_does_not_change_this_one(prior):
    first = make(prior(), Crayon())
    more = make(prior(num_class_images=9), Crayon())

    assert make(prior(), Crayon()) == first == more[:6]
    assert len(more) == 9


def test_a_picture_that_got_lost_is_drawn_again_as_it_was(prior):
    config = prior()
    paths = make(config, Crayon(batch=4))
    before = contents(paths)
    paths[2].unlink()

    assert contents(make(config, Crayon(batch=4))) == before


@pytest.mark.parametrize(
    ("keywords", "base"),
    [({"class_prompt": "a cat"}, BASE), ({"seed": 7}, BASE), ({}, "c" * 64)],
)
def test_another_prompt_seed_or_base_has_pictures_of_its_own(prior, keywords, base):
    dogs = make(prior(), Crayon())

    others = make(prior(**keywords), Crayon(), base=base)

    assert len(others) == 6
    assert not set(others) & set(dogs)
    assert all(path.is_file() for path in dogs)
    sidecar = json.loads((others[0].parent / "class_images.json").read_text())
    assert {entry["base"] for entry in sidecar.values()} == {BASE, base}
    assert len(sidecar) == 2


def test_pictures_of_people_count_and_are_used(prior):
    config, crayon = prior(), Crayon()
    folder = config.class_images_dir
    folder.mkdir()
    for name in ("rex.jpg", "a dog.PNG", "notes.txt", ".hidden.png"):
        Image.new("RGB", (40, 30), "red").save(folder / name, format="PNG")

    paths = make(config, crayon)

    assert crayon.drawn == 4
    assert {path.name for path in paths} >= {"rex.jpg", "a dog.PNG"}
    assert len(paths) == 6


def test_without_a_missing_one_no_painter_is_made(prior):
    config = prior(num_class_images=1)
    config.class_images_dir.mkdir()
    Image.new("RGB", (40, 30), "red").save(config.class_images_dir / "rex.png")

    def refuse():
        raise AssertionError("nothing had to be drawn")

    assert [path.name for path in make(config, refuse)] == ["rex.png"]


def test_more_wanted_later_keep_those_that_are_there(prior):
    few = make(prior(), Crayon())
    before = contents(few)

    more = make(prior(num_class_images=9), crayon := Crayon())

    assert crayon.drawn == 3
    assert more[:6] == few
    assert contents(few) == before


def test_every_picture_is_told(prior):
    config, looks = prior(), count()
    make(config, Crayon(), stop=lambda: next(looks) > 2)
    make(config, Crayon())

    events = EventTail(config.output_dir).read()

    assert {event.kind for event in events} == {EventKind.CLASS_IMAGE}
    assert [event.made for event in events] == [1, 2, 3, 4, 5, 6]
    assert {event.wanted for event in events} == {6}


def test_a_blank_picture_is_drawn_again_from_another_seed(prior):
    blank = set()

    def every_third(seed):
        if seed % 3 == 0:
            blank.add(seed)
        return seed % 3 == 0

    paths = make(prior(num_class_images=12), Crayon(batch=4, blank=every_third))

    assert blank
    assert not any(is_black(path) for path in paths)


def test_a_base_that_draws_nothing_is_an_error_that_says_what_to_do(prior):
    crayon = Crayon(blank=lambda _seed: True)

    with pytest.raises(TrainingError, match="another class_prompt or base"):
        make(prior(), crayon)

    assert crayon.drawn == TRIES


def test_a_full_disk_leaves_no_half_picture(prior, monkeypatch):
    config = prior()

    def fail(self, file, format):
        file.write_bytes(b"\x89PNG half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(TrainingError, match=r"No space left on device.*; make room"):
        make(config, Crayon())

    assert [path.name for path in config.class_images_dir.iterdir()] == ["class_images.json"]


def test_a_run_that_is_stopped_before_the_first_has_lost_nothing(prior):
    config = prior()

    reached = train(config, resume=False, stop=lambda: True, events=EventLog(config.output_dir))

    assert reached == 0
    assert EventTail(config.output_dir).read()[-1].kind is EventKind.STOPPED


def test_a_base_draws_them(prior, tiny_base):
    config = prior(num_class_images=2)
    base = find_base(str(tiny_base), None)
    family = open_family(base, config, "cpu")

    paths = make(config, lambda: painter_of(family), base=base.fingerprint)

    assert [size(path) for path in paths] == [(32, 32)] * 2
    assert len(set(contents(paths))) == 2
