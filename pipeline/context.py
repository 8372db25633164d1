"""What a stage gets besides its inputs: folders, the show, its config, progress and cancel.

Files in the attempt's folder are the only side channel between a worker and the bot:
artefacts, `progress.jsonl` (one JSON object per line, the bot tails it) and `cancel`
(an empty file; the stage looks for it between lines). What was paid for lies outside it, in
`paid_folder`, which the next attempt finds again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import StageCancelled
from pipeline.ledger import Ledger
from pipeline.shows import Show

PROGRESS_FILE = "progress.jsonl"
CANCEL_FILE = "cancel"


def paid_folder(data_dir: Path, job: int) -> Path:
    return data_dir / "paid" / str(job)


def receipts_file(data_dir: Path, job: int, attempt: int) -> Path:
    """What one attempt has spent; see pipeline/ledger.py."""
    return paid_folder(data_dir, job) / f"receipts-{attempt}.jsonl"


@dataclass(frozen=True)
class StageContext:
    """`folder` is this attempt's own; `revision_folder` holds what earlier stages made."""

    episode: int
    revision: int
    folder: Path
    revision_folder: Path
    data_dir: Path
    show: Show
    config: Config
    job: int = 0
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def paid_folder(self) -> Path:
        """Answers that were paid for, kept until the job is settled for good."""
        return paid_folder(self.data_dir, self.job)

    def report(self, fraction: float, note: str) -> None:
        """Append progress (0 to 1, and a few words) for the people who wait."""
        line = json.dumps({"fraction": round(min(max(fraction, 0.0), 1.0), 4), "note": note})
        with (self.folder / PROGRESS_FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def check_cancelled(self) -> None:
        """Raise StageCancelled once somebody has asked this attempt to stop."""
        if (self.folder / CANCEL_FILE).exists():
            raise StageCancelled
