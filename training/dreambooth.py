"""DreamBooth (Ruiz et al. 2022): `python -m training.dreambooth CONFIG.yaml [--resume]`.

Reads from top to bottom: main, train, fit. Every step is a function of the settings and of its
number, so a run that was stopped, killed or damaged ends with the bits of one that was not.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from training.bases import go_offline
from training.config import TrainingConfig, config_text, load_config, movable
from training.errors import TrainingError
from training.files import saying, whole_file
from training.launch import is_main, processes
from training.lock import hold
from training.manifest import checkpoint_folders, checkpoints
from training.model_info import CONFIG_FILE
from training.packages import refuse_broken_torchvision
from training.progress import Event, EventKind, EventLog
from training.schedule import rate_at
from training.stopping import StopRequest

if TYPE_CHECKING:
    from training.preparation import Run
    from training.telling import Teller

log = logging.getLogger(__name__)

FINISHED, REFUSED, STOPPED = 0, 2, 3
PLOT_FILE = "loss.png"
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; 1, by a traceback, is a bug."""
    parser = argparse.ArgumentParser(prog="python -m training.dreambooth")
    parser.add_argument("config", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument(
        "--with-parent", action="store_true", help="save and end when stdin's pipe ends"
    )
    given = parser.parse_args(argv)
    stop = StopRequest()
    stop.on_signals(alone=processes() == 1)
    if given.with_parent:
        stop.on_end_of_parent()
    _speak_plainly()
    try:
        config = load_config(given.config)
        with hold(config.output_dir) if is_main() else nullcontext():
            return _train_and_tell(config, resume=given.resume, stop=stop)
    except TrainingError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED


class Unheard(EventLog):
    """Of the processes that only compute."""

    def tell(self, event: Event) -> None:
        pass


def never() -> bool:
    return False


def train(
    config: TrainingConfig, *, resume: bool, stop: Callable[[], bool] = never, events: EventLog
) -> int:
    """The step reached: the last one, or where `stop()` said so and a checkpoint was saved.

    The caller holds the lock of the run's folder.
    """
    config.output_dir.mkdir(parents=True, exist_ok=True)
    if not resume and any(checkpoint_folders(config.output_dir)):
        raise TrainingError(
            f"{config.output_dir} holds checkpoints; add --resume to go on, "
            "or choose another output_dir."
        )
    # PyTorch and what builds on it take seconds to load, so not before there is work for them.
    go_offline()
    refuse_broken_torchvision()
    from training.ranks import leave, part

    try:
        reached = _prepare_and_fit(config, stop=stop, events=events)
        part()
        return reached
    finally:
        leave()


def _prepare_and_fit(config: TrainingConfig, *, stop: Callable[[], bool], events: EventLog) -> int:
    from training.preparation import prepare

    run = prepare(config, stop=stop, events=events)
    if run is None:
        step = max(checkpoints(config.output_dir), default=0)
        events.tell(Event(kind=EventKind.STOPPED, step=step, steps=config.max_train_steps))
        return min(step, config.max_train_steps - 1)
    if run.ranks.is_main:
        _keep_settings(config)
        _draw_loss(config)  # now, as a folder that cannot be written would cost steps later
    return _fit_in_memory(run, stop=stop, events=events)


def _fit_in_memory(run: Run, *, stop: Callable[[], bool], events: EventLog) -> int:
    import torch

    try:
        return fit(run, stop=stop, events=events)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The GPU has no memory left at step {run.state.step}; close what else uses it, or set "
            "gradient_checkpointing to true or a smaller resolution and train anew."
        ) from error


def fit(run: Run, *, stop: Callable[[], bool], events: EventLog) -> int:
    """Steps, checkpoints and validations up to the end or to a stop; then the result."""
    from training.ranks import LostRank
    from training.telling import Teller

    config, state = run.config, run.state
    teller = Teller(config, events, begun_at=state.step)
    teller.tell_start(run.family.place.name)
    if run.saved is not None:  # a kill may have come between a checkpoint and its validation
        _validate_if_due(run, teller)

    try:
        while state.step < config.max_train_steps and not run.ranks.agree(stop(), step=state.step):
            teller.begin_step()
            _learn(run, teller)
            teller.end_step(state.step)
            if _is_due(config.checkpointing_steps, run) or _is_due(config.validation_steps, run):
                _save(run, teller)  # also for a validation: people may promote what they see
                _validate_if_due(run, teller)
    except LostRank:
        _save(run, teller)
        raise

    teller.tell_step()
    _save(run, teller)
    if state.step < config.max_train_steps:
        teller.tell_end(EventKind.STOPPED)
        return state.step
    _write_result(run)
    teller.tell_end(EventKind.FINISHED)
    return state.step


def _learn(run: Run, teller: Teller) -> None:
    """One step; losing another process ends it before anything of the state has changed."""
    config, state, accelerator = run.config, run.state, run.family.place.accelerator
    parameters = list(state.weights.parameters.values())
    # Layers draw from the global generators (dropout), whose state is not saved: it is a
    # function of the step, too, and nothing that happens between steps changes it.
    run.randomness.pin("step", state.step, *run.ranks.counters)
    state.optimizer.set_rate(rate_at(config, state.step))
    for part in range(config.gradient_accumulation_steps):
        loss = run.objective.loss(state.step, part)
        accelerator.backward(loss / config.gradient_accumulation_steps)
        teller.add_loss(loss)
    run.ranks.average_gradients(parameters)
    # Both take fp16's scale off the gradients first; the step is left out when they overflowed.
    accelerator.clip_grad_norm_(parameters, config.max_grad_norm)
    run.updates.step()
    run.updates.zero_grad()
    state.step += 1
    if state.ema is not None:
        state.ema.update(state.step)


def _is_due(every: int, run: Run) -> bool:
    """At the multiples of `every` and at the end; 0 is never."""
    step = run.state.step
    return every > 0 and (step % every == 0 or step == run.config.max_train_steps)


def _save(run: Run, teller: Teller) -> None:
    """A checkpoint of the state as it is, unless there is one; then older ones may go."""
    from training.checkpoints import prune, save
    from training.manifest import folder_name

    name = folder_name(run.state.step)
    if run.state.step == 0 or not run.ranks.is_main:
        return
    if run.saved is None or run.saved.name != name:
        teller.tell_step()  # first of all: it looks whether the losses are numbers
        run.saved = save(run.state, run.config.output_dir, run.identity)
        teller.tell_checkpoint(run.saved)
        prune(run.config.output_dir, run.config, step=run.state.step)


def _validate_if_due(run: Run, teller: Teller) -> None:
    if not run.ranks.is_main or not _is_due(run.config.validation_steps, run):
        return
    report = run.validator.run(run.state.step)
    teller.tell_validation(report.folder, report.loss)
    _draw_loss(run.config)


def _write_result(run: Run) -> None:
    from training.result import write_result

    if run.ranks.is_main and run.saved is not None:
        write_result(run.config, run.base, run.saved)


def _keep_settings(config: TrainingConfig) -> None:
    """In the run's folder, for whoever goes on with it or promotes from it, also moved."""
    file = config.output_dir / CONFIG_FILE
    with suppress(TrainingError):  # there is none yet, or one of another version
        if load_config(file) == config:
            return
    with whole_file(file) as aside:
        aside.write_text(config_text(movable(config)), encoding="utf-8")


def _draw_loss(config: TrainingConfig) -> None:
    from training.plots import draw_loss
    from training.progress import EVENTS_FILE

    with saying(str(config.plots_dir)):
        config.plots_dir.mkdir(parents=True, exist_ok=True)
        draw_loss(config.output_dir / EVENTS_FILE, config.plots_dir / PLOT_FILE)


def _train_and_tell(config: TrainingConfig, *, resume: bool, stop: Callable[[], bool]) -> int:
    events = EventLog(config.output_dir) if is_main() else Unheard(config.output_dir)
    try:
        reached = train(config, resume=resume, stop=stop, events=events)
        if is_main():
            _draw_loss(config)
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = error.filename or config.output_dir
        sentence = f"{place} cannot be written ({error.strerror}); make room there and resume."
        raise _failed(config, events, sentence) from error
    except TrainingError as error:
        raise _failed(config, events, str(error)) from error
    return FINISHED if reached >= config.max_train_steps else STOPPED


def _failed(config: TrainingConfig, events: EventLog, sentence: str) -> TrainingError:
    with suppress(OSError):  # the disk may be full
        events.tell(Event(kind=EventKind.FAILED, steps=config.max_train_steps, error=sentence))
    return TrainingError(sentence)


def _speak_plainly() -> None:
    """Ours on stdout; stderr is for the sentence that ends a run, so libraries keep quiet."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("training").setLevel(logging.INFO if is_main() else logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


if __name__ == "__main__":
    sys.exit(main())
