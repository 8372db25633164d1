import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training.errors import TrainingError
from training.painter import Painter, load_pipeline, open_painter

PROMPT = "a photo of sks dog"


@pytest.fixture
def pipeline(tiny_base):
    return load_pipeline(tiny_base)


def paint(painter, prompt=PROMPT, *, seed=7, width=48, height=64, steps=3, **keywords):
    return painter.paint(prompt, seed=seed, width=width, height=height, steps=steps, **keywords)


def test_the_same_call_draws_the_same_picture_whatever_came_before(pipeline):
    painter = Painter(pipeline)

    first = paint(painter)
    paint(painter, "a squirrel", seed=8)
    torch.manual_seed(99)

    assert paint(painter).tobytes() == first.tobytes()
    assert first.size == (48, 64)


@pytest.mark.parametrize("change", [{"seed": 8}, {"prompt": "a squirrel"}, {"negative": "blurred"}])
def test_another_seed_or_prompt_draws_another_picture(pipeline, change):
    painter = Painter(pipeline)

    assert paint(painter, **change).tobytes() != paint(painter).tobytes()


def test_drawing_leaves_no_trace_in_networks_and_random_numbers(pipeline):
    pipeline.unet.train()
    pipeline.unet.down_blocks[0].eval()
    pipeline.text_encoder.requires_grad_(requires_grad=False)
    pipeline.unet.conv_in.weight.grad = torch.ones_like(pipeline.unet.conv_in.weight)
    before = traces(pipeline)

    paint(Painter(pipeline))

    assert traces(pipeline) == before


def traces(pipeline):
    """Everything about networks and random numbers that training would notice."""
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    parameters = [parameter for part in parts for parameter in part.parameters()]
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),
        "modes": [module.training for part in parts for module in part.modules()],
        "learning": [parameter.requires_grad for parameter in parameters],
        "gradients": [None if p.grad is None else p.grad.sum().item() for p in parameters],
        "weights": [parameter.detach().double().sum().item() for parameter in parameters],
        "grad": torch.is_grad_enabled(),
    }


def test_a_painter_takes_the_prediction_type_from_the_base(tiny_v_base):
    pipeline = load_pipeline(tiny_v_base)
    as_is = paint(Painter(pipeline))

    pipeline.scheduler.register_to_config(prediction_type="epsilon")

    assert paint(Painter(pipeline)).tobytes() != as_is.tobytes()


def test_pictures_drawn_together_are_those_drawn_alone_up_to_rounding(pipeline):
    painter = Painter(pipeline)

    both = painter.paint_all(PROMPT, seeds=[7, 8], width=48, height=64, steps=3)

    for picture, seed in zip(both, (7, 8), strict=True):
        alone = np.asarray(paint(painter, seed=seed), dtype=int)
        assert np.abs(np.asarray(picture, dtype=int) - alone).max() <= 1


def test_pictures_drawn_together_are_decoded_one_by_one(pipeline, monkeypatch):
    """As the prediction of a run's memory counts them."""
    decoded = []
    decode = pipeline.vae._decode
    monkeypatch.setattr(
        pipeline.vae,
        "_decode",
        lambda latents, *rest, **named: (
            decoded.append(len(latents)) or decode(latents, *rest, **named)
        ),
    )

    Painter(pipeline).paint_all(PROMPT, seeds=[1, 2, 3], width=16, height=16, steps=1)

    assert decoded == [1, 1, 1]


def test_drawing_agrees_with_plain_diffusers(pipeline):
    from diffusers import DPMSolverMultistepScheduler

    drawn = paint(Painter(pipeline))
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    plain = pipeline(
        PROMPT,
        width=48,
        height=64,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(7),
    ).images[0]

    assert drawn.tobytes() == plain.tobytes()


@pytest.mark.parametrize("kind", ["DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"])
def test_a_base_whose_own_solver_adds_noise_is_drawn_with_without_any(tiny_base, tmp_path, kind):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    file = base / "scheduler" / "scheduler_config.json"
    noisy = {"_class_name": kind, "algorithm_type": "sde-dpmsolver++", "solver_order": 1}
    file.write_text(json.dumps(json.loads(file.read_text()) | noisy))
    index = base / "model_index.json"
    index.write_text(index.read_text().replace("PNDMScheduler", kind))
    painter = Painter(load_pipeline(base))
    before = torch.get_rng_state()

    pictures = [paint(painter).tobytes() for _ in range(2)]

    assert pictures[0] == pictures[1]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_size_that_cannot_be_drawn_is_refused_in_a_sentence(pipeline):
    with pytest.raises(TrainingError, match="multiples of 8"):
        paint(Painter(pipeline), width=50)


@pytest.fixture
def full_gpu(monkeypatch):
    """A pipeline that the memory of a GPU is too small for."""

    class Pipeline:
        def load_lora_weights(self, *_, **__): ...

        def to(self, *_):
            raise torch.OutOfMemoryError("CUDA out of memory")

    info = SimpleNamespace(method="lora", base_fingerprint="0" * 64)
    monkeypatch.setattr("training.painter.read_model", lambda folder: info)
    monkeypatch.setattr("training.painter._base_folder", lambda *_: Path("base"))
    monkeypatch.setattr("training.painter.load_pipeline", lambda folder: Pipeline())


def test_a_gpu_without_room_for_the_model_is_a_sentence(full_gpu, tmp_path):
    with pytest.raises(TrainingError, match="no room for promoted-100; end what else uses it"):
        open_painter(tmp_path / "promoted-100")
