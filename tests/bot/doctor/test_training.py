"""What the doctor says about training, with and without PyTorch, a GPU and bases."""

import json
import subprocess
from importlib.metadata import PackageNotFoundError, version

import pytest

from bot.doctor import training as looking
from bot.doctor.findings import Level
from bot.doctor.training import training
from bot.settings import load_settings

NO_GPU = {"gpu": "", "free": 0, "torchvision": ""}


@pytest.fixture
def settings(tmp_path):
    return load_settings(None, data_dir=tmp_path)


@pytest.fixture
def pytorch(monkeypatch):
    """Installed, and its process answers this."""

    def pytorch(answer=None, **keys):
        text = json.dumps(NO_GPU | keys) if answer is None else answer
        done = subprocess.CompletedProcess([], 0, text, "")
        monkeypatch.setattr(looking, "_version", lambda package: "2.13.0")
        monkeypatch.setattr(looking.subprocess, "run", lambda *words, **more: done)

    return pytorch


async def texts(settings):
    return [(finding.level, finding.text) for finding in await training(settings)]


async def test_without_the_extra_nothing_is_wrong(settings, monkeypatch):
    def version_of(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(looking.importlib.metadata, "version", version_of)
    ((level, text),) = await texts(settings)
    assert level is Level.OK
    assert "./run install training" in text


async def test_pictures_that_are_drawn_need_the_extra(settings, monkeypatch):
    def version_of(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(looking.importlib.metadata, "version", version_of)
    ((level, text),) = await texts(settings.model_copy(update={"images": "diffusion"}))
    assert level is Level.WARNING
    assert text.startswith("IMAGES=diffusion draws nothing without torch")
    assert "`./run install training`" in text


async def test_this_machine_is_looked_at_in_a_process(settings):
    pytest.importorskip("torch")
    first, second = await training(settings)
    assert first.level is Level.OK
    assert first.text.startswith(f"PyTorch {version('torch')} ")
    assert "emf train base" in second.text


async def test_a_gpu_is_named_with_what_is_free(settings, pytorch):
    pytorch(gpu="NVIDIA H200", free=140 * 10**9)
    assert (Level.OK, "PyTorch 2.13.0 on NVIDIA H200, 140.0 GB of it free") in await texts(settings)


async def test_a_torchvision_that_does_not_fit_is_an_error(settings, pytorch):
    pytorch(torchvision="operator torchvision::nms does not exist")
    ((level, text),) = await texts(settings)
    assert level is Level.ERROR
    assert "pip uninstall torchvision" in text


@pytest.mark.parametrize("answer", ["", "[]", '{"other": 1}', "Segmentation fault"])
async def test_a_pytorch_that_does_not_start_is_an_error(settings, pytorch, answer):
    pytorch(answer)
    ((level, text),) = await texts(settings)
    assert level is Level.ERROR
    assert "does not start" in text


async def test_a_base_that_cannot_be_used_is_an_error(settings, pytorch, tmp_path):
    (tmp_path / "bases" / "dreams").mkdir(parents=True)
    pytorch()
    assert (await texts(settings))[-1][0] is Level.ERROR
    assert "dreams holds no model_index.json" in (await texts(settings))[-1][1]
