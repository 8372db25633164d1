"""What a stage gets besides its inputs: folders, the show, its config, progress and cancel.

Files in the attempt's folder are the only side channel between a worker and the bot:
artefacts, `progress.jsonl` (one JSON object per line, the bot tails it) and `cancel`
(an empty file; the stage looks for it between lines).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import StageCancelled
from pipeline.shows import Show

PROGRESS_FILE = "progress.jsonl"
CANCEL_FILE = "cancel"


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

    def report(self, fraction: float, note: str) -> None:
        """Append progress (0 to 1, and a few words) for the people who wait."""
        line = json.dumps({"fraction": round(min(max(fraction, 0.0), 1.0), 4), "note": note})
        with (self.folder / PROGRESS_FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def check_cancelled(self) -> None:
        """Raise StageCancelled once somebody has asked this attempt to stop."""
        if (self.folder / CANCEL_FILE).exists():
            raise StageCancelled
