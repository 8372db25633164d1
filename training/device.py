"""Where a run computes and how exactly.

Mixed precision is torch's own autocast and scaler rather than accelerate's: accelerate wraps the
models and the optimizer, saves state as pickles, and reads losses back; one process per character
is all we need, and its state stays ours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from training.config import TrainingConfig
from training.errors import TrainingError

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Place:
    device: Any
    precision: str
    """`no`, `fp16` or `bf16`."""

    @property
    def name(self) -> str:
        on_gpu = self.device.type == "cuda"
        return str(torch.cuda.get_device_name(self.device)) if on_gpu else "CPU"

    def autocast(self) -> Any:
        half = HALVES.get(self.precision)
        return torch.autocast(self.device.type, dtype=half, enabled=half is not None)

    @property
    def half(self) -> Any:
        """What frozen weights are kept in, or None; a CPU has room for fp32."""
        return HALVES.get(self.precision) if self.device.type == "cuda" else None

    def scaler(self) -> Any:
        """Of losses, lest small gradients vanish in fp16; elsewhere it does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

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
    return Place(device, precision)


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
