"""Saving and going on: safetensors and a manifest, whole or not there at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from training.config import TrainingConfig
from training.ema import Ema
from training.errors import TrainingError
from training.files import sync, whole_folder
from training.headers import read_header
from training.identity import refuse_other
from training.manifest import (
    EMA_FILE,
    OPTIMIZER_FILE,
    DamagedCheckpoint,
    Manifest,
    Setting,
    checkpoint_folders,
    checkpoints,
    describe,
    folder_name,
    read_manifest,
    verify,
)
from training.optimizer import Optimizer
from training.weights import Weights

Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class State:
    """All that changes from step to step; randomness, data order and rate are functions of it."""

    step: int
    weights: Weights
    optimizer: Optimizer
    ema: Ema | None
    scaler: Any
    """Of losses, lest small gradients vanish in fp16; elsewhere None."""


def save(state: State, run_folder: Path, identity: Mapping[str, Setting]) -> Path:
    """The checkpoint's folder; TrainingError leaves the older ones as they were."""
    folder = run_folder / folder_name(state.step)
    scaler = {} if state.scaler is None else dict(state.scaler.state_dict())
    manifest = Manifest(step=state.step, identity=dict(identity), scaler=scaler, files={})
    try:
        with whole_folder(folder) as aside:
            _write_tensors(state, aside)
            describe(aside, manifest)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrainingError(
            f"{folder.name} cannot be written ({reason}); the older ones are kept: "
            "make room and resume."
        ) from error
    return folder


def restore(
    state: State,
    run_folder: Path,
    identity: Mapping[str, Setting],
    *,
    warn: Callable[[str], None],
    clean: bool = True,
) -> Path | None:
    """Set `state` to the newest checkpoint that is whole; a damaged one is named and skipped.

    None when there is none. TrainingError when the run was begun differently.
    """
    if clean:
        _delete_leftovers(run_folder)
    for folder in _newest_first(run_folder, warn):
        try:
            manifest = read_manifest(folder)
            verify(folder, manifest)
            refuse_other(identity, manifest.identity, folder.name)
            _check(folder, state)
            _load(folder, manifest, state)
        except (DamagedCheckpoint, SafetensorError, OSError) as error:
            warn(f"{str(error).rstrip('.')}; it is skipped.")
            continue
        return folder
    return None


def refuse_other_run(run_folder: Path, identity: Mapping[str, Setting]) -> None:
    """TrainingError when the newest checkpoint was begun differently, as far as is known yet."""
    newest = next(iter(checkpoints(run_folder).values()), None)
    if newest is not None:
        theirs = read_manifest(newest).identity
        known = {name: value for name, value in theirs.items() if name != "class_data"}
        refuse_other(identity, known, newest.name)


def prune(run_folder: Path, config: TrainingConfig, *, step: int) -> None:
    """Delete all but the newest `keep_last` up to `step` and the multiples of `keep_every`."""
    if config.checkpoints_kept == 0:
        return
    # Those after it are damaged, else the run would have gone on from there.
    found = [item for item in checkpoints(run_folder).items() if item[0] <= step]
    for step, folder in found[config.checkpoints_kept :]:
        if config.keep_every and step % config.keep_every == 0:
            continue
        # Under another name first: half a checkpoint would look like a damaged one.
        aside = run_folder / f".{folder.name}.{os.getpid()}.part"
        folder.rename(aside)
        sync(run_folder)
        shutil.rmtree(aside)


def _write_tensors(state: State, folder: Path) -> None:
    for file in state.weights.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, file.tensors, file.metadata)
        if file.config is not None:
            path.with_name("config.json").write_text(file.config, encoding="utf-8")
    _write(folder / OPTIMIZER_FILE, state.optimizer.tensors(), {"format": "pt"})
    if state.ema is not None:
        _write(folder / EMA_FILE, state.ema.tensors, {"format": "pt"})


def _write(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str]) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    for name, tensor in plain.items():
        if not _is_finite(tensor):
            raise TrainingError(
                f"{name} is not a number any more, so nothing was saved; train anew into another "
                "output_dir with a lower learning_rate, or promote the last checkpoint."
            )
    save_file(plain, path, metadata)


def _newest_first(run_folder: Path, warn: Callable[[str], None]) -> list[Path]:
    """Those whose manifest fits their name, and first a word about those that have none."""
    known = checkpoints(run_folder)
    for folder in sorted(set(checkpoint_folders(run_folder)) - set(known.values())):
        if folder.name.removeprefix("checkpoint-").isdecimal():
            warn(f"{folder.name} has no manifest of its own and is not used.")
    return list(known.values())


def _check(folder: Path, state: State) -> None:
    """Names, shapes and types as the headers say them, before anything is loaded."""
    for path, shapes in _expected(state).items():
        try:
            tensors = read_header(folder / path).tensors
        except TrainingError as error:
            raise DamagedCheckpoint(f"{folder.name}: {path} is missing or torn.") from error
        if shapes is None or (path == OPTIMIZER_FILE and not tensors):
            continue  # the optimizer has no state while fp16 has left every step out
        if {name: tensor.shape for name, tensor in tensors.items()} != dict(shapes):
            raise DamagedCheckpoint(f"{folder.name}: {path} holds other tensors than this run's.")
        if any(tensor.dtype != "F32" for tensor in tensors.values()):
            raise DamagedCheckpoint(f"{folder.name}: {path} holds other types than fp32.")


def _expected(state: State) -> dict[str, Shapes | None]:
    files: dict[str, Shapes | None] = {
        file.path: {name: tuple(tensor.shape) for name, tensor in file.tensors.items()}
        for file in state.weights.files
    }
    files[OPTIMIZER_FILE] = state.optimizer.expected()
    if state.ema is not None:
        files[EMA_FILE] = {name: tuple(item.shape) for name, item in state.ema.tensors.items()}
    return files


def _load(folder: Path, manifest: Manifest, state: State) -> None:
    """All of it is read before any of it is set."""
    read = {path: load_file(folder / path) for path in _expected(state)}
    for path, tensors in read.items():
        if not all(_is_finite(tensor) for tensor in tensors.values()):
            raise DamagedCheckpoint(f"{folder.name}: {path} holds what is not a number.")
    for file in state.weights.files:
        file.set(read[file.path])
    state.optimizer.set(read[OPTIMIZER_FILE])
    if state.ema is not None:
        state.ema.set(read[EMA_FILE])
    if state.scaler is not None:
        state.scaler.load_state_dict(manifest.scaler)
    state.step = manifest.step


def _is_finite(tensor: Any) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _delete_leftovers(run_folder: Path) -> None:
    """Of a process that was killed while it saved or deleted."""
    for left in run_folder.glob(".checkpoint-*.part"):
        shutil.rmtree(left)
