"""The real trainer: what it refuses, and once a whole run on a base of a few thousand weights."""

import json

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.executors import ProcessExecutor
from pipeline.services.supervision import MODULE
from storage.files import sha256_of
from storage.states import TrainingState
from tests.training.conftest import draw

S = TrainingState
QUICK = {
    "num_class_images": 2,
    "validation_prompts": ["a drawing of sks french bulldog"],
    "validation_inference_steps": 2,
    "resolution": 32,
    "rank": 2,
    "device": "cpu",
}


@pytest.fixture
async def real(room, monkeypatch):
    """The room with a base, pictures, a worker and a trainer that are real."""
    from bench.random_base import make_base

    monkeypatch.setattr("os.cpu_count", lambda: 1)  # two threads on a busy machine are far slower
    (room.path / "bases" / "sd15").rename(room.path / "elsewhere")
    make_base(room.path / "bases" / "tiny")
    for number in range(20):
        draw(room.path / "training" / "butcher" / f"{number}.png", number)
    room.promoter = ProcessExecutor(1, run_folder=room.path / "run")
    room.wire(module=MODULE)
    yield room
    room.promoter.close()


@pytest.mark.slow
async def test_a_character_is_trained_paused_resumed_and_promoted(real):
    run = await real.training.start("Butcher", steps=4, who="Ann")
    folder = real.path / "models" / run.name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | QUICK))

    async def validations():
        return await real.training.validations(run.id)

    async with real.supervised():
        await real.until(validations)
        await real.training.pause("Ann")
        await real.ended()
        paused = await real.training.get(run.id)
        assert 1 <= paused.step < 4
        assert (folder / f"checkpoint-{paused.step}" / "manifest.json").is_file()
        await real.training.resume("Ann")
        finished = await real.reaches(run, state=S.FINISHED)
    assert (finished.step, finished.error, finished.restarts) == (4, "", 0)
    assert (folder / "model_info.json").is_file()
    shared = real.path / "training" / "butcher" / "class_images"
    assert len(list(shared.glob("class_*.png"))) == 2
    first = (await validations())[0]
    assert (real.path / first.folder / "image_00.png").is_file()

    standing = await real.training.sync_votes(run.id, first.step, frozenset({7}))
    promotion = standing.promotion
    info = real.path / promotion.path / "model_info.json"
    assert promotion.path == f"models/butcher-1/promoted-{first.step}"
    assert promotion.sha256 == sha256_of(info)
    assert json.loads(info.read_text())["training_steps"] == first.step
    assert real.promoted == [promotion]


async def test_what_the_trainer_refuses_is_the_reason_of_the_failed_run(room):
    run = await room.training.start("Butcher", who="Ann")
    config = room.path / "models" / run.name / "config.yaml"
    config.write_text(config.read_text() + "num_unicorns: 3\n")
    room.wire(module=MODULE)
    async with room.supervised():
        failed = await room.reaches(run, state=S.FAILED)
    assert failed.error.startswith("config.yaml: there is no setting num_unicorns")


async def test_a_checkpoint_that_is_gone_is_refused_with_a_sentence(room, validated):
    run = await validated(2)
    room.promoter = ProcessExecutor(1, run_folder=room.path / "run")
    room.wire()
    try:
        with pytest.raises(UserError, match="checkpoint-2"):
            await room.training.vote(run.id, 2, 7)
    finally:
        room.promoter.close()
    assert await room.models.in_use() == []
