"""A run that was stopped anywhere ends with the bits of one that was not."""

import shutil

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from training import device
from training.manifest import read_manifest
from training.objective import Objective

STEPS = 12
MODES = {
    "lora with dropout": {"lora_dropout": 0.3},
    "full": {"method": "full"},
    "accumulation": {"gradient_accumulation_steps": 2, "train_batch_size": 2},
    "cosine": {"lr_scheduler": "cosine", "lr_warmup_steps": 3, "center_crop": False},
    "v-prediction": {"snr_gamma": 5.0},
    "bf16": {"mixed_precision": "bf16"},
    "gradient checkpointing": {"gradient_checkpointing": True, "lora_dropout": 0.3},
    "text encoder": {"train_text_encoder": True, "lora_dropout": 0.3},
    "full with text encoder in bf16": {
        "method": "full",
        "train_text_encoder": True,
        "mixed_precision": "bf16",
        "gradient_checkpointing": True,
        "gradient_accumulation_steps": 2,
        "lr_scheduler": "polynomial",
    },
}


@pytest.fixture
def run_of_12(settings, pictures, tiny_v_base, tmp_path):
    """Settings of a run with class images and EMA; every step has a checkpoint."""
    class_images = tmp_path / "class_images"
    class_images.mkdir()
    for number in range(3):
        shutil.copy(pictures / f"{number}.png", class_images / f"{number}.png")

    def run_of_12(mode, **keywords):
        given = {
            "output_dir": tmp_path / "straight",
            "resolution": 16,
            "max_train_steps": STEPS,
            "checkpointing_steps": 1,
            "keep_last": 0,
            "with_prior_preservation": True,
            "class_prompt": "a dog",
            "class_data_dir": class_images,
            "num_class_images": 3,
            "use_ema": True,
        }
        if mode == "v-prediction":
            given["base_model"] = str(tiny_v_base)
        return settings(**given | MODES[mode] | keywords)

    return run_of_12


def resumed_at(step, straight, tmp_path, **keywords):
    """Settings of another run that has the checkpoint of that step, and saves only its last."""
    folder = tmp_path / f"from-{step}"
    name = f"checkpoint-{step}"
    shutil.copytree(straight.output_dir / name, folder / name)
    changes = {"output_dir": folder, "checkpointing_steps": STEPS, **keywords}
    return straight.model_copy(update=changes)


def ends_alike(straight, splits, train, contents, tmp_path):
    train(straight)
    expected = contents(straight.output_dir / f"checkpoint-{STEPS}")
    assert "ema.safetensors" in expected
    for step in splits:
        assert contents(straight.output_dir / f"checkpoint-{step}") != expected
        config = resumed_at(step, straight, tmp_path)
        assert train(config, resume=True) == STEPS
        assert contents(config.output_dir / f"checkpoint-{STEPS}") == expected, f"split at {step}"


SOON = (  # the others' parts are in the last one, or beside it
    "lora with dropout",
    "cosine",
    "v-prediction",
    "text encoder",
    "full with text encoder in bf16",
)


@pytest.mark.parametrize("mode", SOON)
def test_a_split_run_ends_with_the_same_bytes(mode, run_of_12, train, contents, tmp_path):
    ends_alike(run_of_12(mode, checkpointing_steps=7), [7], train, contents, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_split_point_ends_with_the_same_bytes(mode, run_of_12, train, contents, tmp_path):
    ends_alike(run_of_12(mode), range(1, STEPS), train, contents, tmp_path)


def test_the_scale_of_losses_goes_on_where_it_was(
    run_of_12, train, contents, tmp_path, monkeypatch
):
    """As in fp16: the first steps overflow and are left out, and the scale changes from then on."""

    class InFp16(Accelerator):
        """On a CPU, which accelerate gives no scale."""

        mixed_precision = "fp16"

        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.native_amp = True
            self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=2)

    loss = Objective.loss
    monkeypatch.setattr(Objective, "loss", lambda *of: loss(*of) * 8)
    monkeypatch.setattr(device, "Accelerator", InFp16)
    straight = run_of_12("lora with dropout")
    ends_alike(straight, [6], train, contents, tmp_path)
    folders = [straight.output_dir / f"checkpoint-{step}" for step in range(1, STEPS + 1)]
    scales = [read_manifest(folder).scaler["scale"] for folder in folders]
    assert scales[0] == 2.0**126
    assert len(set(scales)) > 2
    assert load_file(folders[0] / "optimizer.safetensors") == {}
    assert load_file(folders[-1] / "optimizer.safetensors") != {}


def test_validation_changes_nothing_of_the_training(run_of_12, train, contents, tmp_path):
    plain = run_of_12("lora with dropout", checkpointing_steps=STEPS)
    looked_at = run_of_12(
        "lora with dropout",
        checkpointing_steps=STEPS,
        output_dir=tmp_path / "looked-at",
        validation_steps=10,
        validation_prompts=("a dog",),
    )
    train(plain)
    train(looked_at)
    expected = contents(plain.output_dir / f"checkpoint-{STEPS}")
    assert contents(looked_at.output_dir / f"checkpoint-{STEPS}") == expected
    resumed = resumed_at(10, looked_at, tmp_path)
    train(resumed, resume=True)
    assert contents(resumed.output_dir / f"checkpoint-{STEPS}") == expected
    assert (resumed.output_dir / "validation-10" / "grid.png").is_file()


def test_the_first_run_makes_class_images_and_equals_the_second(
    settings, train, contents, tmp_path
):
    first = settings(
        output_dir=tmp_path / "first",
        with_prior_preservation=True,
        class_prompt="a dog",
        class_data_dir=tmp_path / "class",
        num_class_images=2,
        lora_dropout=0.3,
    )
    second = first.model_copy(update={"output_dir": tmp_path / "second"})
    assert not first.class_images_dir.exists()
    train(first)
    made = {path.name: path.stat().st_mtime_ns for path in first.class_images_dir.glob("*.png")}
    train(second)
    assert contents(first.output_dir / "checkpoint-4") == contents(
        second.output_dir / "checkpoint-4"
    )
    assert len(made) == 2
    assert made == {
        path.name: path.stat().st_mtime_ns for path in first.class_images_dir.glob("*.png")
    }


def test_a_run_stopped_four_times_equals_one_in_one_go(run_of_12, train, contents, tmp_path):
    straight = run_of_12("cosine")
    train(straight)
    config = straight.model_copy(
        update={"output_dir": tmp_path / "stopped", "checkpointing_steps": 100}
    )
    for limit in (3, 4, 9, 11):
        assert train(config, resume=True, until=limit) == limit
    assert train(config, resume=True) == STEPS
    assert contents(config.output_dir / f"checkpoint-{STEPS}") == contents(
        straight.output_dir / f"checkpoint-{STEPS}"
    )
