import errno
import importlib.util
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training import dreambooth
from training.bases import find_base
from training.config import config_text, load_config, movable
from training.dataset import find_pictures
from training.errors import TrainingError
from training.families import open_family
from training.manifest import checkpoints
from training.model_info import LORA_FILE
from training.objective import Objective
from training.progress import EventKind, EventTail
from training.randomness import Randomness
from training.streams import Stream, encode
from training.weights import set_free


def told(config, *kinds):
    return [event for event in EventTail(config.output_dir).read() if event.kind in kinds]


@pytest.fixture
def fixed_noise_loss(settings, tiny_base):
    """Of a picture folder's first picture, by what a checkpoint says."""

    def loss(config, checkpoint=None):
        family = open_family(find_base(config.base_model, None), config, "cpu")
        [file] = set_free(family, config).files
        if checkpoint is not None:
            file.set(load_file(checkpoint / file.path))
        found = find_pictures(config.instance_data_dir, config.instance_prompt)
        mean = encode(found, family, config, stop=lambda: False)[0][0][0]
        at = torch.arange(25, 1000, 50)
        noise = Randomness(99).normal((len(at), *mean.shape), "held out")
        latents = mean.expand_as(noise)
        with torch.no_grad():
            text = family.encode_prompts([found[0].prompt]).expand(len(at), -1, -1)
            said = family.predict(family.add_noise(latents, noise, at), at, text)
            wrong = (said - family.target(latents, noise, at)).square().mean()
        return float(wrong)

    return loss


def test_one_picture_is_learned(settings, train, pictures, fixed_noise_loss):
    for path in list(pictures.iterdir()):
        if path.name != "0.png":
            path.unlink()
    config = settings(
        method="full",
        learning_rate=2e-3,
        max_train_steps=80,
        checkpointing_steps=80,
        train_batch_size=4,
        resolution=16,
    )
    before = fixed_noise_loss(config)
    train(config)
    after = fixed_noise_loss(config, config.output_dir / "checkpoint-80")
    assert after < 0.2 * before


def test_the_prior_pulls(settings, train, pictures, tmp_path):
    def weights(name, **keywords):
        config = settings(
            output_dir=tmp_path / name,
            max_train_steps=2,
            with_prior_preservation=True,
            class_prompt="a dog",
            class_data_dir=pictures,
            num_class_images=5,
            **keywords,
        )
        train(config)
        return load_file(config.output_dir / "checkpoint-2" / LORA_FILE)

    with_prior, without = weights("one", prior_loss_weight=1.0), weights("two", prior_loss_weight=0)
    assert all(not torch.equal(with_prior[name], without[name]) for name in without)


def test_without_weight_the_prior_costs_nothing_and_the_loss_adds_up(settings, pictures):
    config = settings(with_prior_preservation=True, class_prompt="a dog", train_batch_size=2)
    family = open_family(find_base(config.base_model, None), config, "cpu")
    found = find_pictures(pictures, "a dog")
    encoded = encode(found, family, config, stop=lambda: False)

    def stream(name):
        return Stream(name, found, encoded, Randomness(1), 1000)

    def loss(weight, *names):
        settings = config.model_copy(update={"prior_loss_weight": weight})
        with torch.no_grad():
            streams = [stream(name) for name in names]
            return float(Objective(family, streams, settings).loss(3, 0))

    own, prior = loss(1, "instance"), loss(1, "class")
    assert loss(0, "instance", "class") == pytest.approx(own, rel=1e-5)
    assert loss(0.5, "instance", "class") == pytest.approx(own + 0.5 * prior, rel=1e-5)


def test_class_images_are_used_equally_often(settings, train, pictures, monkeypatch):
    drawn = {}
    item = Stream.item

    def watched(stream, draw):
        drawn.setdefault(stream._name, {})[draw] = item(stream, draw)
        return item(stream, draw)

    monkeypatch.setattr(Stream, "item", watched)
    config = settings(
        max_train_steps=9,
        with_prior_preservation=True,
        class_prompt="a dog",
        class_data_dir=pictures,
        num_class_images=5,
    )
    train(config, until=4)
    train(config, resume=True)
    assert sorted(drawn["class"]) == list(range(9))
    used = list(drawn["class"].values())
    counts = [used.count(number) for number in range(5)]
    assert set(counts) == {1, 2}


def test_a_run_tells_what_it_does(settings, train, tmp_path):
    config = settings(
        max_train_steps=3,
        checkpointing_steps=2,
        validation_steps=3,
        validation_prompts=("a dog",),
        logging_dir=tmp_path / "logs",
    )
    train(config)
    events = [event for event in EventTail(config.output_dir).read() if event.kind != "step"]
    assert [(event.kind, event.step, event.folder) for event in events] == [
        ("preparing", 0, ""),
        ("started", 0, ""),
        ("checkpoint", 2, "checkpoint-2"),
        ("checkpoint", 3, "checkpoint-3"),
        ("validation", 3, "validation-3"),
        ("finished", 3, ""),
    ]
    assert events[4].loss > 0
    steps = told(config, EventKind.STEP)
    assert steps[-1].step == 3
    assert steps[-1].loss > 0
    assert steps[-1].learning_rate == 1e-3
    assert steps[-1].seconds_left == 0
    assert (tmp_path / "logs" / "loss.png").is_file()


def test_a_run_keeps_its_settings_with_paths_that_move_with_it(settings, train, tmp_path):
    settings = partial(settings, max_train_steps=1, logging_dir=tmp_path / "run" / "logs")
    train(settings())
    file = settings().output_dir / "config.yaml"
    assert str(tmp_path) not in file.read_text()
    assert movable(load_config(file)) == movable(settings())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "run").rename(elsewhere / "run")
    (tmp_path / "pictures").rename(elsewhere / "pictures")
    moved = load_config(elsewhere / "run" / "config.yaml")
    assert moved.instance_data_dir.resolve() == elsewhere / "pictures"
    assert moved.logging_dir.resolve() == elsewhere / "run" / "logs"


def test_what_lies_far_from_a_run_stays_where_it_is_when_the_run_moves(settings):
    base = Path("/somewhere/bases/sd15")
    kept = movable(settings(base_model=str(base), output_dir="/data/models/rex"))
    assert kept.base_model == str(base)
    near = movable(settings(base_model="/data/bases/sd15", output_dir="/data/models/rex"))
    assert near.base_model == "../../bases/sd15"


def test_the_settings_a_run_was_begun_with_are_left_as_they_are(settings, train, tmp_path):
    file = tmp_path / "run" / "config.yaml"
    file.parent.mkdir()
    text = "# mine\n" + config_text(movable(settings(max_train_steps=1)))
    file.write_text(text)
    train(load_config(file))
    assert file.read_text() == text


def test_a_validation_that_a_kill_left_out_is_made_up_for(settings, train):
    import shutil

    config = settings(max_train_steps=2, validation_steps=2, validation_prompts=("a dog",))
    train(config)
    shutil.rmtree(config.output_dir / "validation-2")
    train(config, resume=True)
    assert (config.output_dir / "validation-2" / "grid.png").is_file()


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(
    settings, train, monkeypatch
):
    loss = Objective.loss
    monkeypatch.setattr(
        Objective, "loss", lambda self, step, part: loss(self, step, part) / (step != 3)
    )
    config = settings(max_train_steps=6)
    with pytest.raises(TrainingError, match="The loss is not a number any more before step 4"):
        train(config)
    assert list(checkpoints(config.output_dir)) == [2]


def test_a_stop_before_the_first_step_loses_nothing(settings, train):
    config = settings()
    assert train(config, stop=lambda: True) == 0
    assert told(config, EventKind.STOPPED)[-1].step == 0
    train(config, until=3)
    assert train(config, resume=True, stop=lambda: True) == 3
    assert list(checkpoints(config.output_dir)) == [3, 2]
    assert train(config, resume=True) == 4


def test_resume_without_a_checkpoint_begins(settings, train):
    assert train(settings(), resume=True) == 4


def test_fp16_on_a_cpu_is_refused(settings, train):
    with pytest.raises(TrainingError, match="A CPU cannot train in fp16; set mixed_precision"):
        train(settings(mixed_precision="fp16"))


@pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed"
)
def test_8_bit_adam_that_is_not_installed_is_a_sentence(settings, train):
    with pytest.raises(TrainingError, match="use_8bit_adam needs bitsandbytes"):
        train(settings(use_8bit_adam=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_sentence(settings, train):
    with pytest.raises(TrainingError, match="PyTorch finds no GPU; set device to auto or cpu"):
        train(settings(device="cuda"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_disk_that_takes_nothing_beside_checkpoints_is_a_sentence(settings, monkeypatch, number):
    def keep(config):
        raise OSError(number, os.strerror(number), "run/config.yaml")

    config = settings(max_train_steps=1)
    config.output_dir.mkdir()
    monkeypatch.setattr(dreambooth, "_keep_settings", keep)
    said = rf"^run/config.yaml cannot be written \({os.strerror(number)}\); make room there"
    with pytest.raises(TrainingError, match=said):
        dreambooth._train_and_tell(config, resume=False, stop=dreambooth.never)
    assert told(config, EventKind.FAILED)[-1].error.startswith("run/config.yaml cannot")


def test_a_folder_for_plots_that_cannot_be_is_said_before_the_first_step(settings, train, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    config = settings(logging_dir=tmp_path / "file" / "logs")
    with pytest.raises(TrainingError, match="logs cannot be written"):
        train(config)
    assert not list(config.output_dir.glob("checkpoint-*"))


def test_a_picture_that_breaks_the_run_is_named(settings, train, pictures):
    (pictures / "2.png").write_bytes(b"not a picture")
    with pytest.raises(TrainingError, match=r"2\.png is not a whole PNG"):
        train(settings())
