import hashlib
import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from training.bases import find_base
from training.ema import Ema
from training.errors import TrainingError
from training.families import open_family
from training.validation import PROBES, Validator
from training.weights import set_free

PROMPTS = ("a photo of sks dog", "a photo of sks dog asleep")


@pytest.fixture
def make_validator(settings):
    """A validator over networks in the middle of training, and what it looks at."""

    def make_validator(**keywords):
        config = settings(
            **{"validation_prompts": PROMPTS, "validation_inference_steps": 1} | keywords
        )
        config.output_dir.mkdir(exist_ok=True)
        family = open_family(find_base(config.base_model, None), config, "cpu")
        weights = set_free(family, config)
        ema = Ema(weights.parameters, 0.9) if config.use_ema else None
        unsettle(weights.parameters)
        return Validator(
            config,
            family,
            latents=latents(2),
            prompts=PROMPTS,
            averaged=lambda: weights.replaced_by(
                weights.parameters if ema is None else ema.tensors
            ),
        ), Networks(family, weights)

    return make_validator


def unsettle(parameters, *, seed=5):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in parameters.values():
            tensor += 0.2 * torch.randn(tensor.shape, generator=generator)


def latents(count):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn((1, 4, 16, 16), generator=generator) for _ in range(count)]


def digest(tensor):
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


class Networks:
    def __init__(self, family, weights):
        self.family, self.weights = family, weights

    def traces(self):
        """Everything about networks and random numbers that training would notice."""
        family = self.family
        parts = (family.denoiser, family.text_encoder, family.vae)
        parameters = [parameter for part in parts for parameter in part.parameters()]
        return {
            "torch": torch.get_rng_state().tolist(),
            "numpy": np.random.get_state()[1].tolist(),
            "modes": [module.training for part in parts for module in part.modules()],
            "learning": [parameter.requires_grad for parameter in parameters],
            "gradients": [None if p.grad is None else digest(p.grad) for p in parameters],
            "weights": [digest(parameter.detach()) for parameter in parameters],
            "places": [parameter.data_ptr() for parameter in parameters],
            "scheduler": type(family.pipeline().scheduler).__name__,
            "grad": torch.is_grad_enabled(),
        }


def pictures(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("image_*.png"))}


@pytest.mark.parametrize(
    "keywords",
    [{"lora_dropout": 0.5, "use_ema": True}, {"method": "full", "train_text_encoder": True}],
)
def test_training_cannot_tell_that_it_was_validated(make_validator, keywords):
    validator, networks = make_validator(**keywords)
    for parameter in networks.weights.parameters.values():
        parameter.grad = torch.full_like(parameter, 0.5)
    before = networks.traces()

    validator.run(100)

    assert networks.traces() == before


def test_equal_weights_give_equal_pictures_and_loss_at_every_step(make_validator):
    validator, _ = make_validator(lora_dropout=0.5)

    first = validator.run(100)
    torch.manual_seed(77)
    after_a_resume, _ = make_validator(lora_dropout=0.5)
    later = after_a_resume.run(200)

    assert pictures(first.folder) == pictures(later.folder)
    assert first.loss == later.loss
    assert first.folder.name == "validation-100"


def test_other_weights_give_other_pictures_and_loss(make_validator):
    validator, networks = make_validator()
    first = validator.run(100)

    unsettle(networks.weights.parameters, seed=6)
    later = validator.run(200)

    assert pictures(first.folder).keys() == pictures(later.folder).keys()
    assert all(
        pictures(first.folder)[name] != picture for name, picture in pictures(later.folder).items()
    )
    assert first.loss != later.loss


def test_averaged_weights_are_what_is_judged(make_validator):
    averaged, _ = make_validator(use_ema=True)
    trained, _ = make_validator()
    as_trained = trained.run(100)

    as_averaged = averaged.run(200)

    assert as_averaged.loss != as_trained.loss
    assert all(
        pictures(as_trained.folder)[name] != picture
        for name, picture in pictures(as_averaged.folder).items()
    )


def test_the_folder_tells_prompts_seeds_and_loss(make_validator):
    validator, _ = make_validator()

    report = validator.run(100)

    told = json.loads((report.folder / "validation.json").read_text())
    assert told["loss"] == report.loss
    assert told["step"] == 100
    assert [drawing["prompt"] for drawing in told["drawings"]] == list(PROMPTS)
    assert [drawing["file"] for drawing in told["drawings"]] == ["image_00.png", "image_01.png"]
    assert len({drawing["seed"] for drawing in told["drawings"]}) == 2
    with Image.open(report.folder / "grid.png") as grid:
        assert grid.width > 1000  # a phone's


def test_without_prompts_four_pictures_are_of_the_instance_prompt(make_validator):
    validator, _ = make_validator(validation_prompts=())

    folder = validator.run(100).folder

    assert len(set(pictures(folder).values())) == 4
    told = json.loads((folder / "validation.json").read_text())
    assert {drawing["prompt"] for drawing in told["drawings"]} == {"a photo of sks dog"}


def test_one_that_is_there_is_not_made_again(make_validator):
    validator, networks = make_validator()
    first = validator.run(100)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}

    unsettle(networks.weights.parameters, seed=6)
    again = validator.run(100)

    assert again == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


@pytest.mark.parametrize("lost", ["image_01.png", "validation.json"])
def test_one_with_something_missing_is_made_again(make_validator, lost):
    validator, _ = make_validator()
    first = validator.run(100)
    before = (first.folder / lost).read_bytes()
    (first.folder / lost).unlink()

    validator.run(100)

    assert (first.folder / lost).read_bytes() == before


def test_one_of_other_prompts_is_made_again(make_validator):
    make_validator()[0].run(100)
    validator, _ = make_validator(validation_prompts=("a photo of sks dog at sea",))

    folder = validator.run(100).folder

    assert list(pictures(folder)) == ["image_00.png"]


def test_a_full_disk_leaves_no_half_folder(make_validator, monkeypatch, tmp_path):
    run_folder = tmp_path / "run"
    validator, networks = make_validator(use_ema=True)
    before = networks.traces()

    def fail(self, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(TrainingError, match="validation-100 cannot be written"):
        validator.run(100)

    assert not list(run_folder.iterdir())
    assert networks.traces() == before


@contextmanager
def perfect(family):
    """A network that knows the noise: its target is what it says."""
    target = {}
    add_noise, predict = family.add_noise, family.predict

    def remember(latents, noise, timesteps):
        target["is"] = family.target(latents, noise, timesteps)
        return add_noise(latents, noise, timesteps)

    family.add_noise, family.predict = remember, lambda *_: target["is"]
    yield
    family.add_noise, family.predict = add_noise, predict


def test_the_loss_of_a_network_that_knows_the_noise_is_zero(make_validator):
    validator, networks = make_validator()

    with perfect(networks.family):
        assert validator.loss() == 0.0


def test_the_loss_of_a_network_that_says_nothing_is_that_of_the_noise(make_validator, monkeypatch):
    validator, networks = make_validator()
    seen = []

    def nothing(noisy, timesteps, embeddings):
        seen.append(int(timesteps[0]))
        return torch.zeros_like(noisy)

    monkeypatch.setattr(networks.family, "predict", nothing)

    assert validator.loss() == pytest.approx(1.0, abs=0.05)
    assert len(seen) == PROBES
    assert seen == sorted(set(seen))
    assert (seen[0], seen[-1]) == (31, 968)
