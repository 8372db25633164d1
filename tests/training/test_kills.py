"""Trainers as processes: killed anywhere, asked to stop, refused; always the same final bits."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.config import config_text
from training.files import sha256_of
from training.manifest import checkpoints, read_manifest, verify
from training.progress import EventKind, EventTail

HOST = Path(__file__).with_name("trainer_host.py")
PATIENCE_S = 120
STEPS = 6


class Host:
    def __init__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
        self._process = subprocess.Popen(
            [sys.executable, HOST],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._hear() == {"ready": True}

    def begin(self, config, *flags, text=None, **order):
        """The pid of a trainer; `text` are settings that are no TrainingConfig."""
        config.output_dir.mkdir(parents=True, exist_ok=True)
        file = config.output_dir.parent / "settings.yaml"
        file.write_text(text or config_text(config))
        folder = str(config.output_dir.parent)
        self._say(arguments=[str(file), *flags], folder=folder, **order)
        return self._hear()["pid"]

    def end(self):
        """The exit code."""
        return self._hear()["code"]

    def run(self, config, *flags, **order):
        self.begin(config, *flags, **order)
        return self.end()

    def close(self):
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()

    def _say(self, **order):
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _hear(self):
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.close()


@pytest.fixture
def short(settings):
    return settings(
        max_train_steps=STEPS, checkpointing_steps=1, use_ema=True, lora_dropout=0.3, keep_last=3
    )


@pytest.fixture
def endless(settings):
    return settings(max_train_steps=1_000_000, checkpointing_steps=1_000_000)


@pytest.fixture
def expected(short, train, contents, tmp_path):
    whole = short.model_copy(update={"output_dir": tmp_path / "whole" / "run"})
    train(whole)
    return contents(whole.output_dir / f"checkpoint-{STEPS}")


def kinds(config):
    return [event.kind for event in EventTail(config.output_dir).read()]


def wait_for_a_step(config):
    deadline = time.monotonic() + PATIENCE_S
    while EventKind.STEP not in kinds(config):
        assert time.monotonic() < deadline, kinds(config)
        time.sleep(0.02)


def stderr(config):
    return (config.output_dir.parent / "err.txt").read_text()


def all_are_whole(config):
    for folder in checkpoints(config.output_dir).values():
        verify(folder, read_manifest(folder))


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_any_file_operation_it_ends_with_the_same_bytes(
    kills, host, short, expected, contents
):
    chance = random.Random(kills)
    died = 0
    while died < kills:
        # A run has some 250 operations, half of them while it saves; a late one may not be met.
        code = host.run(short, "--resume", die_at=chance.randrange(1, 260))
        all_are_whole(short)
        if code == 0:
            assert contents(short.output_dir / f"checkpoint-{STEPS}") == expected
            for folder in checkpoints(short.output_dir).values():
                (folder / "manifest.json").unlink()  # to be killed again, from the start
            continue
        assert code == -signal.SIGKILL, stderr(short)
        died += 1
    assert host.run(short, "--resume") == 0
    assert contents(short.output_dir / f"checkpoint-{STEPS}") == expected
    assert list(short.output_dir.glob(".checkpoint-*")) == []


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_with_the_same_bytes(host, short, expected, contents):
    chance = random.Random(20)
    for _ in range(20):
        code = host.run(short, "--resume", die_after_s=chance.uniform(0.05, 0.8))
        assert code in (0, -signal.SIGALRM), stderr(short)
        all_are_whole(short)
    assert host.run(short, "--resume") == 0
    assert contents(short.output_dir / f"checkpoint-{STEPS}") == expected


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_saves_at_the_next_step_and_nothing_is_repeated(number, host, endless):
    pid = host.begin(endless)
    wait_for_a_step(endless)
    os.kill(pid, number)
    assert host.end() == 3
    [step] = checkpoints(endless.output_dir)
    [*_, last] = EventTail(endless.output_dir).read()
    assert (last.kind, last.step) == (EventKind.STOPPED, step)
    assert stderr(endless) == ""
    assert host.run(endless.model_copy(update={"max_train_steps": step + 2}), "--resume") == 0
    started = [e for e in EventTail(endless.output_dir).read() if e.kind is EventKind.STARTED]
    assert [event.step for event in started] == [0, step]


def test_a_second_ctrl_c_ends_it_at_once_and_costs_only_the_steps_since(
    host, short, expected, contents
):
    # Named before are the settings, a plot, and two checkpoints of one step each.
    code = host.run(short, interrupt_twice_at=5)
    assert code == -signal.SIGINT, stderr(short)
    all_are_whole(short)
    assert list(checkpoints(short.output_dir)) == [2, 1]
    assert kinds(short)[-1] is not EventKind.STOPPED
    assert host.run(short, "--resume") == 0
    assert contents(short.output_dir / f"checkpoint-{STEPS}") == expected


def test_the_end_of_the_parents_pipe_saves(host, endless, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    host.begin(endless, "--with-parent", stdin=str(pipe))
    with pipe.open("wb"):
        wait_for_a_step(endless)
    assert host.end() == 3
    assert len(checkpoints(endless.output_dir)) == 1


def test_a_finished_run_trains_no_step_when_it_is_resumed_and_is_not_begun_anew(host, short):
    assert host.run(short) == 0
    before = {path: sha256_of(path) for path in short.output_dir.rglob("*.safetensors")}
    assert host.run(short, "--resume") == 0
    assert {path: sha256_of(path) for path in short.output_dir.rglob("*.safetensors")} == before
    assert kinds(short)[-2:] == [EventKind.STARTED, EventKind.FINISHED]
    output = (short.output_dir.parent / "out.txt").read_text()
    assert f"Resuming from checkpoint: {short.output_dir / f'checkpoint-{STEPS}'}\n" in output
    assert f"Resuming from step {STEPS}\n" in output

    assert host.run(short) == 2
    assert stderr(short) == (
        f"{short.output_dir} holds checkpoints; add --resume to go on, "
        "or choose another output_dir.\n"
    )
    assert kinds(short)[-1] is EventKind.FAILED


def test_two_trainers_do_not_share_a_folder(host, short):
    from training.lock import hold

    with hold(short.output_dir):
        assert host.run(short) == 2
    assert (
        stderr(short) == f"Another process trains in {short.output_dir}; wait for it or stop it.\n"
    )
    assert kinds(short) == []


def test_a_wrong_setting_is_one_sentence(host, short):
    assert host.run(short, text=config_text(short) + "max_steps: 5\n") == 2
    assert stderr(short) == (
        "settings.yaml: there is no setting max_steps; see training/recipes for those there are.\n"
    )
