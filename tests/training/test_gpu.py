"""What only a GPU can show: `./run test -m gpu -n 0` where there is one."""

import shutil

import numpy as np
import pytest
import torch

from training.painter import open_painter

pytestmark = pytest.mark.gpu
STEPS, SPLIT = 8, 3
MODES = {
    "lora": {"lora_dropout": 0.3},
    "full": {"method": "full"},
    "all that recomputes": {
        "method": "full",
        "train_text_encoder": True,
        "gradient_checkpointing": True,
        "gradient_accumulation_steps": 2,
        "lr_scheduler": "cosine",
    },
}


@pytest.fixture
def on_gpu(settings, pictures, tmp_path):
    """Settings of a run on the GPU, with class images and EMA."""
    if not torch.cuda.is_available():
        pytest.skip("There is no GPU.")
    class_images = tmp_path / "class_images"
    class_images.mkdir()
    for number in range(3):
        shutil.copy(pictures / f"{number}.png", class_images / f"{number}.png")

    def on_gpu(**keywords):
        given = {
            "device": "cuda",
            "max_train_steps": STEPS,
            "checkpointing_steps": 1,
            "keep_last": 0,
            "with_prior_preservation": True,
            "class_prompt": "a dog",
            "class_data_dir": class_images,
            "num_class_images": 3,
            "use_ema": True,
        }
        return settings(**given | keywords)

    return on_gpu


@pytest.mark.parametrize("precision", ["bf16", "fp16", "no"])
@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    on_gpu, train, contents, tmp_path, mode, precision
):
    straight = on_gpu(mixed_precision=precision, validation_steps=4, **MODES[mode])
    assert train(straight) == STEPS
    expected = contents(straight.output_dir / f"checkpoint-{STEPS}")
    assert contents(straight.output_dir / f"checkpoint-{SPLIT}") != expected
    begun = tmp_path / "resumed" / f"checkpoint-{SPLIT}"
    shutil.copytree(straight.output_dir / begun.name, begun)
    resumed = straight.model_copy(update={"output_dir": begun.parent, "validation_steps": 0})
    assert train(resumed, resume=True) == STEPS
    assert contents(resumed.output_dir / f"checkpoint-{STEPS}") == expected


@pytest.mark.parametrize(("precision", "limit"), [("fp16", 1e-2), ("bf16", 2e-2), ("no", 1e-2)])
def test_losses_and_gradients_are_those_of_a_plain_loop(on_gpu, precision, limit):
    from bench import validity

    found = validity.check(on_gpu(mixed_precision=precision, learning_rate=1e-4, use_ema=False))
    assert found["parameters_changed"] == 1
    assert found["loss_curves_alike"] == 1, found
    assert found["gradient_apart"] < limit


def test_a_model_draws_on_a_gpu_what_it_draws_on_a_cpu(on_gpu, train):
    """In fp16; the same picture each time, and several at once."""
    config = on_gpu(mixed_precision="fp16", use_ema=False, checkpointing_steps=STEPS)
    train(config)
    size = {"width": 32, "height": 32, "steps": 4}
    drawn = {}
    for device in ("cuda", "cpu"):
        painter = open_painter(config.output_dir, device=device)
        several = painter.paint_all("a photo of sks dog", seeds=[1, 2, 3], **size)
        drawn[device] = [np.asarray(picture, dtype=float) for picture in several]
        again = [painter.paint("a photo of sks dog", seed=1, **size) for _ in range(2)]
        assert again[0].tobytes() == again[1].tobytes()
        painter.close()
    for one, other in zip(drawn["cuda"], drawn["cpu"], strict=True):
        assert one.std() > 1
        assert np.abs(one - other).mean() < 2  # of 255; bf16 is 0.6 off
