"""Whether what is fast is right: a full run of ours against parts of diffusers, put together anew.

    python -m bench.validity SETTINGS.yaml REPORT.json

The other loop gets the latents, noise and timesteps that ours drew, and shares no code with it.
The gradient of one batch in the precision that is measured is compared with that in fp32. Figures
that end in `_apart` are relative differences.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline

from bench.plain_loop import denoising_loss, embed
from bench.workshop import Figures
from training.bases import find_base, go_offline
from training.config import TrainingConfig, load_config
from training.device import HALVES, Place, choose_device, place_on
from training.dreambooth import fit, never
from training.preparation import Run, prepare
from training.progress import EventLog

STEPS = 20
ALIKE = {"no": 1e-4, "bf16": 2e-2, "fp16": 2e-2}
"""How far losses may be apart: rounding in fp32, or in half precision, where ours keeps frozen
embeddings in half and the other loop does not."""
GRADIENTS_ALIKE = 1e-2


SCALE = 1024.0
"""Of losses, so that no part of a gradient vanishes in fp16; a power of two rounds nothing."""
NEVER = 10**6
GRADIENT_BATCH = 8
"""Of each kind: rounding averages out over pictures, and is half as much again for one."""

Batch = tuple[Any, Any, Any]
"""Latents, noise and timesteps."""
Gradient = dict[str, Any]
"""On the CPU."""


class _Enough(Exception):
    """Ends a run without a checkpoint."""


@dataclass
class Witness:
    """Keeps what a run computes its losses from, and the losses."""

    run: Run
    batches: list[Batch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        family, add_noise = self.run.family, self.run.family.add_noise

        def seen(latents: Any, noise: Any, timesteps: Any) -> Any:
            self.batches.append((latents, noise, timesteps))
            return add_noise(latents, noise, timesteps)

        family.add_noise = seen

    def watch(self, steps: int) -> None:
        objective, loss = self.run.objective, self.run.objective.loss

        def seen(step: int, part: int) -> Any:
            if len(self.losses) == steps:
                raise _Enough
            found = loss(step, part)
            self.losses.append(found.item())
            return found

        objective.loss = seen
        with suppress(_Enough):
            fit(self.run, stop=never, events=EventLog(self.run.config.output_dir))


class Plain:
    """The same from diffusers' parts."""

    def __init__(self, config: TrainingConfig, place: Place) -> None:
        base = find_base(config.base_model, config.revision).path
        pipeline = StableDiffusionPipeline.from_pretrained(
            base, safety_checker=None, use_safetensors=True, local_files_only=True
        ).to(place.device)
        self._place = place
        self._schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
        self._scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision == "fp16")
        self.unet = pipeline.unet.train()
        size = config.train_batch_size
        with torch.no_grad():
            prompts = [config.instance_prompt] * size + [config.class_prompt or ""] * size
            self._embeddings = embed(pipeline, prompts)

    def losses(self, batches: list[Batch], *, rate: float, decay: float) -> list[float]:
        optimizer = torch.optim.AdamW(self.unet.parameters(), lr=rate, weight_decay=decay)
        losses = []
        for batch in batches:
            loss = self._loss(batch)
            losses.append(float(loss.detach()))
            self._scaler.scale(loss).backward()
            self._scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
            self._scaler.step(optimizer)
            self._scaler.update()
            optimizer.zero_grad()
        return losses

    def gradient(self, batch: Batch) -> Gradient:
        (self._loss(batch) * SCALE).backward()
        return _unscaled({f"unet.{name}": p for name, p in self.unet.named_parameters()})

    def _loss(self, batch: Batch) -> Any:
        half = HALVES.get(self._place.precision)
        with torch.autocast(self._place.device.type, dtype=half, enabled=half is not None):
            return denoising_loss(self.unet, self._schedule, *batch, self._embeddings)


def check(config: TrainingConfig) -> Figures:
    alone = {"checkpointing_steps": NEVER, "validation_steps": 0, "use_ema": False}
    config = config.model_copy(update={"method": "full", "max_train_steps": NEVER, **alone})
    config.output_dir.mkdir(parents=True, exist_ok=True)
    device = choose_device(config)
    return loss_curves(config, place_on(device, config)) | gradients(config, device)


def loss_curves(config: TrainingConfig, place: Place, *, rate: float | None = None) -> Figures:
    """`rate` is the other loop's learning rate if it is not ours."""
    witness = Witness(_prepared(config))
    parameters = witness.run.state.weights.parameters
    before = {name: p.detach().to("cpu", copy=True) for name, p in parameters.items()}
    witness.watch(STEPS)
    changed = sum(not torch.equal(before[name], p.cpu()) for name, p in parameters.items())
    ours, batches = witness.losses, witness.batches
    del witness, parameters
    _free()
    plain = Plain(config, place)
    theirs = plain.losses(batches, rate=rate or config.rate, decay=config.adam_weight_decay)
    apart = max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))
    return {
        "parameters_changed": changed / len(before),
        "loss_curves_apart": apart,
        "loss_curves_alike": float(apart <= ALIKE[place.precision]),
    }


def gradients(config: TrainingConfig, device: Any) -> Figures:
    """Of the first batch in half precision, against fp32; and how far the plain loop's is off."""
    # On a CPU `auto` is fp32, which would be compared with itself.
    precision = place_on(device, config).precision if device.type == "cuda" else "bf16"
    # Recomputing changes no bit, and makes room for so many pictures on a small card.
    large = {"train_batch_size": GRADIENT_BATCH, "gradient_checkpointing": True}
    config = config.model_copy(update=large)
    half = config.model_copy(update={"mixed_precision": precision})
    ours, batch = _gradient(half)
    plain = Plain(half, place_on(device, half)).gradient(batch)
    _free()
    exact, _ = _gradient(config.model_copy(update={"mixed_precision": "no"}))
    apart = _apart(ours, exact)
    return {
        "gradient_apart": apart,
        "gradient_alike": float(apart <= GRADIENTS_ALIKE),
        "gradient_apart_over_plain_loop": apart / _apart(plain, exact),
    }


def _gradient(config: TrainingConfig) -> tuple[Gradient, Batch]:
    """With the batch it is of."""
    witness = Witness(_prepared(config))
    run = witness.run
    if config.mixed_precision == "no":  # all of fp32, which a GPU rounds off otherwise
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    run.randomness.pin("step", 0)
    (run.objective.loss(0, 0) * SCALE).backward()
    found = _unscaled(run.state.weights.parameters)
    batches = witness.batches
    del witness, run
    _free()
    return found, batches[0]


def _unscaled(parameters: Mapping[str, Any]) -> Gradient:
    return {name: parameter.grad.cpu() / SCALE for name, parameter in parameters.items()}


def _apart(some: Gradient, exact: Gradient) -> float:
    wrong = sum(float((some[name] - exact[name]).double().square().sum()) for name in exact)
    whole = sum(float(gradient.double().square().sum()) for gradient in exact.values())
    return float((wrong / whole) ** 0.5)


def _prepared(config: TrainingConfig) -> Run:
    run = prepare(config, stop=never, events=EventLog(config.output_dir))
    if run is None:
        raise SystemExit("Nobody asked it to stop.")
    return run


def _free() -> None:
    gc.collect()  # modules refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    go_offline()
    Path(sys.argv[2]).write_text(json.dumps(check(load_config(Path(sys.argv[1])))))
