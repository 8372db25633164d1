"""Progress bars on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipeline.settlement import EventKind, JobEvent

if TYPE_CHECKING:
    from bot.studio import Studio
    from storage.records import Job

console = Console(stderr=True, highlight=False, soft_wrap=True)
ENDED = (EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED)


def bars() -> Progress:
    """Bars with a name, a share and the time they took."""
    return Progress(
        TextColumn("{task.description:10}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f}% {task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
    )


def _name(job: Job) -> str:
    return job.stage if job.episode_id is None else f"{job.episode_id} {job.stage}"


@contextmanager
def progress_of(studio: Studio) -> Iterator[None]:
    """Show a bar for every job the engine runs."""
    tasks: dict[int, TaskID] = {}
    with bars() as progress:

        def show(event: object) -> None:
            event = cast("JobEvent", event)
            job = event.job
            if event.kind is EventKind.QUEUED:
                return
            if job.id not in tasks:
                tasks[job.id] = progress.add_task(_name(job), total=1.0, note="")
            done = 1.0 if event.kind is EventKind.SUCCEEDED else job.fraction
            note = event.kind.value if event.kind in ENDED else job.note[:40]
            progress.update(tasks[job.id], completed=done, note=note)

        studio.job_events.add(show)
        yield
