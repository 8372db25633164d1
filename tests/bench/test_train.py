"""The benchmark of training: what is timed, what is compared, and that nothing is made up."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import contender, reference, train, workshop
from training.config import load_config
from training.progress import Event, EventKind

SMALL = replace(train.CPU, warm_up=1, timed=2, job_steps=8)
STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def clock(monkeypatch):
    """Each look at it is a second later."""
    seconds = iter(range(1000))
    monkeypatch.setattr(contender, "_now", lambda: float(next(seconds)))
    monkeypatch.setattr(contender, "START", -5.0, raising=False)
    monkeypatch.setattr(contender, "_memory", lambda: {"peak_rss_mb": 1.0})


@pytest.fixture(autouse=True)
def _no_scripts(monkeypatch):
    for name in ("DREAMBOOTH", "DREAMBOOTH_LORA", "PYTHON"):
        monkeypatch.delenv(f"REFERENCE_{name}", raising=False)
    for name in ("BASE", "MINUTES", "PARTS"):
        monkeypatch.delenv(f"BENCH_{name}", raising=False)


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Stand-ins for both."""
    for variable, name in (("", ""), ("_LORA", "_lora")):
        script = tmp_path / f"train_dreambooth{name}.py"
        shutil.copy(STAND_IN, script)
        monkeypatch.setenv(f"REFERENCE_DREAMBOOTH{variable}", str(script))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Without a base, which takes seconds to make."""
    (tmp_path / "shop").mkdir()
    made = workshop.Process(0, 0.0, "")
    monkeypatch.setattr(workshop.Workshop, "python", lambda *words, **more: made)
    return workshop.Workshop(tmp_path / "shop", SMALL, workshop.Clock(1))


@pytest.mark.usefixtures("clock")
def test_the_steps_after_the_warm_up_are_timed_and_no_more_are_made(tmp_path):
    report = tmp_path / "report.json"
    stopwatch = contender.Stopwatch(report, warm_up=3, timed=4)
    for _ in range(6):
        stopwatch.step_done()
    assert not report.exists()
    with pytest.raises(SystemExit) as ended:
        stopwatch.step_done()
    assert ended.value.code == 0
    # It was looked at after the first step, the warm-up and the last step.
    assert json.loads(report.read_text()) == {
        "first_step_s": 5.0,
        "steps_per_s": 4.0,
        "peak_rss_mb": 1.0,
    }


def test_a_script_that_is_not_named_is_left_out(capsys):
    assert reference.script("full") is None
    said = capsys.readouterr().err
    assert "REFERENCE_DREAMBOOTH names no script; it is not compared with." in said


def test_a_script_that_is_not_there_is_said_at_once(monkeypatch):
    monkeypatch.setenv("REFERENCE_DREAMBOOTH_LORA", "/nowhere/train.py")
    with pytest.raises(SystemExit, match=r"LORA is /nowhere/train\.py, and there is no such file"):
        reference.script("lora")


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("name", reference.CONTENDERS)
def test_the_scripts_know_every_option_of_a_contender(load_stand_in, shop, name, half):
    parser = load_stand_in.parser(lora=reference.method_of(name) == "lora")
    given = parser.parse_args(reference.arguments(name, shop, half=half))
    assert given.with_prior_preservation
    assert given.num_class_images == len(list(Path(given.class_data_dir).iterdir()))
    assert given.max_train_steps >= SMALL.warm_up + SMALL.timed
    assert given.checkpointing_steps > given.max_train_steps
    assert given.gradient_checkpointing == name.endswith("_checkpointing")
    assert given.pre_compute_text_embeddings == name.endswith("_best_flags")
    assert given.mixed_precision == ("bf16" if half else "no")


def test_a_whole_job_of_the_script_saves_and_validates_as_often_as_ours(load_stand_in, shop):
    words = reference.job_arguments("reference", shop, half=True)
    given = load_stand_in.parser(lora=False).parse_args(words)
    assert given.max_train_steps == 8 * given.checkpointing_steps == 8 * given.validation_steps


@pytest.fixture
def load_stand_in(monkeypatch):
    monkeypatch.syspath_prepend(str(STAND_IN.parent))
    import stand_in

    return stand_in


@pytest.mark.parametrize("name", train.OURS)
def test_ours_learns_from_the_same_pictures_and_prompts(load_stand_in, shop, name):
    config = load_config(shop.settings(**train.ours(name)))
    theirs = load_stand_in.parser(lora=False).parse_args(
        reference.arguments("reference", shop, half=True)
    )
    assert str(config.instance_data_dir) == theirs.instance_data_dir
    assert str(config.class_data_dir) == theirs.class_data_dir
    assert (config.instance_prompt, config.class_prompt) == (
        theirs.instance_prompt,
        theirs.class_prompt,
    )
    assert config.train_batch_size == theirs.train_batch_size
    assert config.resolution == theirs.resolution
    if name == "full":
        assert config.rate == theirs.learning_rate


def test_ratios_are_of_medians_and_only_of_what_was_measured():
    def figures(speed, memory):
        return {"steps_per_s": speed, "peak_allocated_mb": memory, "first_step_s": 1.0}

    found = train.comparison(
        {
            "full": [figures(30.0, 9.0), figures(50.0, 9.0)],
            "reference_best_flags": [figures(10.0, 18.0)],
            "reference_lora": [figures(5.0, 3.0)],
        }
    )
    assert found["steps_per_s_over_reference_best_flags"] == 4.0
    assert found["peak_memory_over_reference_best_flags"] == 0.5
    assert found["full_spread"] == 0.5
    assert not any(name.startswith("lora_") or "plain" in name for name in found)
    assert "steps_per_s_over_reference" not in found


def test_figures_of_another_device_are_not_kept(monkeypatch):
    monkeypatch.setenv("BENCH_PARTS", "jobs")
    found = {"on_gpu": 1.0, "lora_job_s": 2.0}
    assert train.with_earlier({"on_gpu": 0.0, "lora_job_s": 9.0, "old": 1.0}, found) == found
    assert train.with_earlier({"on_gpu": 1.0, "old": 1.0}, found) == found | {"old": 1.0}


def test_a_process_ends_with_the_time_and_takes_its_children_along():
    words = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(600)"]
    done = workshop._run(words, os.environ, 1.0)
    # The child holds stderr open: had it lived on, this would not have come back.
    assert (done.code, done.last_line) == (-9, "no time was left")


def test_nothing_is_begun_without_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workshop, "_run", lambda *words: pytest.fail("It was begun."))
    with pytest.raises(SystemExit, match="no time was left"):
        workshop.Workshop(tmp_path, SMALL, workshop.Clock(0))
    assert "base was left out: no time is left." in capsys.readouterr().err


def test_a_stall_is_from_the_last_step_to_the_checkpoint():
    told = [
        Event(kind=EventKind.STEP, at=1.0),
        Event(kind=EventKind.STEP, at=2.0),
        Event(kind=EventKind.CHECKPOINT, at=2.5),
        Event(kind=EventKind.VALIDATION, at=9.0),
        Event(kind=EventKind.STEP, at=10.0),
        Event(kind=EventKind.CHECKPOINT, at=10.5),
    ]
    assert train.stall(told) == 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("scripts")
def test_a_tiny_network_is_measured_from_end_to_end(monkeypatch):
    monkeypatch.setenv("BENCH_MINUTES", "60")
    found = train.measured(SMALL, on_gpu=False)
    for exact in ("lora_resume_identical", "full_resume_identical", "loss_curves_alike"):
        assert found[exact] == 1, exact
    assert found["gradient_apart"] < 2e-2  # bf16 keeps 8 bits
    assert found["parameters_changed"] == 1
    assert found["gradient_apart_over_plain_loop"] == pytest.approx(1, abs=0.2)
    over = {name for name in found if "steps_per_s_over" in name}
    assert over == {
        f"{prefix}steps_per_s_over_{other}"
        for prefix, others in {
            "": ("plain_loop", "reference", "reference_best_flags", "reference_checkpointing"),
            "lora_": ("reference", "reference_best_flags"),
        }.items()
        for other in others
    }
    jobs = {"lora_job_s", "full_job_s", "reference_job_s", "job_time_over_reference"}
    assert jobs <= set(found)
    assert found["full_checkpoint_stall_s"] > 0


@pytest.mark.slow
def test_a_script_that_fails_is_said_and_has_no_figures(tmp_path, monkeypatch, capsys):
    (tmp_path / "lora.py").write_text("raise ModuleNotFoundError('torchvision')")
    monkeypatch.setenv("REFERENCE_DREAMBOOTH_LORA", str(tmp_path / "lora.py"))
    shop = workshop.Workshop(tmp_path, SMALL, workshop.Clock(5))
    bench = train.Bench(shop, on_gpu=False)
    assert bench._measure("reference_lora") is None
    assert train.comparison(bench._measured) == {}
    assert "failed: ModuleNotFoundError: torchvision" in capsys.readouterr().err


@pytest.mark.slow
def test_another_learning_rate_shows_in_the_losses(tmp_path):
    import torch

    from bench import validity
    from training.device import place_on

    shop = workshop.Workshop(tmp_path, SMALL, workshop.Clock(5))
    more = {"method": "full", "learning_rate": 1e-4, "max_train_steps": validity.NEVER}
    config = load_config(shop.settings(device="cpu", **more))
    config.output_dir.mkdir()
    place = place_on(torch.device("cpu"), config)
    assert validity.loss_curves(config, place)["loss_curves_alike"] == 1
    assert validity.loss_curves(config, place, rate=1.1e-4)["loss_curves_alike"] == 0
