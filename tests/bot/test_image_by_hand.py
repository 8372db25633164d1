"""`emf image`: what it refuses, and how it asks for a picture; the drawing itself is a worker's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import standins.painter
from PIL import Image
from standins.painter import promoted_model

from bot.image_by_hand import draw_image
from bot.settings import load_settings
from pipeline.executors import InlineExecutor
from storage.database import Database
from storage.folder import DataFolder
from storage.promotions import Promotions
from storage.training_runs import TrainingRuns
from training.errors import TrainingError

NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def painters(monkeypatch):
    monkeypatch.setattr("bot.image_by_hand.ProcessExecutor", lambda *_, **__: InlineExecutor())
    with standins.painter.painters(monkeypatch) as ours:
        yield ours


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load_settings(None, data_dir=tmp_path / "data")


@pytest.fixture
def draw(settings):
    async def draw(**wanted):
        given = {"character": "nutsy", "emotion": "happy", "prompt": "", "model": None}
        await draw_image(settings, **{**given, "output": None, "seed": None, **wanted})

    return draw


@pytest.fixture
async def model(settings):
    """Nutsy's model, in use."""
    made = promoted_model(settings.data_dir, "Nutsy")
    async with await Database.open(DataFolder(settings.data_dir).database) as db:
        run = await TrainingRuns(db).create(
            character="Nutsy",
            name="nutsy",
            base="tiny",
            steps=100,
            note="",
            requested_by="Margot",
            now=NOW,
        )
        await Promotions(db).add(
            character="Nutsy",
            run_id=run.id,
            step=100,
            path=made.path,
            sha256=made.sha256,
            who="Margot",
            now=NOW,
        )
    return settings.data_dir / made.path


async def test_the_model_in_use_draws_and_the_file_is_named(
    draw, model, painters, tmp_path, capsys
):
    await draw()

    name = capsys.readouterr().out.strip()
    seeds = [asked.seed for asked in painters.asked]
    assert name == f"nutsy-happy-{seeds[0]}.png"
    assert seeds == list(range(seeds[0], seeds[0] + 4))
    with Image.open(tmp_path / name) as image:
        assert image.size == (64, 96)


async def test_a_seed_draws_that_picture_and_no_other(draw, model, painters, capsys):
    await draw(seed=11, prompt="on a tree")

    assert [(asked.seed) for asked in painters.asked] == [11]
    assert ", on a tree, " in painters.asked[0].prompt
    assert "Seed 11" in capsys.readouterr().err


async def test_a_folder_needs_no_database(draw, painters, tmp_path):
    made = promoted_model(tmp_path / "elsewhere", "Rex")

    await draw(model=tmp_path / "elsewhere" / made.path)

    assert painters.opened == ["promoted-100"]
    assert not (tmp_path / "data").exists()


async def test_the_lock_of_a_running_bot_does_not_matter(draw, settings, model, painters):
    with DataFolder(settings.data_dir).lock("A bot"):
        await draw()

    assert len(painters.asked) == 4


async def test_a_model_that_was_changed_after_its_promotion_draws_nothing(draw, model, painters):
    (model / "model_info.json").write_text((model / "model_info.json").read_text() + "\n")

    with pytest.raises(Exception, match="is not the model that was promoted"):
        await draw()

    assert painters.asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--character", "Nutsy", "--emotion", "happy"), "train one with /train start"),
        (("--character", "Bob", "--emotion", "happy"), "no character 'Bob'"),
        (("--character", "Nutsy", "--emotion", "smug"), "'smug' is no emotion; there are happy,"),
        (
            ("--character", "Nutsy", "--emotion", "sad", "--model", "nowhere"),
            "nowhere holds no trained model",
        ),
        (
            ("--character", "Nutsy", "--emotion", "sad", "--output", "no/where.png"),
            "cannot be written",
        ),
        (
            ("--character", "Nutsy", "--emotion", "sad", "--output", "nutsy.jpg"),
            "nutsy.jpg cannot be written; name a file that ends in .png",
        ),
        (("--character", "Nutsy"), "Missing option '--emotion'"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence_and_leaves_nothing(emf, painters, words, said):
    ending = emf("image", *words)

    assert ending.code == 2
    assert said in ending.err
    assert "Traceback" not in ending.err
    assert ending.out == ""
    assert list(Path().iterdir()) == []


def test_without_pytorch_it_says_how_to_get_it(emf, painters, tmp_path):
    painters.error = ImportError("No module named 'torch'")
    made = promoted_model(tmp_path, "Nutsy")

    ending = emf("image", "--character", "Nutsy", "--emotion", "sad", "--model", made.path)

    assert ending.code == 2
    assert "`./run install training`" in ending.err


def test_a_gpu_without_room_is_one_sentence(emf, painters, tmp_path):
    painters.trouble = TrainingError("The GPU has no room to draw 64x96; end what else uses it.")
    made = promoted_model(tmp_path, "Nutsy")

    ending = emf("image", "--character", "Nutsy", "--emotion", "sad", "--model", made.path)

    assert ending.code == 2
    assert "no room to draw 64x96" in ending.err
    assert "Traceback" not in ending.err
