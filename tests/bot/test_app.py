"""What is wired together."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app import open_studio
from bot.errors import sentence
from bot.settings import load_settings
from bot.studio import Listeners, Votes
from pipeline.errors import ProviderError, StageCancelled, UserError
from pipeline.workflow import Lane
from storage.errors import RecordNotFound, StorageUnusable
from storage.promotions import Promotions
from storage.records import Message
from storage.training_runs import TrainingRuns


def settings(path, **values):
    return load_settings(None, data_dir=path, trends="offline", **values)


TINY_SHOW = Path(__file__).parents[1] / "fixtures" / "tiny_show"
DRAFT = Message(1, 2, "draft", 1, 1, "f", datetime(2026, 1, 1, tzinfo=UTC), None)


async def open_and_close(wanted):
    async with open_studio(wanted, "A test") as studio:
        return studio


async def test_the_folder_is_locked_while_open_and_free_afterwards(tmp_path):
    async with open_studio(settings(tmp_path), "A bot"):
        with pytest.raises(StorageUnusable, match="A bot"):
            await open_and_close(settings(tmp_path))
    await open_and_close(settings(tmp_path))


async def test_instagram_needs_both_its_settings(tmp_path):
    with pytest.raises(UserError, match="META_ACCESS_TOKEN and INSTAGRAM_USER_ID"):
        await open_and_close(settings(tmp_path, meta_access_token="secret.token"))


async def test_who_paints_the_first_pictures_is_not_taken_for_an_old_worker(tmp_path):
    shutil.copytree(TINY_SHOW, tmp_path / "shows" / "tiny_show")
    async with open_studio(settings(tmp_path, show="tiny_show"), "A bot") as studio:
        await studio.start_engine()
        (lock,) = studio.folder.run.iterdir()
        command = Path(f"/proc/{lock.read_text()}/cmdline").read_bytes()
    assert b"pipeline.worker" in command


async def test_while_a_network_is_trained_no_job_gets_its_gpu_or_a_model(tmp_path):
    async with open_studio(settings(tmp_path), "A bot") as studio:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        runs, promotions = TrainingRuns(studio.db), Promotions(studio.db)
        about = {"character": "Butcher", "name": "butcher-1", "base": "sd15", "steps": 9}
        run = await runs.create(**about, note="", requested_by="Ann", now=now)
        model = {"path": "models/butcher-1/promoted-8", "sha256": "0" * 64, "who": "Ann"}
        await promotions.add(character="Butcher", run_id=run.id, step=8, **model, now=now)
        hooks = studio.engine._runner._hooks
        assert len((await hooks.facts(None, "images"))["models"].models) == 1
        await studio.training.hold()
        assert (await hooks.facts(None, "images"))["models"].models == ()
        assert studio.engine._stages(Lane.GPU) == ()


async def test_without_discord_no_vote_is_guessed():
    with pytest.raises(ProviderError, match="without DISCORD_TOKEN"):
        await Votes().votes(DRAFT)
    with pytest.raises(ProviderError, match="without DISCORD_TOKEN"):
        await Votes().is_approver(1)


def test_a_listener_that_fails_does_not_stop_the_others(caplog):
    heard = []
    listeners = Listeners()
    listeners.add(lambda event: 1 / 0)
    listeners.add(heard.append)
    listeners("news")
    assert heard == ["news"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("The topic is empty."), "The topic is empty."),
        (RecordNotFound("There is no episode 7."), "There is no episode 7."),
        (ProviderError("openai", "is overloaded", True), "Try again later."),
        (ProviderError("openai", "refuses the key.", False), "openai: refuses the key."),
        (StageCancelled(), "The work was stopped."),
        (KeyError("secret detail"), "Something went wrong on our side"),
    ],
)
def test_every_error_is_a_sentence(error, words):
    assert words in sentence(error)
    assert "secret detail" not in sentence(error)
