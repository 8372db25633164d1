"""What a trained model says about itself in `model_info.json`: where from, how, and which files.

Nothing here loads torch; the bot reads it too. It holds no path of the machine and no secret.
"""

from __future__ import annotations

from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.config import TrainingConfig, load_config
from training.errors import TrainingError
from training.files import sha256_of
from training.layout import CONFIGS, WEIGHTS

INFO_FILE = "model_info.json"
CONFIG_FILE = "config.yaml"
LORA_FILE = "pytorch_lora_weights.safetensors"
PIPELINE_FILES = {
    "model_index.json",
    *(f"{part}/{name}" for files in (CONFIGS, WEIGHTS) for part, name in files.items()),
}
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "numpy")
LARGEST_INFO = 1024 * 1024

Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Losses(_Part):
    """Of training: the first and the last that were told, the mean over all steps."""

    first: float | None = None
    last: float | None = None
    mean: float | None = None


class FileFacts(_Part):
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256


class ModelInfo(_Part):
    format: Literal[1] = 1
    character: str
    base_model: str
    base_revision: str | None
    base_fingerprint: Sha256
    prediction_type: str
    method: Literal["lora", "full"]
    training_steps: int
    weights: Literal["trained", "ema"]
    """`ema` is the exponential moving average of those that were trained."""
    instance_prompt: str
    resolution: int
    seed: int
    timestamp: datetime
    config_hash: Sha256
    data_hash: str
    """Over the pictures and captions it learned from."""
    class_data_hash: str | None
    loss: Losses
    seconds: float
    """From start to end of every stretch, validation included, pauses not."""
    device: str
    libraries: dict[str, str]
    validation_folders: tuple[str, ...]
    files: dict[Name, FileFacts]

    @model_validator(mode="after")
    def _names_what_is_loaded(self) -> ModelInfo:
        needed = {LORA_FILE} if self.method == "lora" else PIPELINE_FILES
        if not needed <= self.files.keys():
            raise ValueError("files leave weights out")
        return self


def read_model(folder: Path) -> ModelInfo:
    """TrainingError when there is no model, or a file of it is missing or not what it was."""
    info = _read_info(folder)
    for name, facts in info.files.items():
        path = folder / name
        if not path.is_file():
            raise TrainingError(f"{path} is missing; promote the checkpoint again.")
        if path.stat().st_size != facts.size or sha256_of(path) != facts.sha256:
            raise TrainingError(f"{path} is damaged; promote the checkpoint again.")
    return info


def settings_of(model_folder: Path) -> TrainingConfig:
    """Of the run that made it: they lie beside its checkpoints, one folder up if promoted."""
    for folder in (model_folder, model_folder.absolute().parent):
        if (folder / CONFIG_FILE).is_file():
            return load_config(folder / CONFIG_FILE)
    raise TrainingError(f"{model_folder} has no {CONFIG_FILE}; use it inside of its run's folder.")


def file_facts(folder: Path) -> dict[str, FileFacts]:
    """Of all files in it, by their place."""
    return {
        path.relative_to(folder).as_posix(): FileFacts(
            size=path.stat().st_size, sha256=sha256_of(path)
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def library_versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _read_info(folder: Path) -> ModelInfo:
    path = folder / INFO_FILE
    try:
        with path.open("rb") as file:
            return ModelInfo.model_validate_json(file.read(LARGEST_INFO))
    except FileNotFoundError as error:
        raise TrainingError(
            f"{folder} holds no trained model; give a promoted-N folder or a finished run's."
        ) from error
    except (OSError, ValidationError) as error:
        raise TrainingError(f"{path} is damaged; promote the checkpoint again.") from error
