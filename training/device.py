"""Where a run computes and how exactly: an Accelerator for mixed precision and several GPUs.

Of accelerate we take autocast, the scaling of losses, clipping and the talk between processes. Not
its data loaders, which put random numbers and order into global streams, nor its `save_state`,
which pickles: what a run needs to go on exactly is a function of the step or in our checkpoints.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin

from training.config import TrainingConfig
from training.errors import TrainingError
from training.ranks import join

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
SHARDED = ("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_MEGATRON_LM")


@dataclass(frozen=True)
class Place:
    accelerator: Any

    @property
    def device(self) -> Any:
        return self.accelerator.device

    @property
    def precision(self) -> str:
        """`no`, `fp16` or `bf16`."""
        return str(self.accelerator.mixed_precision)

    @property
    def name(self) -> str:
        on_gpu = self.device.type == "cuda"
        name = str(torch.cuda.get_device_name(self.device)) if on_gpu else "CPU"
        count = self.accelerator.num_processes
        return name if count == 1 else f"{count} x {name}"

    def autocast(self) -> Any:
        return self.accelerator.autocast()

    @property
    def half(self) -> Any:
        """What frozen weights are kept in, or None; a CPU has room for fp32."""
        return HALVES.get(self.precision) if self.device.type == "cuda" else None

    def send(self, tensor: Any) -> Any:
        """To the device, without waiting for it."""
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)


def choose_device(config: TrainingConfig) -> Any:
    """TrainingError when the settings ask for a GPU that is not there."""
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise TrainingError("device is cuda, and PyTorch finds no GPU; set device to auto or cpu.")
    device = torch.device("cuda" if has_gpu and config.device != "cpu" else "cpu")
    if device.type == "cuda":
        _make_deterministic()
    return device


def place_on(device: Any, config: TrainingConfig) -> Place:
    """TrainingError when the device cannot compute as the settings say."""
    device = torch.device(device)
    precision: str = config.mixed_precision
    if precision == "auto":
        precision = "no" if device.type == "cpu" else _half_of_the_gpu()
    if precision == "fp16" and device.type == "cpu":
        raise TrainingError("A CPU cannot train in fp16; set mixed_precision to no or bf16.")
    return Place(_accelerator(device, precision))


def _accelerator(device: Any, precision: str) -> Any:
    if sharded := [name for name in SHARDED if os.environ.get(name, "false").lower() == "true"]:
        raise TrainingError(
            f"{sharded[0]} is set, and training does not split a network between GPUs; "
            "use `accelerate launch --multi_gpu`."
        )
    join(device)
    # One state per process, which refuses another precision than the first; a process may train
    # twice, in tests for one, and transformers.TrainingArguments begins anew like this as well.
    AcceleratorState._reset_state(reset_partial_state=True)
    # Parts of a batch are added up by the loop; given so, the environment has no say in it.
    one_part = GradientAccumulationPlugin(num_steps=1)
    return Accelerator(
        mixed_precision=precision,
        cpu=device.type == "cpu",
        gradient_accumulation_plugin=one_part,
    )


def _half_of_the_gpu() -> str:
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _make_deterministic() -> None:
    """Bits must not hang on which block of threads was first; a resume is compared bit for bit."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only for finding bugs
    torch.backends.cudnn.benchmark = False  # may choose another kernel in the next process
    # Rounds fp32 products to 19 bits: what is left in fp32 beside autocast bears that well.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
