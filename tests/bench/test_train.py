"""The benchmark of training: what is timed, and that nothing is made up."""

import json
from dataclasses import replace

import pytest

from bench import contender, train
from training.progress import Event, EventKind

SMALL = replace(train.CPU, warm_up=1, timed=2)
SCRIPT = """
import sys, torch
assert "--with_prior_preservation" in sys.argv, sys.argv
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.SGD([weight], lr=0.1)
steps = next(int(w.split("=")[1]) for w in sys.argv if w.startswith("--max_train_steps="))
for _ in range(steps):
    weight.sum().backward()
    optimizer.step()
"""


@pytest.fixture
def clock(monkeypatch):
    """Each look at it is a second later."""
    seconds = iter(range(1000))
    monkeypatch.setattr(contender, "_now", lambda: float(next(seconds)))
    monkeypatch.setattr(contender, "START", -5.0, raising=False)
    monkeypatch.setattr(contender, "_memory", lambda: {"peak_rss_mb": 1.0})


@pytest.mark.usefixtures("clock")
def test_the_steps_after_the_warm_up_are_timed(tmp_path):
    report = tmp_path / "report.json"
    stopwatch = contender.Stopwatch(report, warm_up=3, timed=4)
    for _ in range(6):
        stopwatch.step_done()
    assert not report.exists()
    stopwatch.step_done()
    # It was looked at after the first step, the warm-up and the last step.
    assert json.loads(report.read_text()) == {
        "first_step_s": 5.0,
        "steps_per_s": 4.0,
        "peak_rss_mb": 1.0,
    }
    stopwatch.step_done()


def test_without_a_script_there_are_no_figures_of_a_reference(monkeypatch, capsys):
    monkeypatch.delenv("REFERENCE_DREAMBOOTH", raising=False)
    monkeypatch.delenv("REFERENCE_DREAMBOOTH_LORA", raising=False)
    assert train._against_the_reference(None, {}) == {}
    said = capsys.readouterr().err
    assert "REFERENCE_DREAMBOOTH names no script; it is not compared with." in said


def test_a_stall_is_from_the_last_step_to_the_checkpoint():
    told = [
        Event(kind=EventKind.STEP, at=1.0),
        Event(kind=EventKind.STEP, at=2.0),
        Event(kind=EventKind.CHECKPOINT, at=2.5),
        Event(kind=EventKind.VALIDATION, at=9.0),
        Event(kind=EventKind.STEP, at=10.0),
        Event(kind=EventKind.CHECKPOINT, at=10.5),
    ]
    assert train._stall(told) == 0.5


@pytest.mark.slow
def test_a_tiny_network_is_measured_from_end_to_end():
    found = train.measured(SMALL)
    assert found["resume_identical"] == 1
    assert found["steps_per_s_over_plain_loop"] > 0
    assert {"lora_steps_per_s", "full_steps_per_s", "full_first_step_s"} <= set(found)
    assert not any("reference" in name for name in found)


@pytest.mark.slow
def test_a_script_from_elsewhere_is_measured_or_left_out(tmp_path, monkeypatch, capsys):
    script = tmp_path / "train_dreambooth.py"
    script.write_text(SCRIPT)
    (tmp_path / "lora.py").write_text("raise ModuleNotFoundError('torchvision')")
    monkeypatch.setenv("REFERENCE_DREAMBOOTH", str(script))
    monkeypatch.setenv("REFERENCE_DREAMBOOTH_LORA", str(tmp_path / "lora.py"))
    shop = train.Workshop(tmp_path, SMALL)
    ours = {"full_steps_per_s": 1.0, "full_peak_rss_mb": 100.0}
    ours |= {"full_peak_allocated_mb": 100.0}
    found = train._against_the_reference(shop, ours)
    assert set(found) == {
        "steps_per_s_over_reference",
        "peak_memory_over_reference",
        "steps_per_s_over_reference_best_flags",
        "peak_memory_over_reference_best_flags",
    }
    assert "lora.py was not measured: ModuleNotFoundError: torchvision" in capsys.readouterr().err
