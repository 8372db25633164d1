"""What the loop tells while it runs, without slowing it: losses stay on the device in between."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from training.config import TrainingConfig
from training.errors import TrainingError
from training.progress import Event, EventKind, EventLog
from training.schedule import rate_at

EVERY_S = 0.3


class Teller:
    def __init__(self, config: TrainingConfig, events: EventLog, *, begun_at: int) -> None:
        self._config = config
        self._events = events
        self._sum: Any = 0.0
        self._losses = 0
        self._steps_done = 0
        self._told_at = time.monotonic()
        self._training_s = 0.0
        """Of this process, without what is done between steps."""
        self._step_began = 0.0
        self.last_step = begun_at

    def tell_start(self, device: str) -> None:
        self._tell(EventKind.STARTED, note=device)

    def begin_step(self) -> None:
        self._step_began = time.monotonic()

    def add_loss(self, loss: Any) -> None:
        """A tensor that stays on the device."""
        self._sum = self._sum + loss.detach()
        self._losses += 1

    def end_step(self, step: int) -> None:
        now = time.monotonic()
        self._training_s += now - self._step_began
        self._steps_done += 1
        self.last_step = step
        if now - self._told_at >= EVERY_S:
            self.tell_step()

    def tell_step(self) -> None:
        """The mean loss since last time; TrainingError when one was no number."""
        if self._losses == 0:
            return
        loss = float(self._sum) / self._losses  # waits for the device
        self._sum, self._losses, self._told_at = 0.0, 0, time.monotonic()
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is not a number any more before step {self.last_step}; train anew into "
                "another output_dir with a lower learning_rate or in bf16, or promote the last "
                "checkpoint."
            )
        left = self._config.max_train_steps - self.last_step
        self._tell(
            EventKind.STEP,
            loss=loss,
            learning_rate=rate_at(self._config, max(0, self.last_step - 1)),
            seconds_left=left * self._training_s / self._steps_done,
        )

    def tell_checkpoint(self, folder: Path) -> None:
        self._tell(EventKind.CHECKPOINT, folder=folder.name)

    def tell_validation(self, folder: Path, loss: float) -> None:
        self._tell(
            EventKind.VALIDATION, folder=folder.name, loss=loss if math.isfinite(loss) else None
        )

    def tell_end(self, kind: EventKind) -> None:
        self._tell(kind)

    def _tell(self, kind: EventKind, **facts: Any) -> None:
        steps = self._config.max_train_steps
        self._events.tell(Event(kind=kind, step=self.last_step, steps=steps, **facts))
