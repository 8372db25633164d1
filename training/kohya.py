"""The adapter in the layout of kohya-ss/sd-scripts, which most other tools read.

Its UNet's modules go by diffusers' names with underscores; each has a down, an up and an alpha.
"""

from __future__ import annotations

from pathlib import Path

from training.bases import Base
from training.config import TrainingConfig
from training.errors import TrainingError
from training.headers import read_header
from training.tensor_files import rewrite

PREFIXES = {"unet.": "lora_unet_", "text_encoder.": "lora_te_text_model_"}
HALVES = {
    ".lora.down.weight": ".lora_down.weight",
    ".lora.up.weight": ".lora_up.weight",
    ".lora_linear_layer.down.weight": ".lora_down.weight",
    ".lora_linear_layer.up.weight": ".lora_up.weight",
}
DOWN = ".lora_down.weight"
WIDTH_OF_2 = 1024
"""Of the text embeddings of Stable Diffusion 2.x; 1.x has 768."""


def kohya_name(character: str) -> str:
    return f"{character.replace(' ', '_')}_kohya.safetensors"


def write_kohya(lora: Path, target: Path, config: TrainingConfig, base: Base, step: int) -> None:
    """`lora` is in diffusers' layout; equal input gives an equal file."""
    downs = [name for key in read_header(lora).tensors if (name := kohya_key(key)).endswith(DOWN)]
    alpha = config.lora_alpha or float(config.rank)
    rewrite(
        lora,
        target,
        rename=kohya_key,
        scalars={f"{name.removesuffix(DOWN)}.alpha": alpha for name in downs},
        metadata=_metadata(config, base, step) | {"ss_network_alpha": str(alpha)},
    )


def kohya_key(key: str) -> str:
    """`unet.mid_block.x.to_q.lora.down.weight` as `lora_unet_mid_block_x_to_q.lora_down.weight`."""
    for prefix, kohya_prefix in PREFIXES.items():
        for half, kohya_half in HALVES.items():
            if key.startswith(prefix) and key.endswith(half):
                module = key.removeprefix(prefix).removesuffix(half)
                # transformers 5 has dropped this level, and kohya's names have it.
                module = module.removeprefix("text_model.")
                return kohya_prefix + module.replace(".", "_") + kohya_half
    raise TrainingError(f"{key} is no part of an adapter; promote another checkpoint.")


def _metadata(config: TrainingConfig, base: Base, step: int) -> dict[str, str]:
    """The `ss_` texts that tools show; kohya-ss/sd-scripts, library/train_util.py names them."""
    second = base.config("unet").get("cross_attention_dim") == WIDTH_OF_2
    by_v = base.prediction_type == "v_prediction"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(config.rank),
        "ss_base_model_version": f"sd_v{2 if second else 1}{'_v' if second and by_v else ''}",
        "ss_v2": str(second),
        "ss_v_parameterization": str(by_v),
        "ss_sd_model_name": base.name,
        "ss_output_name": config.character,
        "ss_steps": str(step),
        "ss_max_train_steps": str(config.max_train_steps),
        "ss_learning_rate": str(config.rate),
        "ss_lr_scheduler": config.lr_scheduler,
        "ss_resolution": f"({config.resolution}, {config.resolution})",
        "ss_seed": str(config.seed),
        "ss_training_comment": config.instance_prompt,
    }
