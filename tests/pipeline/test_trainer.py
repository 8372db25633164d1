import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import trainer as trainer_module
from pipeline.errors import UserError
from pipeline.trainer import Exit, Trainer, end_old_trainer, refuse_without_packages
from training.progress import EventKind, EventTail

LIMIT_S = 60.0
SECRETS = ("DISCORD_TOKEN", "META_ACCESS_TOKEN", "OPENAI_API_KEY", "ELEVENLABS_API_KEY", "HF_TOKEN")


@pytest.fixture
def folder(tmp_path, toys):
    """Of a run, in which nothing lives after the test."""
    yield tmp_path
    assert processes_of(tmp_path) == []


@pytest.fixture
def trainer(folder):
    """Begins the toy with a plan, and ends it."""
    begun = []

    def trainer(**plan):
        (folder / "plan.json").write_text(json.dumps({"steps": 5} | plan))
        begun.append(Trainer(folder, module="toy_trainer"))
        return begun[-1]

    yield trainer
    for each in begun:
        each.kill()
        asyncio.run(each.let_go(patience_s=LIMIT_S))


def processes_of(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/".encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


def code_of(trainer):
    until(lambda: trainer.exit_code() is not None)
    return trainer.exit_code()


def told(folder):
    return [(event.kind, event.step) for event in EventTail(folder).read()]


def waits(folder, step):
    return until(lambda: (EventKind.STEP, step) in told(folder))


def test_a_run_is_trained_to_its_end(trainer, folder):
    assert code_of(trainer(steps=3)) == Exit.FINISHED
    assert told(folder)[-1] == (EventKind.FINISHED, 3)


def test_what_a_trainer_leaves_behind_ends_with_it(trainer, folder):
    assert code_of(trainer(leaves_a_child=True)) == Exit.FINISHED
    until(lambda: not processes_of(folder))


def test_a_trainer_asked_to_stop_saves_and_the_next_one_goes_on_there(trainer, folder):
    first = trainer(waits_at=3)
    waits(folder, 2)
    first.ask_to_stop()
    assert code_of(first) == Exit.STOPPED
    assert code_of(trainer()) == Exit.FINISHED
    assert [step for kind, step in told(folder) if kind is EventKind.STEP] == [1, 2, 3, 4, 5]


def test_a_trainer_that_does_not_stop_is_killed_after_the_patience(trainer, folder):
    deaf = trainer(waits_at=2, is_deaf=True)
    waits(folder, 1)
    deaf.ask_to_stop(patience_s=0.1)
    assert code_of(deaf) == -signal.SIGKILL


async def test_a_trainer_that_is_let_go_saves_by_itself(trainer, folder):
    left = trainer(waits_at=3)
    await asyncio.to_thread(waits, folder, 2)
    await left.let_go(patience_s=0.0)
    assert await asyncio.to_thread(code_of, left) == Exit.STOPPED
    assert (folder / "checkpoint-3").is_dir()


def test_a_trainer_sees_no_secret_and_none_of_our_settings(trainer, folder, monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, "a-secret-of-ours")
    first = trainer(waits_at=2)
    waits(folder, 1)
    environment = Path(f"/proc/{first.pid}/environ").read_bytes().decode()
    assert "a-secret-of-ours" not in environment
    assert "HF_HUB_OFFLINE=1" in environment.split("\0")
    assert not any(entry.startswith(SECRETS) for entry in environment.split("\0"))


def test_a_trainer_has_a_session_of_its_own_so_that_ctrl_c_spares_it(trainer, folder):
    first = trainer(waits_at=2)
    assert os.getsid(first.pid) == first.pid != os.getsid(0)


def test_two_trainers_never_work_in_one_folder(trainer, folder):
    trainer(waits_at=2)
    with pytest.raises(UserError, match="Another process trains in"):
        trainer(waits_at=2)


def test_the_last_words_of_a_trainer_that_refuses_are_known(trainer):
    refusing = trainer(exits=2)
    assert code_of(refusing) == Exit.REFUSED
    assert refusing.last_words() == "This sentence says why."


def test_a_long_log_is_put_aside(trainer, folder):
    (folder / "trainer.log").write_bytes(b"x" * (trainer_module.LARGEST_LOG + 1))
    code_of(trainer(exits=2))
    assert (folder / "trainer.log").read_text() == "This sentence says why.\n"
    assert (folder / "trainer.log.1").stat().st_size > trainer_module.LARGEST_LOG


def python(*arguments, **keywords):
    """A process of its own that finds our modules."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen([sys.executable, "-m", *arguments], env=environment, **keywords)


def supervised(folder, **plan):
    """A bot of its own that has begun a trainer."""
    (folder / "plan.json").write_text(json.dumps({"steps": 5} | plan))
    bot = python("toy_supervisor", str(folder), stdout=subprocess.PIPE)
    with bot.stdout:
        assert int(bot.stdout.readline()) > 0
    return bot


async def test_a_trainer_whose_bot_is_killed_saves_and_ends(folder):
    bot = await asyncio.to_thread(supervised, folder, waits_at=3)
    await asyncio.to_thread(waits, folder, 2)
    bot.kill()
    bot.wait()
    await end_old_trainer(folder, patience_s=LIMIT_S)
    assert (folder / "checkpoint-3").is_dir()
    assert told(folder)[-1] == (EventKind.STOPPED, 3)


async def test_a_deaf_trainer_of_a_killed_bot_is_killed_as_well(folder):
    bot = await asyncio.to_thread(supervised, folder, waits_at=2, is_deaf=True)
    await asyncio.to_thread(waits, folder, 1)
    bot.kill()
    bot.wait()
    await end_old_trainer(folder, patience_s=0.0)
    await asyncio.to_thread(until, lambda: not processes_of(folder))


async def test_a_trainer_by_hand_is_left_alone_and_named(folder):
    (folder / "plan.json").write_text(json.dumps({"steps": 5, "waits_at": 2}))
    by_hand = python("toy_trainer", str(folder / "config.yaml"), stdin=subprocess.PIPE)
    try:
        await asyncio.to_thread(waits, folder, 1)
        with pytest.raises(UserError, match="end it and `/train resume`"):
            await end_old_trainer(folder, patience_s=0.0)
        assert by_hand.poll() is None
    finally:
        by_hand.communicate()


async def test_nothing_is_waited_for_in_a_folder_without_a_trainer(folder):
    await end_old_trainer(folder, patience_s=0.0)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(trainer_module, "PACKAGES", ("json", "no_such_network"))
    with pytest.raises(UserError, match=r"no_such_network.*`./run install training`"):
        refuse_without_packages()
