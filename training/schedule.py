"""The learning rate as a function of the step alone; the formulas are those of diffusers."""

from __future__ import annotations

import math

from training.config import TrainingConfig

CONSTANT = ("constant", "constant_with_warmup")
"""Schedules that do not look at the end of the run, so that it may be put off later."""
POLYNOMIAL_END = 1e-7


def rate_at(config: TrainingConfig, step: int) -> float:
    """Of the update after `step` of them are done."""
    warmup, end = config.lr_warmup_steps, config.max_train_steps
    if config.lr_scheduler == "constant":  # diffusers warms it up no more than we do
        return config.rate
    if step < warmup:
        return config.rate * (step / warmup)
    if config.lr_scheduler == "constant_with_warmup":
        return config.rate
    done = (step - warmup) / max(1, end - warmup)
    if config.lr_scheduler == "linear":
        return config.rate * max(0.0, 1 - done)
    if config.lr_scheduler == "cosine":
        return config.rate * max(0.0, 0.5 * (1 + math.cos(math.pi * done)))
    last = min(POLYNOMIAL_END, config.rate)
    return last + (config.rate - last) * max(0.0, 1 - done)
