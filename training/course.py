"""The course of a run, put together from what it told: losses, checkpoints, time, device."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training.progress import Event, EventKind, EventTail

BEFORE_A_STRETCH = (EventKind.PREPARING, EventKind.CLASS_IMAGE)


@dataclass
class Course:
    """What a resume repeats or takes back counts once."""

    losses: dict[int, float] = field(default_factory=dict)
    validations: dict[int, float] = field(default_factory=dict)
    checkpoints: set[int] = field(default_factory=set)
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    """From start to end of every stretch, validation included; pauses do not count."""
    device: str = ""
    _at: float | None = None

    @property
    def mean_loss(self) -> float | None:
        """Over all steps: what is told at one is the mean since the one told before."""
        if not self.losses:
            return None
        told = sorted(self.losses)
        steps = [at - before for before, at in zip([0, *told], told, strict=False)]
        return sum(self.losses[at] * n for at, n in zip(told, steps, strict=True)) / told[-1]

    def take(self, event: Event) -> None:
        if event.kind is EventKind.STARTED:
            self._begin_after(event)
        elif event.kind is EventKind.CHECKPOINT:
            self.checkpoints.add(event.step)
        elif event.kind is EventKind.VALIDATION and event.loss is not None:
            self.validations[event.step] = event.loss
        elif event.kind is EventKind.STEP and event.loss is not None:
            self.losses[event.step] = event.loss
        self.steps = event.steps or self.steps
        self.step = max(self.step, event.step)
        self._count_time(event)

    def _begin_after(self, event: Event) -> None:
        self.losses = {at: loss for at, loss in self.losses.items() if at <= event.step}
        self.validations = {at: loss for at, loss in self.validations.items() if at <= event.step}
        self.checkpoints = {at for at in self.checkpoints if at <= event.step}
        self.step = event.step
        self.device = event.note

    def _count_time(self, event: Event) -> None:
        """From `started` on; what comes before it may follow on a kill, days ago."""
        if event.kind in BEFORE_A_STRETCH:
            self._at = None
        elif event.kind is EventKind.STARTED:
            self._at = event.at
        elif self._at is not None:
            self.seconds += max(0.0, event.at - self._at)  # clocks may be set back
            self._at = event.at


def read_course(events_file: Path, *, until: int | None = None) -> Course:
    """Of an `events.jsonl`; what was told of steps after `until` is left out."""
    course = Course()
    for event in EventTail(events_file.parent).read():
        if until is None or event.step <= until:
            course.take(event)
    return course
