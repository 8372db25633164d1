"""LoRA (Hu et al. 2021) on the attention projections, by peft, named as diffusers names it."""

from __future__ import annotations

import json
from typing import Any

from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig

from training.config import TrainingConfig
from training.families import Family
from training.model_info import LORA_FILE
from training.randomness import Randomness
from training.weights import WeightFile, Weights

DENOISER = ("to_k", "to_q", "to_v", "to_out.0")
TEXT_ENCODER = ("q_proj", "k_proj", "v_proj", "out_proj")
METADATA = "lora_adapter_metadata"
"""Where diffusers looks for the rank and alpha of an adapter; without it, alpha is the rank."""


def attach(family: Family, config: TrainingConfig) -> Weights:
    """Put new adapters into the modules; they begin as zero change, the same for the same seed."""
    randomness = Randomness(config.seed)
    parts = [("unet", family.denoiser, "", DENOISER)]
    if config.train_text_encoder:
        # transformers 5 dropped `text_model.` from the names; everybody else expects it.
        parts.append(("text_encoder", family.text_encoder, "text_model.", TEXT_ENCODER))
    tensors: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, module, prefix, layers in parts:
        settings = _settings(config, layers)
        randomness.pin(f"adapter of {name}")
        module.add_adapter(settings)
        tensors |= {f"{name}.{prefix}{key}": value for key, value in _parameters(module).items()}
        metadata |= {f"{name}.{key}": value for key, value in _facts(settings).items()}
    # One entry only: safetensors writes several in any order, and equal runs make equal files.
    about = {METADATA: json.dumps(metadata, sort_keys=True)}
    return Weights((WeightFile(LORA_FILE, tensors, about),))


def _settings(config: TrainingConfig, layers: tuple[str, ...]) -> Any:
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.lora_alpha or config.rank,
        lora_dropout=config.lora_dropout,
        init_lora_weights="gaussian",
        target_modules=list(layers),
    )


def _facts(settings: Any) -> dict[str, Any]:
    """What it takes to make the same adapter again; whoever draws needs no dropout."""
    return {
        "r": settings.r,
        "lora_alpha": settings.lora_alpha,
        "target_modules": sorted(settings.target_modules),
    }


def _parameters(module: Any) -> dict[str, Any]:
    """The adapter's, under diffusers' names; they are set free and hold fp32."""
    found = {}
    for name, parameter in module.named_parameters():
        if ".lora_" not in name:
            continue
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
        found[name.replace(".default.", ".")] = parameter
    renamed: dict[str, Any] = convert_state_dict_to_diffusers(found)
    return renamed
