"""What decides a run's bits beside its step; a resume with anything else is refused."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from training.bases import Base
from training.config import TrainingConfig
from training.device import Place
from training.errors import TrainingError
from training.manifest import Setting
from training.schedule import CONSTANT

SETTINGS = (
    *("seed", "method", "rank", "lora_dropout", "train_text_encoder", "use_ema", "ema_decay"),
    *("resolution", "center_crop", "train_batch_size", "gradient_accumulation_steps"),
    *("lr_scheduler", "lr_warmup_steps", "adam_beta1", "adam_beta2", "adam_weight_decay"),
    *("adam_epsilon", "max_grad_norm", "snr_gamma", "use_8bit_adam", "gradient_checkpointing"),
    *("instance_prompt", "with_prior_preservation", "prior_loss_weight"),
)
"""Those not here say where things are, how often they are kept or shown, or what to call them."""
WORDS = {
    "data": "the pictures or captions",
    "class_data": "the class images",
    "base": "the base model",
    "torch": "PyTorch",
    "threads": "the number of threads (OMP_NUM_THREADS)",
    "processes": "the number of processes",
}


def identity(config: TrainingConfig, base: Base, place: Place, *, data: str) -> dict[str, Setting]:
    """`data` is the fingerprint of the pictures; `class_data` joins it once those are made."""
    found: dict[str, Setting] = {name: getattr(config, name) for name in SETTINGS}
    found |= {
        "learning_rate": config.rate,
        "lora_alpha": config.lora_alpha or float(config.rank),
        "mixed_precision": place.precision,
        "data": data,
        "base": base.fingerprint,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "device": str(place.device.type),
        "processes": int(place.accelerator.num_processes),
    }
    if config.with_prior_preservation:
        found |= {name: getattr(config, name) for name in ("class_prompt", "num_class_images")}
    if config.lr_scheduler not in CONSTANT:
        found["max_train_steps"] = config.max_train_steps
    return found


def refuse_other(ours: Mapping[str, Setting], theirs: Mapping[str, Setting], name: str) -> None:
    """TrainingError naming the first field in which the run was begun differently."""
    for field in [*ours, *(key for key in theirs if key not in ours)]:
        old, new = theirs.get(field), ours.get(field)
        if old != new:
            raise TrainingError(
                f"{name} was begun with another {_words(field, old, new)}; "
                "go on with what it was begun with, or train anew into another output_dir."
            )


def _words(field: str, old: Setting, new: Setting) -> str:
    if field in ("data", "class_data", "base"):  # hashes tell people nothing
        return f"state of {WORDS[field]}"
    return f"value of {WORDS.get(field, field)} ({old}, now {new})"
