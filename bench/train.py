"""Training: our speed, memory and exactness, against a plain loop and, if you have it, the script
of diffusers.

On a CPU a tiny network is trained, so that this never rots; its ratios say little about a GPU. On
a GPU it is the full-size network of Stable Diffusion 1.5 with random weights. The variables
REFERENCE_DREAMBOOTH and REFERENCE_DREAMBOOTH_LORA may name diffusers' train_dreambooth.py and
train_dreambooth_lora.py, which are compared with then. Contenders run in the order A B B A, each in
a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from training.progress import Event, EventKind, EventTail

Figures = dict[str, float]
LIMIT_S = 900
CAPS_GIB = (11.0, 7.5)
PRIOR = {"with_prior_preservation": True, "class_prompt": "a photo of a dog"}
OURS = {"lora": {"method": "lora"}, "full": {"method": "full"}}
LOW_MEMORY = {"method": "full", "gradient_checkpointing": True}
RESULT = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class Scale:
    size: str
    resolution: int
    pictures: int
    class_pictures: int
    warm_up: int
    timed: int


CPU = Scale("tiny", 32, 5, 8, 10, 40)
GPU = Scale("sd15", 512, 23, 200, 30, 200)


class Workshop:
    """A folder with a base, pictures and everything that contenders write."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self._folder, self.scale = folder, scale
        self._base, self._own, self._class = (folder / n for n in ("base", "pictures", "class"))
        self._runs = 0
        code = "import sys; from pathlib import Path; from bench.random_base import make_base\n"
        code += "make_base(Path(sys.argv[1]), size=sys.argv[2])"
        _python("-c", code, str(self._base), scale.size)
        _draw(self._own, scale.pictures, scale.resolution)
        _draw(self._class, scale.class_pictures, scale.resolution)

    def ours(self, cap_gib: float = 0, **settings: object) -> Figures | None:
        """None when it ended before the timed steps, for want of memory."""
        steps = self.scale.warm_up + self.scale.timed
        file = self.settings(max_train_steps=steps, checkpointing_steps=10**6, **PRIOR | settings)
        return self._measure("training.dreambooth", str(file), cap_gib=cap_gib)

    def plain(self) -> Figures | None:
        steps = self.scale.warm_up + self.scale.timed
        places = (str(self._base), str(self._own), str(self._class))
        return self._measure("bench.plain_loop", *places, str(self.scale.resolution), str(steps))

    def reference(self, script: str, *flags: str) -> Figures | None:
        """As its documentation calls it, with `flags` on top."""
        steps = self.scale.warm_up + self.scale.timed
        given = {
            "pretrained_model_name_or_path": self._base,
            "instance_data_dir": self._own,
            "class_data_dir": self._class,
            "output_dir": self._new_folder(),
            "instance_prompt": "a photo of sks dog",
            "class_prompt": PRIOR["class_prompt"],
            "resolution": self.scale.resolution,
            "num_class_images": self.scale.class_pictures,
            "max_train_steps": steps,
            "checkpointing_steps": 10**6,
            "train_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "learning_rate": 5e-6,
            "lr_scheduler": "constant",
            "lr_warmup_steps": 0,
        }
        words = [f"--{name}={value}" for name, value in given.items()]
        return self._measure(script, "--with_prior_preservation", *words, *flags)

    def exactness(self) -> Figures:
        """Whether a run that went on from its middle ends with the same bytes."""
        file = self.settings(max_train_steps=12, checkpointing_steps=6)
        run = Path(yaml.safe_load(file.read_text())["output_dir"])
        _python("-m", "training.dreambooth", str(file))
        whole = (run / RESULT).read_bytes()
        events = EventTail(run).read()
        shutil.rmtree(run / "checkpoint-12")
        (run / RESULT).unlink()
        _python("-m", "training.dreambooth", str(file), "--resume")
        same = (run / RESULT).read_bytes() == whole
        return {"resume_identical": float(same), "checkpoint_stall_s": _stall(events)}

    def settings(self, **settings: object) -> Path:
        output = self._new_folder()
        given = {
            "base_model": str(self._base),
            "output_dir": str(output),
            "instance_data_dir": str(self._own),
            "instance_prompt": "a photo of sks dog",
            "class_data_dir": str(self._class),
            "num_class_images": self.scale.class_pictures,
            "resolution": self.scale.resolution,
            "validation_steps": 0,
        }
        file = output.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(given | settings), encoding="utf-8")
        return file

    def _new_folder(self) -> Path:
        self._runs += 1
        return self._folder / f"run-{self._runs}"

    def _measure(self, target: str, *arguments: str, cap_gib: float = 0) -> Figures | None:
        report = self._new_folder().with_suffix(".json")
        words = [str(report), str(self.scale.warm_up), str(self.scale.timed), str(cap_gib)]
        done = _python("-m", "bench.contender", *words, "--", target, *arguments, check=False)
        if report.exists():
            figures: Figures = json.loads(report.read_text())
            return figures
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        sys.stderr.write(f"{target} was not measured: {last}\n")
        return None


async def measure() -> Figures:
    """Figures of ours, and ratios to whatever else could run here."""
    if _has_gpu():
        return measured(GPU)
    sys.stderr.write("There is no GPU: a tiny network is trained on the CPU.\n")
    return measured(CPU)


def measured(scale: Scale) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder), scale)
        found = _against_the_plain_loop(shop) | shop.exactness()
        if scale is GPU:
            found |= _small_cards(shop)
        return found | _against_the_reference(shop, found)


def _against_the_plain_loop(shop: Workshop) -> Figures:
    names = ("full", "plain", "lora")
    figures: dict[str, list[Figures]] = {name: [] for name in names}
    for name in (*names, *reversed(names)):
        one = shop.plain() if name == "plain" else shop.ours(**OURS[name])
        if one is None:
            raise SystemExit("This contender must run everywhere; see the line above.")
        figures[name].append(one)
    typical = {name: _median(some) for name, some in figures.items()}
    found = {f"{name}_{key}": typical[name][key] for name in OURS for key in typical[name]}
    full, plain = typical["full"], typical["plain"]
    memory = _memory_key(full)
    return found | {
        "steps_per_s_over_plain_loop": full["steps_per_s"] / plain["steps_per_s"],
        "peak_memory_over_plain_loop": full[memory] / plain[memory],
        "first_step_over_plain_loop": full["first_step_s"] / plain["first_step_s"],
    }


def _small_cards(shop: Workshop) -> Figures:
    """1 where a run fits into that much memory of the GPU, else 0."""
    found = {}
    for cap in CAPS_GIB:
        for name, settings in (OURS | {"low_memory_full": LOW_MEMORY}).items():
            fits = shop.ours(cap_gib=cap, **settings) is not None
            found[f"{name}_fits_{cap:g}_gib".replace(".", "_")] = float(fits)
    return found


def _against_the_reference(shop: Workshop, ours: Figures) -> Figures:
    """Nothing where no script is named; their numbers are never made up."""
    found = {}
    for name, prefix, method in _references():
        for flags, suffix in (([], ""), (_best_flags(method), "_best_flags")):
            theirs = shop.reference(name, *flags)
            if theirs is not None:
                memory = _memory_key(theirs)
                ratio = ours[f"{method}_steps_per_s"] / theirs["steps_per_s"]
                found[f"{prefix}steps_per_s_over_reference{suffix}"] = ratio
                share = ours[f"{method}_{memory}"] / theirs[memory]
                found[f"{prefix}peak_memory_over_reference{suffix}"] = share
    return found


def _references() -> Iterator[tuple[str, str, str]]:
    for variable, prefix, method in (
        ("REFERENCE_DREAMBOOTH", "", "full"),
        ("REFERENCE_DREAMBOOTH_LORA", "lora_", "lora"),
    ):
        if script := os.environ.get(variable):
            yield script, prefix, method
        else:
            sys.stderr.write(f"{variable} names no script; it is not compared with.\n")


def _best_flags(method: str) -> list[str]:
    common = ["--pre_compute_text_embeddings", "--dataloader_num_workers=4"]
    if _has_gpu():
        common += ["--mixed_precision=bf16", "--allow_tf32"]
    return [*common, "--set_grads_to_none"] if method == "full" else common


def _median(some: list[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in some) for key in some[0]}


def _memory_key(figures: Figures) -> str:
    return "peak_allocated_mb" if "peak_allocated_mb" in figures else "peak_rss_mb"


def _stall(events: list[Event]) -> float:
    """Seconds from the last step before a checkpoint to its being on the disk."""
    stalls = [
        event.at - before.at
        for before, event in pairwise(events)
        if event.kind is EventKind.CHECKPOINT and before.kind is EventKind.STEP
    ]
    return statistics.median(stalls)


def _has_gpu() -> bool:
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return _python("-c", code, check=False).returncode == 0


def _draw(folder: Path, count: int, side: int) -> None:
    """Smooth pictures that are the same every time."""
    folder.mkdir()
    for number in range(count):
        small = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:03}.jpg", quality=90)


def _python(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *words],
        # More threads than one cost time in networks this small, and differ between machines.
        env={"OMP_NUM_THREADS": "1"} | os.environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(words[:3])} failed:\n{done.stderr[-2000:]}")
    return done
