"""What a run trains, by the names it has in the files: the living parameters, not copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from training.config import TrainingConfig
from training.families import Family

UNET_FILE = "unet/diffusion_pytorch_model.safetensors"
TEXT_ENCODER_FILE = "text_encoder/model.safetensors"


@dataclass(frozen=True)
class WeightFile:
    path: str
    """In a checkpoint's folder."""
    tensors: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=lambda: {"format": "pt"})
    prefix: str = ""
    """What tells its names from other files' where all of them lie together."""
    config: str | None = None
    """Text of the config.json beside it."""

    @torch.no_grad()
    def set(self, tensors: Mapping[str, Any]) -> None:
        for name, parameter in self.tensors.items():
            parameter.copy_(tensors[name])


@dataclass(frozen=True)
class Weights:
    files: tuple[WeightFile, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """All of them under their names with prefixes, in the order of the files."""
        return {
            file.prefix + name: tensor
            for file in self.files
            for name, tensor in file.tensors.items()
        }

    @contextmanager
    def replaced_by(self, tensors: Mapping[str, Any]) -> Iterator[None]:
        """The modules compute with `tensors` meanwhile; nothing is copied."""
        own = {name: parameter.data for name, parameter in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.data = tensors[name]
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data = own[name]


def set_free(family: Family, config: TrainingConfig) -> Weights:
    """Make trainable what the settings ask for, in training mode."""
    if config.method == "lora":
        from training.adapters import attach

        weights = attach(family, config)
    else:
        weights = _all_of(family, text_encoder=config.train_text_encoder)
    _lighten(family)
    family.denoiser.train()
    family.text_encoder.train(config.train_text_encoder)
    return weights


def _lighten(family: Family) -> None:
    """On a GPU in mixed precision, what stays frozen takes half the memory and is never cast."""
    if family.place.half is None:
        return
    for module in (family.denoiser, family.text_encoder, family.vae):
        for parameter in module.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(family.place.half)


def _all_of(family: Family, *, text_encoder: bool) -> Weights:
    files = [
        WeightFile(
            UNET_FILE,
            dict(family.denoiser.requires_grad_(True).named_parameters()),
            config=family.denoiser.to_json_string(),
            prefix="unet.",
        )
    ]
    if text_encoder:
        module = family.text_encoder.requires_grad_(True)
        # transformers 5 dropped the prefix, and reads files with and without; others need it.
        tensors = {f"text_model.{name}": tensor for name, tensor in module.named_parameters()}
        config = module.config.to_json_string(use_diff=False)
        files.append(WeightFile(TEXT_ENCODER_FILE, tensors, config=config, prefix="text_encoder."))
    return Weights(tuple(files))
