import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.executors import (
    CallFailed,
    InlineExecutor,
    ProcessExecutor,
    WorkerDied,
    WorkerTimeout,
    end_old_workers,
    worker_environment,
)

LONG = 30.0


@pytest.fixture
def pool(tmp_path):
    executor = ProcessExecutor(2, run_folder=tmp_path / "run")
    yield executor
    executor.close()


@pytest.fixture
def one(tmp_path):
    executor = ProcessExecutor(1, run_folder=tmp_path / "run")
    yield executor
    executor.close()


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def pids_in(folder):
    """Of the workers that hold a lock there."""
    return [int(text) for path in folder.glob("*.lock") if (text := path.read_text())]


def busy(executor, folder, seconds=60):
    """A call that is certainly running, and the process that runs it."""
    future = executor.submit(time.sleep, seconds, timeout_s=LONG)
    wait_until(lambda: pids_in(folder))
    return future, pids_in(folder)[-1]


@pytest.mark.parametrize("executor", ["pool", "inline"])
def test_a_call_gives_its_value(executor, pool):
    chosen = {"pool": pool, "inline": InlineExecutor()}[executor]
    assert chosen.submit(divmod, 7, 2, timeout_s=LONG).result(LONG) == (3, 1)


def test_an_inline_call_raises_what_it_raised():
    with pytest.raises(ZeroDivisionError):
        InlineExecutor().submit(divmod, 1, 0, timeout_s=LONG).result()


def test_an_exception_comes_back_as_text_and_the_worker_lives_on(one):
    pid = one.submit(os.getpid, timeout_s=LONG).result(LONG)
    with pytest.raises(CallFailed, match="ZeroDivisionError"):
        one.submit(divmod, 1, 0, timeout_s=LONG).result(LONG)
    assert one.submit(os.getpid, timeout_s=LONG).result(LONG) == pid


def test_no_process_starts_before_the_first_call(pool, tmp_path):
    assert not (tmp_path / "run").exists()


def test_a_fresh_call_ends_its_process(one):
    first = one.submit(os.getpid, timeout_s=LONG, fresh=True).result(LONG)
    second = one.submit(os.getpid, timeout_s=LONG).result(LONG)
    assert first != second
    assert not is_alive(first)


def test_a_killed_worker_fails_its_own_call_only(pool, tmp_path):
    doomed, pid = busy(pool, tmp_path / "run")
    other = pool.submit(time.sleep, 0.5, timeout_s=LONG)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        doomed.result(LONG)
    assert other.result(LONG) is None
    assert pool.submit(divmod, 7, 2, timeout_s=LONG).result(LONG) == (3, 1)


def test_an_idle_worker_that_was_killed_is_replaced(one):
    pid = one.submit(os.getpid, timeout_s=LONG).result(LONG)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    assert one.submit(os.getpid, timeout_s=LONG).result(LONG) != pid


def test_an_idle_worker_that_dies_while_it_is_chosen_is_replaced(one, monkeypatch):
    pid = one.submit(os.getpid, timeout_s=LONG).result(LONG)
    # As if it had been looked at just before its death.
    monkeypatch.setattr("pipeline.executors._Worker.is_alive", lambda worker: True)
    os.kill(pid, signal.SIGKILL)
    assert one.submit(os.getpid, timeout_s=LONG).result(LONG) != pid


def test_a_worker_that_cannot_begin_is_not_replaced_for_ever(one, monkeypatch):
    monkeypatch.setattr("pipeline.executors.START", "raise SystemExit")
    with pytest.raises(WorkerDied):
        one.submit(os.getpid, timeout_s=LONG).result(LONG)


def test_a_call_that_takes_too_long_is_ended_with_its_process(one):
    pid = one.submit(os.getpid, timeout_s=LONG).result(LONG)
    future = one.submit(time.sleep, 60, timeout_s=0.2)
    with pytest.raises(WorkerTimeout):
        future.result(LONG)
    assert not is_alive(pid)


def test_cancelling_ends_the_process_at_once(one, tmp_path):
    future, pid = busy(one, tmp_path / "run")
    one.cancel(future)
    with pytest.raises(WorkerDied):
        future.result(LONG)
    assert not is_alive(pid)


def test_a_call_that_waits_for_a_worker_can_be_cancelled(one, tmp_path):
    first, _ = busy(one, tmp_path / "run")
    second = one.submit(time.sleep, 60, timeout_s=LONG)
    one.cancel(second)
    one.cancel(first)
    done, _ = wait([first, second], timeout=LONG)
    assert len(done) == 2


def test_cancelling_a_finished_call_changes_nothing(one):
    future = one.submit(os.getpid, timeout_s=LONG)
    pid = future.result(LONG)
    one.cancel(future)
    assert one.submit(os.getpid, timeout_s=LONG).result(LONG) == pid


def test_closing_ends_busy_and_idle_workers(pool, tmp_path):
    idle = pool.submit(os.getpid, timeout_s=LONG).result(LONG)
    future, pid = busy(pool, tmp_path / "run")
    pool.close()
    with pytest.raises(WorkerDied):
        future.result(LONG)
    assert not is_alive(pid)
    assert not is_alive(idle)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_call_after_closing_fails(one):
    one.close()
    with pytest.raises(WorkerDied):
        one.submit(os.getpid, timeout_s=LONG).result(LONG)


def test_children_die_with_a_killed_worker(one, tmp_path):
    future = one.submit(subprocess.check_call, ["sleep", "60"], timeout_s=LONG)
    wait_until(lambda: pids_in(tmp_path / "run"))
    (pid,) = pids_in(tmp_path / "run")
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: children.read_text().split())
    child = int(children.read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        future.result(LONG)
    wait_until(lambda: not is_alive(child))


def test_interrupting_a_worker_does_nothing(one, tmp_path):
    future = one.submit(time.sleep, 0.5, timeout_s=LONG)
    wait_until(lambda: pids_in(tmp_path / "run"))
    time.sleep(0.1)
    os.kill(pids_in(tmp_path / "run")[0], signal.SIGINT)
    assert future.result(LONG) is None


def test_what_a_stage_prints_does_not_disturb_the_answers(one):
    assert one.submit(print, "hello", timeout_s=LONG).result(LONG) is None
    assert one.submit(os.write, 1, b"\n", timeout_s=LONG).result(LONG) == 1


@pytest.fixture
def secrets(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("DISCORD_TOKEN", "token-very-secret")
    monkeypatch.setenv("SOMETHING_NEW", "also-very-secret")


def test_a_worker_has_no_secret_in_its_environment_or_arguments(secrets, one, tmp_path):
    # What /proc shows is what the process was started with, whatever it has cleaned up since.
    for name in ("environ", "cmdline"):
        seen = one.submit(Path.read_bytes, Path(f"/proc/self/{name}"), timeout_s=LONG).result(LONG)
        assert b"secret" not in seen
        assert seen


def test_a_worker_has_what_programs_need(secrets, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.syspath_prepend(tmp_path)
    environment = worker_environment(3)
    assert (environment["PATH"], environment["OMP_NUM_THREADS"]) == ("/bin", "3")
    assert environment["PYTHON_DOTENV_DISABLED"] == "1"
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)


def test_a_worker_leads_its_own_group(one):
    assert one.submit(os.getpgrp, timeout_s=LONG).result(LONG) == one.submit(
        os.getpid, timeout_s=LONG
    ).result(LONG)


PARENT = """
    import sys, time
    from pathlib import Path
    from pipeline.executors import ProcessExecutor
    executor = ProcessExecutor(1, run_folder=Path(sys.argv[1]))
    future = executor.submit(time.sleep, 60, timeout_s=60.0)
    {ending}
"""


def parent(folder, ending):
    script = textwrap.dedent(PARENT).format(ending=ending)
    return subprocess.Popen([sys.executable, "-c", script, str(folder)])


def test_workers_die_with_a_killed_parent(tmp_path):
    process = parent(tmp_path, "time.sleep(60)")
    wait_until(lambda: pids_in(tmp_path))
    process.kill()
    process.wait()
    (pid,) = pids_in(tmp_path)
    wait_until(lambda: not is_alive(pid))


def test_a_process_that_forgot_to_close_ends_with_its_workers(tmp_path):
    begun = "any(lock.read_text() for lock in Path(sys.argv[1]).glob('*.lock'))"
    process = parent(tmp_path, f"while not {begun}: time.sleep(0.01)")
    assert process.wait(timeout=LONG) == 0
    (pid,) = pids_in(tmp_path)
    wait_until(lambda: not is_alive(pid))


def test_locks_of_dead_workers_are_cleared_away(tmp_path):
    (tmp_path / "worker-1.lock").write_text("999999")
    end_old_workers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_run_folder_means_no_old_workers(tmp_path):
    end_old_workers(tmp_path / "missing")


def test_an_old_worker_that_is_ending_is_waited_for(tmp_path):
    lock = (tmp_path / "worker-1.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Timer(0.2, lock.close).start()
    end_old_workers(tmp_path)
    assert lock.closed


def test_an_old_worker_that_goes_on_is_killed(one, tmp_path):
    future, pid = busy(one, tmp_path / "run")
    end_old_workers(tmp_path / "run", patience_s=0.2)
    assert not is_alive(pid)
    with pytest.raises(WorkerDied):
        future.result(LONG)


@pytest.mark.parametrize("text", ["", str(os.getpid())], ids=["no number", "not a worker"])
def test_a_stranger_is_never_killed_but_named(tmp_path, text):
    with (tmp_path / "worker-1.lock").open("w") as lock:
        lock.write(text)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"worker-1\.lock"):
            end_old_workers(tmp_path, patience_s=0.05)
