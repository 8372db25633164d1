"""What the doctor finds about training: an extra that the channel runs without."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bot.doctor.findings import Finding, error, ok, warning
from bot.settings import Settings
from pipeline.trainer import PACKAGES, trainer_environment
from training.bases import Base, bases_in
from training.config import TrainingConfig
from training.memory import largest_batch

PROBE = """
import importlib.util, json, torch
answer = {"gpu": "", "free": 0, "torchvision": ""}
if torch.cuda.is_available():
    answer["gpu"], answer["free"] = torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
if importlib.util.find_spec("torchvision"):
    try:
        import torchvision
    except Exception as fault:
        answer["torchvision"] = str(fault)[:100] or "it cannot be imported"
print(json.dumps(answer))
"""
"""In a process of its own, as in the trainer's, because the doctor loads no PyTorch."""
PROBE_S = 120


@dataclass(frozen=True)
class _Device:
    gpu: str
    free: int
    torchvision: str
    """What is wrong with it."""


async def training(settings: Settings) -> list[Finding]:
    missing = [name for name in PACKAGES if not _version(name)]
    if missing and settings.images == "diffusion":
        return [
            warning(
                f"IMAGES=diffusion draws nothing without {', '.join(missing)}; "
                "run `./run install training`."
            )
        ]
    if missing:
        return [ok(f"training is not installed ({', '.join(missing)}: ./run install training)")]
    device = await asyncio.to_thread(_look)
    if isinstance(device, Finding):
        return [device]
    if device.torchvision:
        return [
            error(
                f"torchvision does not fit PyTorch ({device.torchvision}), which breaks training; "
                "run `.venv/bin/python -m pip uninstall torchvision`."
            )
        ]
    return [_computing(device), *_bases(settings, device)]


def _look() -> _Device | Finding:
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            env=trainer_environment(),
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=True,
        )
        return _Device(**json.loads(done.stdout))
    except (subprocess.SubprocessError, ValueError, TypeError):
        return error("PyTorch is installed and does not start; run `./run install training` again.")


def _computing(device: _Device) -> Finding:
    torch = f"PyTorch {_version('torch')}"
    if not device.gpu:
        return ok(f"{torch} finds no GPU; training on a CPU takes hours")
    return ok(f"{torch} on {device.gpu}, {device.free / 1e9:.1f} GB of it free")


def _bases(settings: Settings, device: _Device) -> list[Finding]:
    bases, faults = bases_in(settings.data_dir / "bases")
    found = [
        ok(f"base {base.path.name} ({base.prediction_type}){_room(base, device)}") for base in bases
    ]
    if not bases and not faults:
        found.append(ok("no base to train from yet; see `emf train base`"))
    return found + [error(fault) for fault in faults]


def _room(base: Base, device: _Device) -> str:
    """The largest batches that fit at 512 pixels, as predicted."""
    if not device.gpu:
        return ""
    most = [
        f"{method} {largest_batch(base, _run(method), free_bytes=device.free)}"
        for method in ("lora", "full")
    ]
    return f": largest batch of 512 pixels: {', '.join(most)}"


def _run(method: str) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "base_model": ".",
            "output_dir": Path(),
            "instance_data_dir": Path(),
            "instance_prompt": "any",
            "method": method,
        }
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
