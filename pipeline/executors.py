"""Where functions run: in worker processes, or right here (tests).

One process per worker, owned by one thread of ours, so that a worker's death concerns its own
call only. The standard pool breaks as a whole when a worker is killed, pebble's when an idle one
is; and both hand their environment, secrets included, to the workers.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import UserError
from pipeline.workflow import Lane

PASSED_ON = (
    *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "VIRTUAL_ENV"),
    *("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME", "HF_HOME"),
    *("CUDA_VISIBLE_DEVICES", "IMAGEIO_FFMPEG_EXE"),
)
"""Variables a worker may see; whatever is not named here may be a secret."""
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
START = "import sys; from pipeline.worker import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"


class WorkerDied(Exception):
    """The process ended before it answered: killed, out of memory, crashed or stopped by us."""


class NotStarted(WorkerDied):
    """The process was gone before it took the call, so another one may have it."""


class WorkerTimeout(Exception):
    """The call took longer than it may; its process and its children were ended."""


class CallFailed(Exception):
    """The function raised; the text is the traceback from the worker."""


class Executor(Protocol):
    """Runs module-level functions; `workers` of them at the same time."""

    workers: int

    def submit(
        self, function: Callable[..., Any], /, *args: Any, timeout_s: float, fresh: bool = False
    ) -> Future[Any]:
        """`fresh` ends the process after the call."""

    def cancel(self, future: Future[Any]) -> None:
        """End the call and everything it started; its future raises WorkerDied."""

    def close(self) -> None: ...


class InlineExecutor:
    """Runs the call before `submit` returns; cannot be cancelled."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def submit(
        self, function: Callable[..., Any], /, *args: Any, timeout_s: float, fresh: bool = False
    ) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def cancel(self, future: Future[Any]) -> None:
        pass

    def close(self) -> None:
        pass


class ProcessExecutor:
    """Worker processes that start when needed and stay for the next call."""

    def __init__(self, workers: int, *, run_folder: Path, threads: int = 1) -> None:
        self.workers = workers
        self._run_folder = run_folder
        self._threads = threads
        self._free = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: dict[Future[Any], _Worker] = {}
        self._cancelled: set[Future[Any]] = set()
        self._closed = False

    def submit(
        self, function: Callable[..., Any], /, *args: Any, timeout_s: float, fresh: bool = False
    ) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # from here on only cancel() ends it
        call = pickle.dumps((function, args))
        # A daemon, so that a process that forgot close() still ends, and its workers with it.
        threading.Thread(
            target=self._run, args=(future, call, timeout_s, fresh), daemon=True
        ).start()
        return future

    def cancel(self, future: Future[Any]) -> None:
        with self._lock:
            if not future.done():
                self._cancelled.add(future)
            if worker := self._busy.get(future):
                worker.kill()

    def close(self) -> None:
        """End all workers, busy ones too; later calls fail at once."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = dict(self._busy)
            for worker in (*idle, *busy.values()):
                worker.kill()
        for worker in idle:
            worker.reap()
        wait(busy)  # their own threads reap the others

    def _run(self, future: Future[Any], call: bytes, timeout_s: float, fresh: bool) -> None:
        with self._free:
            try:
                value, trace = self._answer(future, call, timeout_s, keep=not fresh)
            except Exception as error:
                future.set_exception(error)
                return
        if trace is None:
            future.set_result(value)
        else:
            future.set_exception(CallFailed(trace))

    def _answer(
        self, future: Future[Any], call: bytes, timeout_s: float, *, keep: bool
    ) -> tuple[Any, str | None]:
        while True:
            worker = self._take(future)
            try:
                answer = worker.call(call, timeout_s)
            except NotStarted:
                self._give_back(future, worker, keep=False)
                # An idle worker may have been dying while it was chosen; a new one was not.
                if not worker.was_idle:
                    raise
            except BaseException:
                self._give_back(future, worker, keep=False)
                raise
            else:
                self._give_back(future, worker, keep=keep)
                return answer

    def _take(self, future: Future[Any]) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    break
                worker.reap()
            else:
                worker = _Worker(self._run_folder, worker_environment(self._threads))
            self._busy[future] = worker
            if self._closed or future in self._cancelled:
                worker.kill()
            return worker

    def _give_back(self, future: Future[Any], worker: _Worker, *, keep: bool) -> None:
        with self._lock:
            del self._busy[future]
            keep = keep and not self._closed and future not in self._cancelled
            self._cancelled.discard(future)
            if keep:
                worker.was_idle = True
                self._idle.append(worker)
                return
        worker.kill()
        worker.reap()


class _Worker:
    """One process, its connection, and the lock that lives as long as it does."""

    def __init__(self, run_folder: Path, environment: Mapping[str, str]) -> None:
        run_folder.mkdir(parents=True, exist_ok=True)
        self.was_idle = False
        self._lock_file = run_folder / f"worker-{uuid.uuid4().hex}.lock"
        self._connection, theirs = Pipe()
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # Locked before there is a process: it inherits the lock, so there is no moment in
            # which it lives without one.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(theirs.fileno()), str(lock)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a stage prints must not mix with our answers
                pass_fds=(theirs.fileno(), lock),
                process_group=0,
            )
        finally:
            os.close(lock)
            theirs.close()

    def call(self, call: bytes, timeout_s: float) -> tuple[Any, str | None]:
        try:
            self._connection.send_bytes(call)
            self._receive(timeout_s)  # it has taken the call
        except (EOFError, OSError) as error:
            raise NotStarted("the worker process ended before it began") from error
        try:
            answer: tuple[Any, str | None] = self._receive(timeout_s)
        except (EOFError, OSError) as error:
            raise WorkerDied("the worker process ended before it answered") from error
        return answer

    def _receive(self, timeout_s: float) -> Any:
        if not self._connection.poll(timeout_s):
            raise WorkerTimeout(f"no answer within {timeout_s:g} s")
        return self._connection.recv()

    def is_alive(self) -> bool:
        # An idle worker sends nothing, so something to read is the end of the stream.
        return not self._connection.poll()

    def kill(self) -> None:
        # Before the process is waited for: until then its number cannot become another's.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def reap(self) -> None:
        self.kill()
        self._process.wait()
        self._connection.close()
        self._lock_file.unlink(missing_ok=True)


def worker_environment(threads: int) -> dict[str, str]:
    """What a worker sees of our environment, and where it finds the modules that we see."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {
        **passed_on,
        "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
        "PYTHON_DOTENV_DISABLED": "1",  # moviepy reads the nearest .env when imported
        **dict.fromkeys(THREAD_LIMITS, str(threads)),
    }


def process_executors(
    run_folder: Path, *, render_workers: int, io_workers: int = 4
) -> dict[Lane, Executor]:
    """The lanes of this machine; processes start with the first job of a lane."""
    threads = max(1, (os.cpu_count() or 1) // render_workers)
    return {
        Lane.CPU: ProcessExecutor(render_workers, run_folder=run_folder, threads=threads),
        Lane.IO: ProcessExecutor(io_workers, run_folder=run_folder),
        Lane.GPU: ProcessExecutor(1, run_folder=run_folder, threads=os.cpu_count() or 1),
    }


def end_old_workers(run_folder: Path, *, patience_s: float = 2.0) -> None:
    """Return once no worker of an earlier run lives; blocks.

    They end by themselves when their bot has gone. One that does not is killed with its
    group; UserError when even that does not help.
    """
    for lock_file in sorted(run_folder.glob("worker-*.lock")):
        if not _released(lock_file, patience_s):
            _kill_group(lock_file)
            if not _released(lock_file, patience_s):
                raise UserError(
                    f"A worker of an earlier run does not end (see {lock_file}); "
                    "end its process and start again."
                )
        lock_file.unlink(missing_ok=True)


def _released(lock_file: Path, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    with lock_file.open("rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.02)
            else:
                return True


def _kill_group(lock_file: Path) -> None:
    text = lock_file.read_text()
    command = Path(f"/proc/{text}/cmdline")
    # In another container the number may belong to somebody else.
    if text.isdigit() and command.exists() and b"pipeline.worker" in command.read_bytes():
        with suppress(ProcessLookupError):
            os.killpg(int(text), signal.SIGKILL)
