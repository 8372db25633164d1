"""A real model, though a tiny one: trained for two steps, promoted, and drawn with."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two threads add in another order

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config import ImagesConfig
from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.facts import Gaps, PromotedModel
from pipeline.providers.images import diffusion
from pipeline.sections import Emotion
from pipeline.shows import load_show
from pipeline.stages import drawings
from storage.files import sha256_of

CONFIG = ImagesConfig(provider="diffusion", candidates=2, steps=2)
ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """DATA_DIR with a promoted model of Nutsy."""
    import torch

    from bench.random_base import make_base
    from training.config import TrainingConfig, config_text
    from training.dreambooth import train
    from training.progress import EventLog
    from training.result import promote

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("data")
    run = root / "models/nutsy-1"
    run.mkdir(parents=True)
    config = TrainingConfig(
        base_model=str(make_base(root / "bases/tiny")),
        character="Nutsy",
        instance_data_dir=learned(root / "training/nutsy"),
        instance_prompt="a drawing of sks squirrel",
        output_dir=run,
        resolution=32,
        max_train_steps=2,
        checkpointing_steps=2,
        validation_steps=0,
        rank=4,
        learning_rate=1e-2,
        mixed_precision="no",
        device="cpu",
    )
    (run / "config.yaml").write_text(config_text(config))
    train(config, resume=False, events=EventLog(run))
    promote(run, 2)
    return root


def learned(folder):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(3):
        small = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 64)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def model(data_dir):
    path = "models/nutsy-1/promoted-2"
    return PromotedModel(
        promotion_id=1,
        character="Nutsy",
        path=path,
        sha256=sha256_of(data_dir / path / "model_info.json"),
        pictures=tuple(f"training/nutsy/{number}.png" for number in range(3)),
    )


def drawn(model, data_dir, seeds):
    with diffusion.promoted(model, data_dir, CONFIG) as trained:
        return trained.draw(trained.prompt(Emotion.HAPPY), seeds)


def test_the_promoted_model_draws_a_portrait_and_the_same_again(data_dir, model):
    first = drawn(model, data_dir, [7])
    again = drawn(model, data_dir, [7])

    assert first.image.size == (32, 48)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.prompt.startswith("a drawing of sks squirrel, happy face")
    assert 0 <= first.score <= 1


def test_the_best_of_the_candidates_is_kept(data_dir, model):
    with diffusion.promoted(model, data_dir, CONFIG) as trained:
        prompt = trained.prompt(Emotion.HAPPY)
        scores = {seed: trained.draw(prompt, [seed]).score for seed in (1, 2, 3)}
        best = trained.draw(prompt, [1, 2, 3])

    assert best.score == max(scores.values())
    assert scores[best.seed] == best.score


def test_the_stage_fills_gaps_with_a_real_model(data_dir, model, tmp_path):
    ctx = StageContext(
        episode=0,
        revision=0,
        folder=tmp_path,
        revision_folder=tmp_path,
        data_dir=data_dir,
        show=load_show("butcher_and_nutsy"),
        config=CONFIG,
    )
    gaps = Gaps(board=1, model=model, emotions=(Emotion.SAD, Emotion.ANGRY))

    made = drawings.run(gaps, ctx=ctx)

    assert [drawing.emotion for drawing in made.drawings] == [Emotion.SAD, Emotion.ANGRY]
    assert made.drawings[0].sha256 != made.drawings[1].sha256
    for drawing in made.drawings:
        data = (data_dir / drawing.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == drawing.sha256


def test_another_promotion_than_the_one_people_chose_is_not_loaded(data_dir, model):
    other = model.model_copy(update={"sha256": "0" * 64})

    with pytest.raises(UserError, match="is not the model that was promoted"):
        drawn(other, data_dir, [1])


@pytest.mark.slow
def test_the_command_draws_with_a_folder_and_loads_no_torch_itself(data_dir, tmp_path):
    folder = str(data_dir / "models/nutsy-1/promoted-2")
    command = [
        *("emf", "image", "--character", "nutsy", "--emotion", "angry"),
        *("--prompt", "on a tree", "--model", folder, "--seed", "5", "--output", "angry.png"),
    ]
    code = (
        f"import sys, json; sys.argv = {command!r}\n"
        "from bot.cli import run\n"
        "try:\n    run()\n"
        "finally:\n    print(json.dumps([m for m in ('torch', 'diffusers') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0] == "angry.png"
    assert json.loads(printed[1]) == []
    assert "Seed 5, score 0." in done.stderr
    assert "angry face" in done.stderr
    assert "on a tree" in done.stderr
    with Image.open(tmp_path / "angry.png") as image:
        assert (image.format, image.size) == ("PNG", (32, 48))
    assert {path.name for path in tmp_path.iterdir()} == {"angry.png"}
