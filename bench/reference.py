"""How the scripts of diffusers are called, and which flags make contenders of them.

All of them compute in the precision of ours, so that no ratio is one of precisions. The scripts
are at the user's place; they want the diffusers they came with, and torchvision, which ours must
not have on a CPU: REFERENCE_PYTHON may name a Python that has both.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.workshop import CLASS_PROMPT, PROMPT, Workshop

NEVER = 10**6
BEST = ("--pre_compute_text_embeddings", "--allow_tf32", "--dataloader_num_workers=4")
CONTENDERS = {
    "reference": (),
    "reference_checkpointing": ("--gradient_checkpointing",),
    "reference_best_flags": (*BEST, "--set_grads_to_none"),
    "reference_lora": ("--learning_rate=1e-4", "--rank=16"),
    "reference_lora_best_flags": ("--learning_rate=1e-4", "--rank=16", *BEST),
}
SCRIPTS = {"full": "REFERENCE_DREAMBOOTH", "lora": "REFERENCE_DREAMBOOTH_LORA"}


def script(method: str) -> str | None:
    """Where it is; None, and a line on stderr, when no script is named."""
    named = os.environ.get(SCRIPTS[method])
    if not named:
        sys.stderr.write(f"{SCRIPTS[method]} names no script; it is not compared with.\n")
        return None
    if not Path(named).is_file():
        raise SystemExit(f"{SCRIPTS[method]} is {named}, and there is no such file.")
    return named


def python() -> str:
    return os.environ.get("REFERENCE_PYTHON") or sys.executable


def method_of(name: str) -> str:
    return "lora" if "lora" in name else "full"


def arguments(name: str, shop: Workshop, *, half: bool) -> list[str]:
    """Of the command in its documentation (prior preservation), then those of the contender."""
    given = {
        "pretrained_model_name_or_path": shop.base,
        "instance_data_dir": shop.own,
        "class_data_dir": shop.others,
        "output_dir": shop.new_folder(),
        "prior_loss_weight": 1.0,
        "instance_prompt": PROMPT,
        "class_prompt": CLASS_PROMPT,
        "resolution": shop.scale.resolution,
        "train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "learning_rate": 5e-6,
        "lr_scheduler": "constant",
        "lr_warmup_steps": 0,
        "num_class_images": shop.scale.class_pictures,
        "max_train_steps": shop.scale.warm_up + shop.scale.timed,
        "checkpointing_steps": NEVER,
        "mixed_precision": "bf16" if half else "no",
    }
    words = [f"--{key}={value}" for key, value in given.items()]
    return ["--with_prior_preservation", *words, *CONTENDERS[name]]


def job_arguments(name: str, shop: Workshop, *, half: bool) -> list[str]:
    """Of a whole job: as often saved and validated as ours, with as many pictures.

    Only the full script can: the other one validates at ends of epochs.
    """
    every = shop.scale.every
    return [
        *arguments(name, shop, half=half),
        f"--max_train_steps={shop.scale.job_steps}",
        f"--checkpointing_steps={every}",
        "--checkpoints_total_limit=2",
        f"--validation_prompt={PROMPT}",
        f"--validation_steps={every}",
        "--num_validation_images=4",
    ]
