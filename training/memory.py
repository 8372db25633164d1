"""How much memory a run will take, said before its first step; counted, not tried.

Weights are counted from the headers of the base's files, and what a step keeps by
`training.activations`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.activations import kept_by_a_step, one_picture
from training.bases import Base
from training.config import TrainingConfig
from training.errors import TrainingError
from training.headers import Header

ADAPTED = {
    "unet": re.compile(r"\.attn[12]\.to_(q|k|v|out\.0)\.weight$"),
    "text_encoder": re.compile(r"\.self_attn\.(q|k|v|out)_proj\.weight$"),
}
"""What an adapter is put on."""
KERNELS_BYTES = 256 * 1024**2
"""Workspaces of the libraries that multiply, and what the allocator cannot use."""


@dataclass(frozen=True)
class Prediction:
    """Bytes at the peak of a run; `activations` are what a step keeps for its way back."""

    trainable: int
    """Numbers, not bytes."""
    beginning: int
    """Before the first step: all weights in fp32, and a picture that is drawn or encoded."""
    weights: int
    gradients: int
    moments: int
    ema: int
    activations: int
    picture: int
    """While a validation picture is decoded, when nothing of a step is kept."""

    @property
    def static(self) -> int:
        """What stays from step to step."""
        return self.weights + self.gradients + self.moments + self.ema

    @property
    def _working(self) -> int:
        return max(self.activations, self.picture)

    @property
    def total(self) -> int:
        return max(self.beginning, self.static + self._working) + KERNELS_BYTES


def predicted_peak_bytes(base: Base, config: TrainingConfig, *, half: bool = True) -> Prediction:
    """`half`: the device computes in fp16 or bf16 unless the settings forbid it."""
    half = half and config.mixed_precision != "no"
    full = config.method == "full"
    headers = {part: base.header(part) for part in ("unet", "vae", "text_encoder")}
    trained = ["unet", *(["text_encoder"] if config.train_text_encoder else [])]
    trainable = sum(_trainable(part, headers[part], config) for part in trained)
    all_numbers = sum(header.numbers for header in headers.values())
    # Frozen weights are held in the precision they are computed in; a full run keeps its own in
    # fp32 and, in half precision, a copy of them as long as a step lasts.
    frozen = all_numbers - (trainable if full else 0)
    copies = 2 * trainable if full and half else 0
    return Prediction(
        trainable=trainable,
        beginning=4 * all_numbers + one_picture(base, config),
        weights=(2 if half else 4) * frozen + 4 * trainable + copies,
        gradients=4 * trainable,
        moments=(2 if config.use_8bit_adam else 8) * trainable,
        ema=4 * trainable if config.use_ema else 0,
        activations=kept_by_a_step(base, config, half=half),
        picture=one_picture(base, config),
    )


def refuse_too_large(
    base: Base, config: TrainingConfig, *, free_bytes: int, half: bool = True
) -> Prediction:
    """The prediction; TrainingError with the ways that fit when this one does not."""
    predicted = predicted_peak_bytes(base, config, half=half)
    if predicted.total <= free_bytes:
        return predicted
    ways = [
        (words, predicted_peak_bytes(base, other, half=half).total)
        for words, other in _alternatives(config)
    ]
    fitting = [f"{words} ({_gb(peak)})" for words, peak in ways if peak <= free_bytes]
    choice = f"set {'; or '.join(fitting[:3])}" if fitting else "use a machine with more memory"
    if ways and not fitting:
        choice += f", as even {ways[-1][0]} takes {_gb(ways[-1][1])}"
    raise TrainingError(
        f"This run would take {_gb(predicted.total)} of memory and {_gb(free_bytes)} are free; "
        f"{choice}."
    )


def largest_batch(base: Base, config: TrainingConfig, *, free_bytes: int) -> int:
    """The largest train_batch_size that is predicted to fit, 0 if none does."""
    sizes = range(64, 0, -1)
    configs = (config.model_copy(update={"train_batch_size": size}) for size in sizes)
    fits = (
        other.train_batch_size
        for other in configs
        if predicted_peak_bytes(base, other).total <= free_bytes
    )
    return next(fits, 0)


def free_memory(device: str) -> int:
    """Bytes that a new run may take on `cuda` or `cpu`."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    free = _meminfo("MemAvailable")
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        return min(free, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no limit is written as `max`
        return free


def _meminfo(name: str) -> int:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 2**62  # no Linux; the system will say
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 2**62


def _alternatives(config: TrainingConfig) -> Iterator[tuple[str, TrainingConfig]]:
    """Those kinder to the result first: alone, then each on top of those before it."""
    changes = list(_changes(config))
    for words, change in changes:
        yield words, config.model_copy(update=change)
    for count in range(2, len(changes) + 1):
        together = [change for _, change in changes[:count]]
        update = {key: value for change in together for key, value in change.items()}
        words = " and ".join(words for words, _ in changes[:count])
        yield words, config.model_copy(update=update)


def _changes(config: TrainingConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    if config.train_batch_size > 1:
        steps = config.gradient_accumulation_steps * config.train_batch_size
        words = f"train_batch_size: 1 with gradient_accumulation_steps: {steps}"
        yield words, {"train_batch_size": 1, "gradient_accumulation_steps": steps}
    if not config.gradient_checkpointing:
        yield "gradient_checkpointing: true", {"gradient_checkpointing": True}
    if config.method == "full":
        if not config.use_8bit_adam:
            yield "use_8bit_adam: true", {"use_8bit_adam": True}
        yield "method: lora", {"method": "lora"}
    if config.resolution > 384:
        side = 512 if config.resolution > 512 else 384
        yield f"resolution: {side}", {"resolution": side}


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{max(size, 0) / 1e6:.0f} MB"


def _trainable(part: str, header: Header, config: TrainingConfig) -> int:
    if config.method == "full":
        return header.numbers
    return sum(
        config.rank * sum(tensor.shape)
        for name, tensor in header.tensors.items()
        if ADAPTED[part].search(name) and len(tensor.shape) == 2
    )
