"""`emf train`: a run in a process of its own, so that `emf` itself never loads PyTorch."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from rich.progress import Progress, TaskID

from bot.console import bars, console
from pipeline.addresses import checked
from pipeline.errors import UserError
from pipeline.trainer import MODULE, PACKAGES, THEIR_LOCK, Exit, trainer_environment
from storage.folder import DataFolder
from training.bases import bases_in, find_base
from training.config import TrainingConfig, load_config
from training.layout import KNOWN_COPIES
from training.progress import EVENTS_FILE, Event, EventKind, EventTail

if TYPE_CHECKING:
    from bot.settings import Settings

INTERRUPTED = 130
LOOK_S = 0.2
TAIL_BYTES = 64 * 1024
ENDINGS = (EventKind.STOPPED, EventKind.FINISHED, EventKind.FAILED)
WHERE_COMMITS_ARE = (
    f"COMMIT is the 40 digits at the top of https://huggingface.co/{KNOWN_COPIES[0]}/commits/main"
)


def train(settings: Settings, file: Path, *, resume: bool, module: str = MODULE) -> int:
    """Train as the file says, with a progress line; 0 when done, 130 when stopped and saved."""
    config = load_config(file)
    find_base(config.base_model, config.revision, folder=settings.data_dir / "bases")
    refuse_without_packages()
    with ExitStack() as stack:
        # A folder of the bot's own: the same rule as for everything else that writes there.
        if config.output_dir.resolve().is_relative_to(settings.data_dir.resolve()):
            stack.enter_context(DataFolder(settings.data_dir).lock("emf train"))
        said = stack.enter_context(tempfile.TemporaryFile())
        tail = EventTail(config.output_dir, _size(config.output_dir / EVENTS_FILE))
        process = _begin(settings, file, said, resume=resume, module=module)
        with bars() as progress:
            code = _watch(process, tail, progress)
        return _ended(code, config, file, _words(said))


def refuse_without_packages() -> None:
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UserError(f"Training needs {', '.join(missing)}; run `./run install training`.")


def show_runs(settings: Settings) -> None:
    """A line for each folder in DATA_DIR/models; reads only files."""
    folders = sorted(path.parent for path in _models(settings).glob(f"*/{EVENTS_FILE}"))
    for folder in folders:
        _say(f"{folder.name}: {_standing(folder)}")
    if not folders:
        _say(f"Nothing has been trained in {_models(settings)} yet.")


def show_bases(settings: Settings) -> None:
    bases, faults = bases_in(settings.data_dir / "bases")
    for base in bases:
        commit = f" at {base.revision[:12]}" if base.revision else ""
        _say(f"{base.path.name}: {base.name}{commit}, {base.prediction_type}")
    for fault in faults:
        console.print(fault, markup=False)
    if not bases:
        _say(
            f"No base is in {settings.data_dir / 'bases'} yet; `emf train base "
            f"{KNOWN_COPIES[0]}@COMMIT` fetches one, and {WHERE_COMMITS_ARE}."
        )


def fetch_base(settings: Settings, wanted: str) -> None:
    from training.hub import ENDPOINT, check_wish, fetch_base

    hub_id, at, commit = wanted.partition("@")
    if not at:
        raise UserError(f"Write the commit behind {hub_id}: {hub_id}@COMMIT; {WHERE_COMMITS_ARE}.")
    check_wish(hub_id, commit)
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    try:
        endpoint = checked(os.environ.get("HF_ENDPOINT") or ENDPOINT)
    except ValueError as error:
        raise UserError(f"HF_ENDPOINT: {error}.") from error
    with bars() as progress:
        task = progress.add_task("base", total=None, note=hub_id)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        base = fetch_base(
            hub_id,
            commit,
            settings.data_dir.absolute() / "bases",
            token=token,
            endpoint=endpoint,
            report=show,
        )
    _say(str(base.path))


def _begin(
    settings: Settings, file: Path, said: IO[bytes], *, resume: bool, module: str
) -> subprocess.Popen[bytes]:
    """The pipe to it ends with us, so it saves and ends however we do."""
    cache = {name: os.environ[name] for name in ("HF_HUB_CACHE",) if name in os.environ}
    places = {"DATA_DIR": str(settings.data_dir.absolute()), **cache}
    command = [sys.executable, "-m", module, str(file.absolute()), "--with-parent"]
    return subprocess.Popen(
        [*command, "--resume"] if resume else command,
        env=trainer_environment() | places,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        start_new_session=True,  # Ctrl+C reaches it once, from us
    )


def _watch(process: subprocess.Popen[bytes], tail: EventTail, progress: Progress) -> int:
    """Show what it tells until it has ended; the exit code."""
    task = progress.add_task("training", total=None, note="starting")
    with process, _passing_on_signals(process), _repeating(process, progress):
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
            ended = process.returncode is not None
            for event in tail.read():
                _show(event, progress, task)
            if ended:
                return process.returncode


@contextmanager
def _passing_on_signals(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, pass_on) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _repeating(process: subprocess.Popen[bytes], progress: Progress) -> Iterator[None]:
    """What it prints, above the progress line; standard output is for the result."""

    def repeat() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            progress.console.print(line.decode(errors="replace").rstrip(), markup=False)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _show(event: Event, progress: Progress, task: TaskID) -> None:
    if event.kind is EventKind.WARNING:
        progress.console.print(event.note, markup=False)
    elif event.kind is EventKind.CLASS_IMAGE:
        note = f"class image {event.made} of {event.wanted}"
        progress.update(task, completed=event.made, total=event.wanted, note=note)
    elif event.kind is EventKind.PREPARING:
        progress.update(task, note=event.note[:60])
    elif event.steps:
        note = _note(event)
        progress.update(task, completed=event.step, total=event.steps, note=note)


def _note(event: Event) -> str:
    parts = [f"step {event.step} of {event.steps}"]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.3f}")
    if event.seconds_left is not None:
        parts.append(f"{_duration(event.seconds_left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _ended(code: int, config: TrainingConfig, file: Path, words: str) -> int:
    if code == Exit.FINISHED:
        _say(str(config.output_dir))
        return 0
    if code == Exit.STOPPED:
        sys.stderr.write(f"Stopped and saved; `emf train {file} --resume` goes on.\n")
        return INTERRUPTED
    if code == Exit.REFUSED:
        last = next((line for line in reversed(words.splitlines()) if line.strip()), "")
        raise UserError(last or "The training was refused without a word; see `emf doctor`.")
    sys.stderr.write(words)
    how = f"was ended by signal {-code}" if code < 0 else "ended by a fault of ours"
    sys.stderr.write(f"The training {how}; `emf train {file} --resume` goes on.\n")
    return 1


def _standing(folder: Path) -> str:
    """What a run's events say last, and whether somebody still works on it."""
    events = EventTail(folder, max(0, _size(folder / EVENTS_FILE) - TAIL_BYTES)).read()
    if not events:
        return "nothing was told yet"
    last = events[-1]
    steps = next((event for event in reversed(events) if event.steps), last)
    note = _note(steps.model_copy(update={"loss": _last_loss(events), "seconds_left": None}))
    if last.kind is EventKind.FAILED:
        return f"failed at {note}: {last.error}"
    if last.kind in ENDINGS:
        return f"{last.kind.value} at {note}"
    if not _is_held(folder / THEIR_LOCK):
        return f"interrupted at {note}; --resume goes on"
    return f"running, {_note(steps.model_copy(update={'loss': _last_loss(events)}))}"


def _last_loss(events: list[Event]) -> float | None:
    steps = (e.loss for e in reversed(events) if e.kind is EventKind.STEP and e.loss is not None)
    return next(steps, None)


def _is_held(lock: Path) -> bool:
    """Whether a living trainer has it."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _models(settings: Settings) -> Path:
    return settings.data_dir / "models"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _words(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode(errors="replace")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
