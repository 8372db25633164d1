"""Two processes that train one network, as a launcher would start them; they meet on loopback."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.config import config_text
from training.dreambooth import FINISHED, REFUSED, STOPPED
from training.manifest import checkpoints, read_manifest, verify
from training.objective import Objective
from training.progress import EventKind, EventTail
from training.streams import Stream

RANK_HOST = Path(__file__).with_name("rank_host.py")
PATIENCE_S = 120
STEPS = 6


class Together:
    """Both processes of a run."""

    def __init__(self, config, *flags, **orders):
        config.output_dir.mkdir(parents=True, exist_ok=True)
        file = config.output_dir.parent / "settings.yaml"
        file.write_text(config_text(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
        common = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(Path.cwd())}
        self.processes = [
            subprocess.Popen(
                [sys.executable, RANK_HOST, str(file), *flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ
                | told
                | common
                | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                | orders.get(f"of_{rank}", {}),
            )
            for rank in range(2)
        ]

    def end(self):
        """Exit codes, and what was said last."""
        try:
            said = [process.communicate(timeout=PATIENCE_S)[1] for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()  # one that is still there: a test has failed
        return [process.returncode for process in self.processes], said


@pytest.fixture
def of_two(settings):
    return settings(
        max_train_steps=STEPS,
        checkpointing_steps=2,
        keep_last=0,
        use_ema=True,
        lora_dropout=0.3,
        with_prior_preservation=True,
        class_prompt="a dog",
        num_class_images=2,
    )


def kinds(config):
    return [event.kind for event in EventTail(config.output_dir).read()]


@pytest.mark.slow
def test_two_processes_end_alike_and_a_split_run_of_both_ends_with_the_same_bytes(
    of_two, tmp_path, contents
):
    codes, said = Together(of_two, of_0={"KEEP": "zero"}, of_1={"KEEP": "one"}).end()
    assert codes == [FINISHED, FINISHED], said
    zero, one = (torch_hashes(of_two.output_dir.parent / name) for name in ("zero", "one"))
    assert zero == one
    assert kinds(of_two).count(EventKind.STARTED) == 1
    assert kinds(of_two).count(EventKind.CLASS_IMAGE) == 2
    assert (of_two.output_dir / "model_info.json").is_file()
    expected = contents(of_two.output_dir / f"checkpoint-{STEPS}")

    split = of_two.model_copy(update={"output_dir": tmp_path / "split" / "run"})
    codes, said = Together(split, of_1={"STOP_AT": "3"}).end()
    assert codes == [STOPPED, STOPPED], said
    assert 3 in checkpoints(split.output_dir)
    codes, said = Together(split, "--resume").end()
    assert codes == [FINISHED, FINISHED], said
    assert contents(split.output_dir / f"checkpoint-{STEPS}") == expected


def torch_hashes(file):
    return file.read_text().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_is_killed_the_other_says_so_and_checkpoints_are_whole(rank, of_two):
    of = {f"of_{rank}": {"DIE_AT": "3"}}
    codes, said = Together(of_two, **of).end()
    assert codes[rank] == -signal.SIGKILL
    assert codes[1 - rank] == REFUSED
    assert said[1 - rank].startswith("Another process of this training has ended; look at its")
    steps = list(checkpoints(of_two.output_dir))
    # The main process keeps what both had learned; without it, there is what it had saved.
    assert steps == ([2] if rank == 0 else [3, 2])
    for folder in checkpoints(of_two.output_dir).values():
        verify(folder, read_manifest(folder))


@pytest.mark.slow
def test_another_number_of_processes_is_refused(of_two, train):
    train(of_two, until=2)
    codes, said = Together(of_two, "--resume").end()
    assert codes == [REFUSED, REFUSED]
    assert "another value of the number of processes (1, now 2)" in said[0]


def test_processes_share_the_draws_of_a_step(settings, monkeypatch):
    drawn = []
    monkeypatch.setattr(Stream, "sample", lambda stream, draw: drawn.append(draw))
    monkeypatch.setattr(Objective, "_errors", lambda *of: torch.zeros(2))
    monkeypatch.setattr("training.objective._embedded", lambda *of: {})
    config = settings(train_batch_size=2, gradient_accumulation_steps=2)
    stream = Stream("instance", [], [], None, 1000)
    for step in range(3):
        for part in range(2):
            for rank in range(3):
                Objective(None, [stream], config, rank=rank, ranks=3).loss(step, part)
    assert drawn == list(range(3 * 2 * 3 * 2))
