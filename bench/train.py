"""Training: our speed, memory and exactness, against a plain loop and, where they are at hand, the
scripts of diffusers.

On a CPU a tiny network is trained, so that this never rots; its ratios say little about a GPU. On
a GPU it is a full-size network with random weights. Contenders run in the order A B B A, each in a
process of its own, for as long as there is time; what is left out is said. Variables:

REFERENCE_DREAMBOOTH, REFERENCE_DREAMBOOTH_LORA  diffusers' train_dreambooth(_lora).py
REFERENCE_PYTHON   the Python they need, if it is not this one
BENCH_BASE         sd15 (default) or sd21 (v-prediction; its figures are named sd21_...)
BENCH_MINUTES      for everything; 9.5 if not given
BENCH_PARTS        some of steps,checks,jobs,caps,rest, in that order of weight; figures of
                   the other parts are kept
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import yaml

from bench import reference
from bench.workshop import Clock, Figures, Scale, Workshop
from training.manifest import folder_name, read_manifest
from training.progress import Event, EventKind, EventTail

CPU = Scale("tiny", "epsilon", 32, 5, 8, 10, 40, 32)
GPU = Scale("sd15", "epsilon", 512, 23, 200, 30, 200, 800)
PREDICTION = {"sd15": "epsilon", "sd21": "v_prediction"}
CAPS_GIB = (7.5, 11.0)
OURS = {
    "full": {"method": "full"},
    "lora": {"method": "lora"},
    "low_memory_full": {"method": "full", "gradient_checkpointing": True},
}
FIRST = ("full", "reference", "reference_best_flags", "lora", "reference_lora")
REST = (
    *("low_memory_full", "plain", "reference_checkpointing", "reference_lora_best_flags"),
    *("reference_lora_best_flags", "reference_checkpointing", "plain", "low_memory_full"),
)
RATIOS = {
    "plain": ("full", "plain_loop"),
    "reference": ("full", "reference"),
    "reference_checkpointing": ("full", "reference_checkpointing"),
    "reference_best_flags": ("full", "reference_best_flags"),
    "reference_lora": ("lora", "reference"),
    "reference_lora_best_flags": ("lora", "reference_best_flags"),
}
"""Which of ours a contender is compared with, and what the ratio is over."""


class Bench:
    """Figures of one base on one device, part by part."""

    def __init__(self, shop: Workshop, *, on_gpu: bool) -> None:
        self._shop, self._on_gpu = shop, on_gpu
        self._scripts = {method: reference.script(method) for method in reference.SCRIPTS}
        self._measured: dict[str, list[Figures]] = {}

    def run(self, parts: Sequence[str]) -> Figures:
        found: Figures = {}
        methods: dict[str, Callable[[], Figures]] = {
            "checks": self._checks,
            "jobs": self._jobs,
            "caps": self._caps,
        }
        first = self._first()
        # Ratios need ours, which other parts do not measure.
        ours_again = () if "steps" in parts else ("full", "lora")
        orders = {"steps": (*first, *reversed(first)), "rest": (*ours_again, *REST)}
        for part in parts:
            for name in orders.get(part, ()):
                self._measure(name)
            found |= methods[part]() if part in methods else {}
        return found | comparison(self._measured)

    def _first(self) -> tuple[str, ...]:
        """Without a script the plain loop is what there is to compare with."""
        return FIRST if self._scripts["full"] else ("full", "plain", "lora")

    def _measure(self, name: str, *, cap_gib: float = 0) -> bool | None:
        """Whether it had memory enough; None when it did not run for another reason."""
        shop, command = self._shop, self._command(name)
        if command is None:
            return None
        target, words, python = command
        figures, done = shop.measure(
            f"{name} in {cap_gib:g} GiB" if cap_gib else name,
            target,
            words,
            cap_gib=cap_gib,
            timed=2 if cap_gib else None,
            python=python,
        )
        shop.clear()
        if figures is None:
            return False if done.lacked_memory else None
        if not cap_gib:
            self._measured.setdefault(name, []).append(figures)
        return True

    def _command(self, name: str) -> tuple[str, list[str], str] | None:
        """Module or script, its arguments, and the Python; None when there is no such script."""
        shop = self._shop
        if name in OURS:
            never = {"max_train_steps": reference.NEVER, "checkpointing_steps": reference.NEVER}
            return (
                "training.dreambooth",
                [str(shop.settings(**never, **ours(name)))],
                sys.executable,
            )
        if name == "plain":
            steps = shop.scale.warm_up + shop.scale.timed
            words = [shop.base, shop.own, shop.others, shop.scale.resolution, steps]
            return "bench.plain_loop", [str(word) for word in words], sys.executable
        script = self._scripts[reference.method_of(name)]
        if script is None:
            return None
        return script, reference.arguments(name, shop, half=self._on_gpu), reference.python()

    def _checks(self) -> Figures:
        settings = self._shop.settings(learning_rate=1e-4, train_batch_size=2)
        report = settings.with_suffix(".json")
        self._shop.python("checks", "-m", "bench.validity", str(settings), str(report))
        self._shop.clear()
        if not report.exists():
            return {}
        found: Figures = json.loads(report.read_text())
        return found

    def _jobs(self) -> Figures:
        """From start to end of the process, class images present; then its last part anew."""
        found: Figures = {}
        for name in ("lora", "full"):
            found |= self._job(name)
        script = self._scripts["full"]
        if script is None:
            return found
        words = reference.job_arguments("reference", self._shop, half=self._on_gpu)
        done = self._shop.python(
            "whole job of reference", script, *words, python=reference.python()
        )
        self._shop.clear()
        if done.code == 0:
            found["reference_job_s"] = done.seconds
            if "full_job_s" in found:
                found["job_time_over_reference"] = found["full_job_s"] / done.seconds
        return found

    def _job(self, name: str) -> Figures:
        scale, every = self._shop.scale, self._shop.scale.every
        times = {"max_train_steps": scale.job_steps}
        times |= {"checkpointing_steps": every, "validation_steps": every}
        file = self._shop.settings(**times, **ours(name))
        folder = Path(yaml.safe_load(file.read_text())["output_dir"])
        trainer = ("-m", "training.dreambooth", str(file))
        done = self._shop.python(f"whole job of {name}", *trainer)
        if done.code != 0:
            self._shop.clear()
            return {}
        found = {f"{name}_job_s": done.seconds}
        found[f"{name}_checkpoint_stall_s"] = stall(EventTail(folder).read())
        last = folder / folder_name(scale.job_steps)
        whole = read_manifest(last).files  # of weights and optimizer, with their hashes
        shutil.rmtree(last)
        done = self._shop.python(f"resume of {name}", *trainer, "--resume")
        if done.code == 0:
            found[f"{name}_resume_identical"] = float(read_manifest(last).files == whole)
        self._shop.clear()
        return found

    def _caps(self) -> Figures:
        """1 where a run fits into that much memory of the GPU, else 0."""
        found: Figures = {}
        if not self._on_gpu:
            return found
        for name in ("lora", "low_memory_full", "full"):
            fits: bool | None = False
            for cap in CAPS_GIB:  # what fits the smaller one fits the other
                fits = fits or self._measure(name, cap_gib=cap)
                if fits is not None:
                    found[f"{name}_fits_{cap:g}_gib".replace(".", "_")] = float(fits)
        return found


async def measure() -> Figures:
    """Figures of ours, and ratios to whatever else could run here."""
    on_gpu = has_gpu()
    size = os.environ.get("BENCH_BASE") or "sd15"
    if size not in PREDICTION:
        raise SystemExit(f"BENCH_BASE is {size}; it can be {' or '.join(PREDICTION)}.")
    if not on_gpu:
        sys.stderr.write("There is no GPU: a tiny network is trained on the CPU.\n")
    scale = replace(GPU if on_gpu else CPU, prediction_type=PREDICTION[size])
    found = measured(replace(scale, size=size) if on_gpu else scale, on_gpu=on_gpu)
    prefix = "" if size == "sd15" else f"{size}_" if on_gpu else "v_"
    return {"on_gpu": float(on_gpu), **{prefix + name: value for name, value in found.items()}}


def with_earlier(earlier: Figures, found: Figures) -> Figures:
    """Where only some parts were measured, or another base, those of others stay."""
    some = os.environ.get("BENCH_PARTS") or os.environ.get("BENCH_BASE")
    return earlier | found if some and earlier.get("on_gpu") == found["on_gpu"] else found


def measured(scale: Scale, *, on_gpu: bool) -> Figures:
    every = ("steps", "checks", "jobs", "caps", "rest")
    parts = [part for part in os.environ.get("BENCH_PARTS", "").split(",") if part] or every
    if unknown := [part for part in parts if part not in every]:
        raise SystemExit(f"BENCH_PARTS has {unknown[0]}; it can have {','.join(every)}.")
    clock = Clock(float(os.environ.get("BENCH_MINUTES") or 9.5))
    with tempfile.TemporaryDirectory() as folder:
        return Bench(Workshop(Path(folder), scale, clock), on_gpu=on_gpu).run(parts)


def ours(name: str) -> dict[str, object]:
    settings: dict[str, object] = dict(OURS[name])
    if name == "low_memory_full" and importlib.util.find_spec("bitsandbytes"):
        settings["use_8bit_adam"] = True
    return settings


def comparison(measured: dict[str, list[Figures]]) -> Figures:
    """Medians of each contender, how far apart its own runs were, and ratios."""
    typical = {name: _median(some) for name, some in measured.items()}
    found = {f"{name}_{key}": one[key] for name, one in typical.items() for key in one}
    for name, some in measured.items():
        speeds = [one["steps_per_s"] for one in some]
        found[f"{name}_spread"] = (max(speeds) - min(speeds)) / statistics.median(speeds)
    for name, (method, over) in RATIOS.items():
        if name in typical and method in typical:
            one, other = typical[method], typical[name]
            prefix = "lora_" if method == "lora" else ""
            memory = "peak_allocated_mb" if "peak_allocated_mb" in one else "peak_rss_mb"
            for figure, key in (
                ("steps_per_s", "steps_per_s"),
                ("peak_memory", memory),
                ("first_step", "first_step_s"),
            ):
                found[f"{prefix}{figure}_over_{over}"] = one[key] / other[key]
    return found


def stall(events: list[Event]) -> float:
    """Seconds from the last step before a checkpoint to its being on the disk."""
    stalls = [
        event.at - before.at
        for before, event in pairwise(events)
        if event.kind is EventKind.CHECKPOINT and before.kind is EventKind.STEP
    ]
    return statistics.median(stalls)


def has_gpu() -> bool:
    """Asked of a process of its own, as this one is to hold no memory there."""
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _median(some: list[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in some) for key in some[0]}
