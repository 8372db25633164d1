"""How much memory a run will take, said before its first step; counted, not tried.

Weights are counted from the headers of the base's files. What a step keeps for its way back is
counted from the network's configuration, layer by layer, as diffusers' blocks keep it when
attention is computed without its matrix (flash or memory-efficient kernels).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.bases import Base
from training.config import TrainingConfig
from training.errors import TrainingError
from training.headers import Header

ADAPTED = {
    "unet": re.compile(r"\.attn[12]\.to_(q|k|v|out\.0)\.weight$"),
    "text_encoder": re.compile(r"\.self_attn\.(q|k|v|out)_proj\.weight$"),
}
"""What an adapter is put on."""
TOKENS = 77
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


@dataclass(frozen=True)
class _Numbers:
    """How many numbers a step keeps: those of norms, which stay fp32, and all others."""

    norms: int = 0
    others: int = 0

    def __add__(self, other: _Numbers) -> _Numbers:
        return _Numbers(self.norms + other.norms, self.others + other.others)

    def bytes(self, half: bool) -> int:
        return 4 * self.norms + (2 if half else 4) * self.others


@dataclass(frozen=True)
class _Layer:
    """A residual layer and the attention behind it; `places` is height times width."""

    channels_in: int
    channels: int
    places: int
    attends: bool

    @property
    def unit(self) -> int:
        """One value per channel and place of the attention, 0 without one."""
        return self.channels * self.places * self.attends

    def resnet(self) -> _Numbers:
        """Inputs of its two norms, their activations and convolutions; frozen ones keep theirs."""
        both = (self.channels_in + self.channels) * self.places
        return _Numbers(2 * both, both)

    def attention(self, *, full: bool) -> _Numbers:
        """Inputs of its norms and layers, and what multiplies in it.

        Queries, keys, values and results of the two attentions, their inputs, and a gated layer
        of four times the width (both halves and the gate). Frozen linear layers keep nothing.
        """
        return _Numbers(3 * self.unit, (26 if full else 20) * self.unit)

    def around_attention(self, *, keeps: bool) -> _Numbers:
        """Its first norm, and the projections into and out of it if they keep their inputs."""
        return _Numbers(self.unit, 2 * self.unit if keeps else 0)


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
        beginning=4 * all_numbers + _one_picture(base, config),
        weights=(2 if half else 4) * frozen + 4 * trainable + copies,
        gradients=4 * trainable,
        moments=(2 if config.use_8bit_adam else 8) * trainable,
        ema=4 * trainable if config.use_ema else 0,
        activations=_kept_by_a_step(base, config, half=half),
        picture=_one_picture(base, config),
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


def _kept_by_a_step(base: Base, config: TrainingConfig, *, half: bool) -> int:
    per_image = _unet_keeps(base.config("unet"), config, side=config.resolution // _shrinks(base))
    size = per_image.bytes(half)
    if config.gradient_checkpointing:
        size += _computed_again(base, config).bytes(half)
    if config.train_text_encoder:
        size += _text_encoder_keeps(base.config("text_encoder")).bytes(half)
    return size * config.train_batch_size * (2 if config.with_prior_preservation else 1)


def _unet_keeps(unet: dict[str, Any], config: TrainingConfig, *, side: int) -> _Numbers:
    """For one image; diffusers' checkpoints are its residual layers and transformer blocks."""
    full = config.method == "full"
    keeps = full or not unet.get("use_linear_projection", False)
    numbers = _between_levels(unet, side)
    for layer in _layers(unet, side):
        numbers += layer.around_attention(keeps=keeps)
        if config.gradient_checkpointing:
            numbers += _Numbers(0, layer.channels_in * layer.places + layer.unit)
        else:
            numbers += layer.resnet() + layer.attention(full=full)
    return numbers


def _computed_again(base: Base, config: TrainingConfig) -> _Numbers:
    """The largest piece between two checkpoints."""
    full = config.method == "full"
    layers = list(_layers(base.config("unet"), config.resolution // _shrinks(base)))
    pieces = [piece for y in layers for piece in (y.resnet(), y.attention(full=full))]
    return max(pieces, key=lambda piece: piece.bytes(half=True))


def _layers(unet: dict[str, Any], side: int) -> Iterator[_Layer]:
    """Every residual layer of a UNet from its configuration, on its way down, through and up."""
    widths = [int(width) for width in unet["block_out_channels"]]
    each = unet.get("layers_per_block", 2)
    depths = [each] * len(widths) if isinstance(each, int) else list(each)
    sides = [side]
    skips, channels = [widths[0]], widths[0]
    for level, (width, kind) in enumerate(zip(widths, unet["down_block_types"], strict=True)):
        for _ in range(depths[level]):
            yield _Layer(channels, width, sides[-1] ** 2, "CrossAttn" in kind)
            channels = width
            skips.append(width)
        if level < len(widths) - 1:
            sides.append((sides[-1] + 1) // 2)
            skips.append(width)
    yield _Layer(channels, channels, sides[-1] ** 2, True)
    yield _Layer(channels, channels, sides[-1] ** 2, False)
    for level, kind in zip(reversed(range(len(widths))), unet["up_block_types"], strict=True):
        for _ in range(depths[level] + 1):
            attends = "CrossAttn" in kind
            yield _Layer(channels + skips.pop(), widths[level], sides[level] ** 2, attends)
            channels = widths[level]


def _between_levels(unet: dict[str, Any], side: int) -> _Numbers:
    """Inputs of the convolutions that halve and double, and of the last layers."""
    widths = [int(width) for width in unet["block_out_channels"]]
    others = widths[0] * side**2
    for below, width in enumerate(widths[:-1]):
        others += (width + widths[below + 1]) * (side >> below) ** 2
    return _Numbers(2 * widths[0] * side**2, others)


def _shrinks(base: Base) -> int:
    """How many pixels of a picture's side make one of its latents'."""
    return int(2 ** (len(base.config("vae")["block_out_channels"]) - 1))


def _text_encoder_keeps(config: dict[str, Any]) -> _Numbers:
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    layers = TOKENS * int(config["num_hidden_layers"])
    return _Numbers(layers * 2 * hidden, layers * (8 * hidden + 3 * inner))


def _one_picture(base: Base, config: TrainingConfig) -> int:
    """What decoding a validation picture takes: a few maps of the decoder's widest full-size layer.

    An estimate: input, norm, its activation and the result of a convolution live at once.
    """
    widths = base.config("vae")["block_out_channels"]
    widest = int(widths[min(1, len(widths) - 1)])
    return 4 * 4 * widest * config.resolution**2
