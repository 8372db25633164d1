"""How much a step keeps for its way back, counted layer by layer from the configurations.

As diffusers' blocks keep it when attention is computed without its matrix (flash or
memory-efficient kernels).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.bases import Base
from training.config import TrainingConfig

TOKENS = 77


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


def kept_by_a_step(base: Base, config: TrainingConfig, *, half: bool) -> int:
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


def one_picture(base: Base, config: TrainingConfig) -> int:
    """What decoding a validation picture takes: a few maps of the decoder's widest full-size layer.

    An estimate: input, norm, its activation and the result of a convolution live at once.
    """
    widths = base.config("vae")["block_out_channels"]
    widest = int(widths[min(1, len(widths) - 1)])
    return 4 * 4 * widest * config.resolution**2
