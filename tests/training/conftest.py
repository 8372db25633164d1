"""A base with random weights, made once, and pictures to train with."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two threads add in another order

import numpy as np
import pytest
from PIL import Image

from training.config import TrainingConfig


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    from bench.random_base import make_base

    return make_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="session")
def tiny_v_base(tmp_path_factory):
    """The same, for v-prediction."""
    from bench.random_base import make_base

    folder = tmp_path_factory.mktemp("bases") / "tiny-v"
    return make_base(folder, prediction_type="v_prediction")


def draw(path, number, size=(80, 72)):
    """A smooth picture that differs from number to number."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def pictures(tmp_path):
    return make_pictures(tmp_path / "pictures")


def make_pictures(folder):
    """Five pictures of different sizes; one has a caption."""
    for number in range(5):
        draw(folder / f"{number}.png", number, size=(64 + 8 * number, 96 - 4 * number))
    (folder / "3.txt").write_text("a photo of sks dog asleep", encoding="utf-8")
    return folder


@pytest.fixture
def settings(tiny_base, pictures, tmp_path):
    """Make a TrainingConfig for a run of seconds; keywords win."""
    return settings_for(tiny_base, pictures, tmp_path / "run")


def settings_for(base, pictures, output):
    def settings(**keywords):
        given = {
            "base_model": str(base),
            "instance_data_dir": pictures,
            "instance_prompt": "a photo of sks dog",
            "output_dir": output,
            "resolution": 32,
            "max_train_steps": 4,
            "checkpointing_steps": 2,
            "validation_steps": 0,
            "validation_inference_steps": 2,
            "rank": 4,
            "learning_rate": 1e-3,
            "mixed_precision": "no",
            "device": "cpu",
        }
        return TrainingConfig.model_validate(given | keywords)

    return settings


@pytest.fixture(scope="module")
def settings_of_module(tiny_base, tmp_path_factory):
    """The same with pictures and an output folder that all tests of a file share."""
    folder = tmp_path_factory.mktemp("shared")
    return settings_for(tiny_base, make_pictures(folder / "pictures"), folder / "run")


@pytest.fixture(scope="session")
def train():
    """Train in this process, up to a step if one is given; returns the step reached."""
    from training.dreambooth import never, train
    from training.progress import EventKind, EventLog

    class Log(EventLog):
        """Also knows how many steps are still to be done until somebody asks to stop."""

        def __init__(self, folder, until):
            super().__init__(folder)
            self._until, self._left = until, None

        def tell(self, event):
            super().tell(event)
            if event.kind is EventKind.STARTED:
                self._left = self._until - event.step

        def stop(self):
            if self._left is None:
                return False
            self._left -= 1
            return self._left < 0

    def run(config, *, resume=False, stop=never, until=None):
        config.output_dir.mkdir(parents=True, exist_ok=True)
        if until is None:
            return train(config, resume=resume, stop=stop, events=EventLog(config.output_dir))
        log = Log(config.output_dir, until)
        return train(config, resume=resume, stop=log.stop, events=log)

    return run


@pytest.fixture(scope="session")
def contents():
    """The bytes of all tensors of a checkpoint, by file."""

    def contents(checkpoint):
        paths = sorted(checkpoint.rglob("*.safetensors"))
        return {path.relative_to(checkpoint).as_posix(): path.read_bytes() for path in paths}

    return contents
