"""What a checkpoint says of itself: `manifest.json`. Loads no torch.

It names every file with size and hash, and nothing that it does not name is believed; it is
written last, and the folder gets its name only when all of it is on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import TrainingError
from training.files import sha256_of
from training.model_info import FileFacts, Name, file_facts

MANIFEST_FILE = "manifest.json"
OPTIMIZER_FILE = "optimizer.safetensors"
EMA_FILE = "ema.safetensors"
LARGEST_MANIFEST = 1024 * 1024

Setting = str | int | float | bool | None


class DamagedCheckpoint(TrainingError):
    """The text names the folder and what is wrong with it."""


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    step: Annotated[int, Field(ge=1)]
    identity: dict[str, Setting]
    """What has to be the same for the rest of the run to be what it would have been."""
    scaler: dict[str, float | int] = {}
    """State of fp16's loss scaler."""
    files: dict[Name, FileFacts]


def describe(folder: Path, manifest: Manifest) -> None:
    """Write the manifest over the files that lie in the folder."""
    whole = manifest.model_copy(update={"files": file_facts(folder)})
    (folder / MANIFEST_FILE).write_text(whole.model_dump_json(indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    try:
        with (folder / MANIFEST_FILE).open("rb") as file:
            return Manifest.model_validate_json(file.read(LARGEST_MANIFEST))
    except (OSError, ValidationError) as error:
        raise DamagedCheckpoint(f"{folder.name} has no readable {MANIFEST_FILE}.") from error


def verify(folder: Path, manifest: Manifest) -> None:
    """DamagedCheckpoint when a file is missing or not what it was."""
    for name, facts in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size != facts.size:
            raise DamagedCheckpoint(f"{folder.name}: {name} is missing or cut short.")
        if sha256_of(path) != facts.sha256:
            raise DamagedCheckpoint(f"{folder.name}: {name} is not what was written.")


def checkpoint_folders(run_folder: Path) -> Iterator[Path]:
    """Whatever is called like a checkpoint; only its manifest says whether it is one."""
    if run_folder.is_dir():
        yield from (path for path in run_folder.glob("checkpoint-*") if path.is_dir())


def checkpoints(run_folder: Path) -> dict[int, Path]:
    """By step, the newest first; a copy or a renamed one does not count."""
    found = {}
    for folder in checkpoint_folders(run_folder):
        try:
            step = read_manifest(folder).step
        except DamagedCheckpoint:
            continue
        if folder.name == folder_name(step):
            found[step] = folder
    return dict(sorted(found.items(), reverse=True))


def folder_name(step: int) -> str:
    return f"checkpoint-{step}"
