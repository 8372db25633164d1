"""A torchvision that does not fit is found before it takes everything else down."""

import subprocess
import sys

import pytest

from training.errors import TrainingError
from training.packages import refuse_broken_torchvision

BROKEN = "raise RuntimeError('operator torchvision::nms does not exist')"


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """Install one with this code."""

    def torchvision(code):
        (tmp_path / "torchvision.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "torchvision", raising=False)

    yield torchvision
    sys.modules.pop("torchvision", None)


def test_without_it_all_is_well():
    refuse_broken_torchvision()


def test_one_that_fits_is_let_be(torchvision):
    torchvision("__version__ = '0.28.0'")
    refuse_broken_torchvision()


def test_one_that_does_not_fit_is_a_sentence(torchvision):
    torchvision(BROKEN)
    with pytest.raises(TrainingError, match="run `python -m pip uninstall torchvision`"):
        refuse_broken_torchvision()


def test_the_trainer_says_so_instead_of_a_traceback(torchvision, settings, tmp_path):
    from training.config import config_text

    torchvision(BROKEN)
    (tmp_path / "mine.yaml").write_text(config_text(settings()))
    command = [sys.executable, "-m", "training.dreambooth", str(tmp_path / "mine.yaml")]
    environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip uninstall torchvision" in done.stderr
