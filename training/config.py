"""The settings of a run, as its YAML file gives them. Importing this loads no torch.

The keys are those people know from the DreamBooth scripts; every one works, and one that is
not listed here is an error that names it.
"""

from __future__ import annotations

import hashlib
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import TrainingError

LARGEST_FILE = 64 * 1024
"""Bytes of a settings file; YAML's aliases are refused, so that a small file stays small."""
COMMIT = re.compile(r"[0-9a-f]{40}")
Prompt = Annotated[str, Field(min_length=1, max_length=500)]


class TrainingConfig(BaseModel):
    """One run. Paths are absolute or relative to the file's folder; lengths are pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str
    """A folder in diffusers' layout, or a hub id with `revision`."""
    revision: str | None = None
    """Commit of a hub id: 40 hexadecimal digits, so that the base cannot change."""
    character: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 _-]{0,39}$")] = "character"
    output_dir: Path
    logging_dir: Path | None = None
    """Where the plot of the loss goes; the output folder if it is not given."""

    instance_data_dir: Path
    """Pictures of the character; `picture.txt` beside `picture.png` is its caption."""
    instance_prompt: Prompt
    with_prior_preservation: bool = False
    class_data_dir: Path | None = None
    class_prompt: Prompt | None = None
    num_class_images: Annotated[int, Field(ge=1, le=5000)] = 200
    prior_loss_weight: Annotated[float, Field(ge=0, le=100)] = 1.0

    method: Literal["lora", "full"] = "lora"
    rank: Annotated[int, Field(ge=1, le=256)] = 16
    lora_alpha: Annotated[float, Field(gt=0, le=1024)] | None = None
    """The rank if it is not given, so that the adapter counts in full."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    train_text_encoder: bool = False
    use_ema: bool = False
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999

    resolution: Annotated[int, Field(ge=16, le=2048, multiple_of=8)] = 512
    center_crop: bool = True
    """Else each draw crops anew, at random."""
    train_batch_size: Annotated[int, Field(ge=1, le=64)] = 1
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=256)] = 1
    max_train_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 800
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """1e-4 for an adapter and 5e-6 for a full run if it is not given."""
    lr_scheduler: Literal["constant", "constant_with_warmup", "linear", "cosine", "polynomial"] = (
        "constant"
    )
    lr_warmup_steps: Annotated[int, Field(ge=0)] = 0
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    adam_weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    adam_epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-8
    max_grad_norm: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    snr_gamma: Annotated[float, Field(gt=0, le=100)] | None = None
    """Min-SNR weighting of the loss (Hang et al. 2023); 5 is usual."""
    use_8bit_adam: bool = False
    gradient_checkpointing: bool = False
    mixed_precision: Literal["no", "fp16", "bf16", "auto"] = "auto"
    """`auto` is bf16 or fp16 on a GPU, whichever it computes in, and `no` on a CPU."""
    num_dataloader_workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Threads that read pictures before they are encoded; steps read none."""

    checkpointing_steps: Annotated[int, Field(ge=1)] = 100
    keep_last: Annotated[int, Field(ge=0)] | None = None
    """How many checkpoints stay; 0 is all. Not given: all adapters (38 MB), 2 of a full run."""
    keep_every: Annotated[int, Field(ge=0)] = 0
    """Checkpoints at multiples of it stay in any case; 0 is none."""
    validation_steps: Annotated[int, Field(ge=0)] = 100
    """0 is never."""
    validation_prompts: Annotated[tuple[Prompt, ...], Field(max_length=16)] = ()
    """Not given: four of the instance prompt."""
    validation_inference_steps: Annotated[int, Field(ge=1, le=200)] = 25
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, data: Any) -> Any:
        """`null` means not given, and YAML reads `mixed_precision: no` as false."""
        if not isinstance(data, dict):
            return data
        given = {key: value for key, value in data.items() if value is not None}
        if given.get("mixed_precision") is False:
            given["mixed_precision"] = "no"
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        if self.with_prior_preservation and not self.class_prompt:
            raise ValueError("with_prior_preservation needs a class_prompt")
        if self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError("revision is a commit of 40 hexadecimal digits, not a branch or tag")
        if self.lr_warmup_steps > self.max_train_steps:
            raise ValueError("lr_warmup_steps is more than max_train_steps")
        return self

    @property
    def rate(self) -> float:
        """The learning rate, with the usual one of the method if none was given."""
        return self.learning_rate or (1e-4 if self.method == "lora" else 5e-6)

    @property
    def class_images_dir(self) -> Path:
        return self.class_data_dir or self.output_dir / "class_images"

    @property
    def plots_dir(self) -> Path:
        return self.logging_dir or self.output_dir

    @property
    def checkpoints_kept(self) -> int:
        if self.keep_last is not None:
            return self.keep_last
        return 0 if self.method == "lora" else 2


def load_config(path: Path, *, inside: Path | None = None) -> TrainingConfig:
    """Read a settings file; TrainingError is one sentence that names the key.

    With `inside` every path must lie in that folder, links followed.
    """
    config = parse_config(_read(path), relative_to=path.absolute().parent, name=path.name)
    if inside is not None:
        refuse_outside(config, inside)
    return config


def parse_config(text: str, *, relative_to: Path, name: str = "the settings") -> TrainingConfig:
    data = _yaml(text, name)
    try:
        return _resolved(TrainingConfig.model_validate(data), relative_to)
    except ValidationError as error:
        raise TrainingError(_sentence(error, name)) from error
    except RuntimeError as error:  # of expanduser
        raise TrainingError(f"{name}: a path names the home of somebody who has none.") from error


def config_text(config: TrainingConfig) -> str:
    """As YAML that `parse_config` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False)


def movable(config: TrainingConfig) -> TrainingConfig:
    """With paths relative to its output folder: for a file there, which then moves with them.

    Only those that lie near it: two folders up is DATA_DIR. What is further away stays there.
    """
    folder = config.output_dir.resolve()

    def relative(path: Path | str) -> str:
        place = Path(path).resolve()
        is_near = place.is_relative_to(folder.parent.parent)
        return os.path.relpath(place, folder) if is_near else str(place)

    names = ("output_dir", "logging_dir", "instance_data_dir", "class_data_dir")
    paths = {name: getattr(config, name) for name in names}
    places: dict[str, Any] = {
        name: None if path is None else Path(relative(path)) for name, path in paths.items()
    }
    # Without a commit it can only be a folder.
    if config.revision is None:
        places["base_model"] = relative(config.base_model)
    return config.model_copy(update=places)


def config_hash(config: TrainingConfig) -> str:
    """SHA-256 over all settings but the places of files."""
    places = {"output_dir", "logging_dir", "instance_data_dir", "class_data_dir", "base_model"}
    text = config.model_dump_json(exclude=places)
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_outside(config: TrainingConfig, folder: Path) -> None:
    """TrainingError when a path of the run would leave the folder."""
    root = folder.resolve()
    for key in ("base_model", "output_dir", "logging_dir", "instance_data_dir", "class_data_dir"):
        value = getattr(config, key)
        if value is None or (key == "base_model" and config.revision is not None):
            continue
        if not Path(value).resolve().is_relative_to(root):
            raise TrainingError(f"{key} lies outside {folder}; give a path inside it.")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise TrainingError(f"{path} is larger than {LARGEST_FILE // 1024} KiB; is it YAML?")
        return data.decode("utf-8")
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path} is not UTF-8 text; save it as that.") from error


class _Loader(yaml.SafeLoader):
    """Without aliases, which make a gigabyte of a kilobyte, and without keys given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = sorted(str(self.construct_object(key, deep=True)) for key, _ in node.value)
        for key, following in pairwise(keys):
            if key == following:
                raise yaml.YAMLError(f"{key} is given twice")
        return super().construct_mapping(node, deep)


def _yaml(text: str, name: str) -> dict[str, Any]:
    try:
        data = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"{name} is not valid YAML: {reason}.") from error
    if not isinstance(data, dict):
        raise TrainingError(f"{name} holds no settings; write lines like `max_train_steps: 800`.")
    return data


def _sentence(error: ValidationError, name: str) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name}: there is no setting {key}; see training/recipes for those there are."
    if first["type"] == "missing":
        return f"{name}: {key} is missing."
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{name}: {key + ': ' if key else ''}{message[0].lower() + message[1:]}."


def _resolved(config: TrainingConfig, folder: Path) -> TrainingConfig:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else (folder / path.expanduser())

    places: dict[str, Any] = {
        key: absolute(getattr(config, key))
        for key in ("output_dir", "logging_dir", "instance_data_dir", "class_data_dir")
    }
    # Without a commit it can only be a folder.
    if config.revision is None:
        places["base_model"] = str(folder / Path(config.base_model).expanduser())
    return config.model_copy(update=places)
