"""The course of a run as one picture, drawn from its `events.jsonl` alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.course import Course, read_course
from training.files import saying, whole_file

SIZE = (12.0, 6.75)
DPI = 100
BACKGROUND = "#16181d"
"""Its own, so that it reads the same on Discord's dark and light pages."""
INK, FAINT, GRID = "#e8eaed", "#9aa0a6", "#2e323a"
TRAINING, VALIDATION, PROMOTED = "#5ab0ff", "#ffb454", "#7ee787"
SMOOTHED_PARTS = 20
"""The smoothed line averages about a 20th of the points at a time."""


def draw_loss(events_file: Path, out: Path, *, promoted: int | None = None) -> None:
    """A PNG of 1200 x 675 pixels; `promoted` is the step whose weights are in use."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    course = read_course(events_file)
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor=BACKGROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=BACKGROUND)
    _draw_training(axes, course)
    _draw_validation(axes, course)
    _draw_checkpoints(axes, course, promoted)
    _dress(axes, course)
    with saying(out.name), whole_file(out) as aside:
        FigureCanvasAgg(figure).print_png(str(aside))  # type: ignore[no-untyped-call]


def smoothed(losses: Sequence[float]) -> list[float]:
    """Exponential moving average that weighs the first values rightly (Kingma and Ba 2015)."""
    keep = 1 - 1 / max(1.0, len(losses) / SMOOTHED_PARTS)
    average, weight, result = 0.0, 0.0, []
    for loss in losses:
        average = keep * average + (1 - keep) * loss
        weight = keep * weight + (1 - keep)
        result.append(average / weight)
    return result


def _draw_training(axes: Any, course: Course) -> None:
    at = sorted(course.losses)
    losses = [course.losses[step] for step in at]
    axes.plot(at, losses, color=TRAINING, alpha=0.22, linewidth=1.2)
    axes.plot(at, smoothed(losses), color=TRAINING, linewidth=3, label="training, smoothed")


def _draw_validation(axes: Any, course: Course) -> None:
    at = sorted(course.validations)
    losses = [course.validations[step] for step in at]
    axes.plot(
        at,
        losses,
        color=VALIDATION,
        linewidth=2,
        marker="o",
        markersize=10,
        label="validation, fixed noise",
    )
    if at:
        at_the_edge = at[-1] > 0.9 * course.steps
        axes.annotate(
            f"{losses[-1]:.3f}",
            (at[-1], losses[-1]),
            xytext=(-12 if at_the_edge else 12, 10),
            ha="right" if at_the_edge else "left",
            textcoords="offset points",
            color=VALIDATION,
            fontsize=17,
        )


def _draw_checkpoints(axes: Any, course: Course, promoted: int | None) -> None:
    """Ticks at the lower edge; the newest and the one in use say which they are."""
    lower = axes.get_xaxis_transform()
    for step in sorted(course.checkpoints):
        axes.plot([step, step], [0, 0.03], color=FAINT, linewidth=2.5, transform=lower)
    for step, text, colour in _marks(course, promoted):
        axes.axvline(step, color=colour, linewidth=1.5, linestyle=(0, (4, 4)), alpha=0.8)
        axes.text(
            step,
            0.045,
            f"{text} {step} ",
            transform=lower,
            color=colour,
            fontsize=16,
            ha="right" if step > course.steps / 4 else "left",
        )


def _marks(course: Course, promoted: int | None) -> list[tuple[int, str, str]]:
    newest = max(course.checkpoints, default=None)
    found = [] if promoted is None else [(promoted, "in use", PROMOTED)]
    if newest is not None and newest != promoted:
        found.append((newest, "newest", INK))
    return found


def _dress(axes: Any, course: Course) -> None:
    axes.set_title(
        f"Step {course.step} of {course.steps}" if course.steps else "Not begun",
        color=INK,
        fontsize=24,
        loc="left",
        pad=14,
    )
    axes.set_xlabel("step", color=FAINT, fontsize=17)
    axes.set_ylabel("loss", color=FAINT, fontsize=17)
    axes.tick_params(colors=INK, labelsize=16, length=0)
    axes.grid(color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlim(0, max(course.steps, course.step, 1))
    _leave_outliers_out(axes, course)
    axes.legend(
        loc="upper right", fontsize=16, labelcolor=INK, facecolor=BACKGROUND, edgecolor=GRID
    )


def _leave_outliers_out(axes: Any, course: Course) -> None:
    """One step's loss hangs on the noise it drew; single peaks must not flatten the lines."""
    if not course.losses:
        axes.set_ylim(0, 1)
        return
    ordinary = float(np.quantile(list(course.losses.values()), 0.97))
    axes.set_ylim(0, 1.15 * max(ordinary, *course.validations.values(), 1e-6))
