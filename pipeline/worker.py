"""What runs in a worker process: run_stage(), and the loop that waits for calls.

A worker is started by pipeline/executors.py with a clean environment, as the leader of its own
process group, holding the lock of its file in DATA_DIR/run. It never opens the database.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import resource
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, SecretStr, ValidationError

from pipeline.attempts import ErrorKind, Outcome, OutcomeState, Request, write_outcome
from pipeline.config import Config
from pipeline.context import StageContext, receipts_file
from pipeline.errors import BudgetSpent, ProviderError, StageCancelled, UserError
from pipeline.ledger import Ledger
from pipeline.masking import masked
from pipeline.sections import Section
from pipeline.shows import load_show
from pipeline.workflow import FACTS, SECTIONS


def run_stage(request_json: str, config: Config) -> str:
    """Run one attempt and return its Outcome as JSON, which is also in the attempt's folder."""
    request = Request.model_validate_json(request_json)
    _forget_peak()
    children_before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    started = time.monotonic()
    outcome = _attempt(request, config)
    outcome = outcome.model_copy(
        update={
            "error": without_secrets(outcome.error, config),
            "trace": without_secrets(outcome.trace, config),
            "seconds": round(time.monotonic() - started, 3),
            "peak_rss_mb": _peak_mb(children_before),
        }
    )
    write_outcome(Path(request.folder), outcome)
    return outcome.model_dump_json()


def _attempt(request: Request, config: Config) -> Outcome:
    try:
        result = _run(request, config)
    except StageCancelled:
        return Outcome(state=OutcomeState.CANCELLED)
    except UserError as error:
        return _failed(ErrorKind.USER, str(error), retryable=False)
    except BudgetSpent as error:
        return _failed(ErrorKind.BUDGET, str(error), retryable=True)
    except ProviderError as error:
        return _failed(
            ErrorKind.PROVIDER,
            f"{str(error).rstrip('.')}.",  # more sentences follow it where people read it
            retryable=error.retryable,
            retry_after_s=error.retry_after_s,
        )
    except Exception:
        return _failed(
            ErrorKind.BUG,
            f"An internal error stopped the {request.stage} stage (job {request.job}); "
            "the log has the details.",
            retryable=True,
            trace=traceback.format_exc(),
        )
    return Outcome(state=OutcomeState.SUCCEEDED, result=result.model_dump_json())


def _run(request: Request, config: Config) -> Section:
    inputs = {name: _input(name, value) for name, value in request.inputs.items()}
    data_dir = Path(request.data_dir)
    context = StageContext(
        episode=request.episode,
        revision=request.revision,
        folder=Path(request.folder),
        revision_folder=Path(request.revision_folder),
        data_dir=data_dir,
        show=load_show(request.show, data_dir),
        config=config,
        job=request.job,
        ledger=Ledger(
            receipts_file(data_dir, request.job, request.attempt),
            allowance_usd=request.allowance_usd,
        ),
    )
    result = importlib.import_module(request.module).run(**inputs, ctx=context)
    if not isinstance(result, SECTIONS[request.stage]):
        raise TypeError(f"the {request.stage} stage returned {type(result).__name__}")
    return result


def without_secrets(text: str, config: Config) -> str:
    """No key leaves the worker in what it says went wrong: that is stored, shown and logged."""
    return masked(text, _secrets(config))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, part in value:
            yield from _secrets(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _secrets(part)
    elif isinstance(value, tuple | list | set | frozenset):
        for part in value:
            yield from _secrets(part)


def _input(name: str, value: object) -> Section:
    try:
        return {**SECTIONS, **FACTS}[name].model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The {name} is not usable: {where}: {first['msg']}.") from error


def _failed(
    kind: ErrorKind,
    error: str,
    *,
    retryable: bool,
    retry_after_s: float | None = None,
    trace: str = "",
) -> Outcome:
    return Outcome(
        state=OutcomeState.FAILED,
        error=error,
        error_kind=kind,
        retryable=retryable,
        retry_after_s=retry_after_s,
        trace=trace,
    )


def _forget_peak() -> None:
    with suppress(OSError):  # then the peak is that of the whole process
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def _peak_mb(children_before: int) -> float:
    """Of this attempt: our own peak, plus the largest child if one of it broke the record."""
    try:
        status = Path("/proc/self/status").read_text()
        own = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round((own + (children if children > children_before else 0)) / 1024, 1)


def serve(connection_fd: int, lock_fd: int) -> NoReturn:
    """Answer calls, one at a time, until the other end goes away; then end the whole group.

    A call is a pickled (function, arguments). It is answered twice: None when it is taken, then
    (value, None) or (None, traceback).
    """
    for descriptor in (connection_fd, lock_fd):
        os.set_inheritable(descriptor, False)  # or ffmpeg would keep them open after our death
    os.pwrite(lock_fd, str(os.getpid()).encode(), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the bot, which ends us
    connection = Connection(connection_fd)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, calls), daemon=True).start()
    while True:
        call = calls.get()
        connection.send(None)
        connection.send(_answer(call))


def _receive(connection: Connection, calls: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            calls.put(connection.recv_bytes())
    except (EOFError, OSError):
        os.killpg(os.getpid(), signal.SIGKILL)


def _answer(call: bytes) -> tuple[object, str | None]:
    try:
        function, arguments = pickle.loads(call)
        return function(*arguments), None
    except Exception:
        return None, traceback.format_exc()
