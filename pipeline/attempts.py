"""What lies in an attempt's folder besides artefacts, read by the bot and written by the worker.

The folder is all that is left when a process dies: an outcome that is there is final.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.context import CANCEL_FILE, PROGRESS_FILE
from pipeline.files import sync, write_whole
from pipeline.sections import Section

OUTCOME_FILE = "outcome.json"
NOT_ARTEFACTS = frozenset({OUTCOME_FILE, PROGRESS_FILE, CANCEL_FILE})


class Request(Section):
    """One attempt, as a worker gets it; folders are absolute, `inputs` are sections and facts.

    `allowance_usd` is what it may spend: None when there is no budget, 0 when it is used up.
    """

    job: int
    attempt: int
    stage: str
    module: str
    episode: int
    revision: int
    show: str
    data_dir: str
    folder: str
    revision_folder: str
    inputs: dict[str, Any]
    allowance_usd: float | None = None


class OutcomeState(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ErrorKind(StrEnum):
    USER = "user"  # the input is at fault
    PROVIDER = "provider"  # an outside service is
    BUG = "bug"  # we are
    WORKER_DIED = "worker_died"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"  # the bot ended, time and again
    BUDGET = "budget"  # nothing is: the job waits until it may spend more


class Outcome(Section):
    """How an attempt ended; `result` is the section's JSON, `trace` a traceback for the log."""

    state: OutcomeState
    result: str = ""
    error: str = ""
    error_kind: ErrorKind | None = None
    retryable: bool = False
    retry_after_s: float | None = None
    trace: str = ""
    seconds: float = 0.0
    peak_rss_mb: float = 0.0


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Sync the artefacts, then put the outcome beside them in one step."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync(path)
    write_whole(folder / OUTCOME_FILE, outcome.model_dump_json().encode())


def read_outcome(folder: Path) -> Outcome | None:
    """None when there is none that can be read."""
    try:
        return Outcome.model_validate_json((folder / OUTCOME_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


class ProgressTail:
    """Reads what a stage reports, from where the last look ended."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS_FILE
        self._offset = 0

    def latest(self) -> tuple[float, str] | None:
        """The newest complete line since the last call, if there is one; torn ones are skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return None
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        told = (_progress(line) for line in reversed(whole.splitlines()))
        return next((news for news in told if news is not None), None)


def _progress(line: bytes) -> tuple[float, str] | None:
    """None for a line that a full disk cut short."""
    try:
        news = json.loads(line)
        return float(news["fraction"]), str(news["note"])
    except (ValueError, TypeError, KeyError):
        return None
