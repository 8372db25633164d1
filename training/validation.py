"""How far the training has come: pictures and a loss that differ by the weights alone.

Prompts, seeds, noise and timesteps are the same at every step, so that N can be compared with
N + 100. Training cannot tell whether this ran: weights, modes and random numbers stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from training.config import TrainingConfig
from training.families import Family
from training.files import saying, whole_folder
from training.grids import draw_grid
from training.painter import at_rest, painter_of
from training.randomness import Randomness

PROBES = 16
"""Evenly spread timesteps, each with a picture in turn and noise of its own."""
PICTURES_WITHOUT_PROMPTS = 4
GUIDANCE = 7.5
GRID_FILE = "grid.png"
REPORT_FILE = "validation.json"


@dataclass(frozen=True)
class ValidationReport:
    folder: Path
    loss: float


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Drawing(_Part):
    file: str
    prompt: str
    seed: int


class _Report(_Part):
    format: Literal[1] = 1
    step: int
    loss: float | None
    """None when it was no finite number."""
    probes: int = PROBES
    width: int
    height: int
    inference_steps: int
    guidance: float = GUIDANCE
    drawings: tuple[Drawing, ...]


class Validator:
    """`latents` are of the pictures it learns from (1 x channels x height x width, no noise),
    `prompts` theirs; in `averaged()` the networks have the weights that count, those of EMA, say.
    """

    def __init__(
        self,
        config: TrainingConfig,
        family: Family,
        *,
        latents: Sequence[Any],
        prompts: Sequence[str],
        averaged: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._config = config
        self._family = family
        self._latents = latents
        self._prompts = prompts
        self._averaged = averaged
        self._random = Randomness(config.seed)
        self._drawings = tuple(_drawings(config, self._random))

    def run(self, step: int) -> ValidationReport:
        """`validation-<step>` in the run's folder; one that is there already is not made again."""
        folder = self._config.output_dir / f"validation-{step}"
        report = self._read(folder, step)
        if report is None:
            report = self._make(folder, step)
        return ValidationReport(folder, float("nan") if report.loss is None else report.loss)

    def loss(self) -> float:
        """Mean square of what the network says wrongly, unweighted, with fixed noise."""
        family = self._family
        with self._averaged(), at_rest((family.denoiser, family.text_encoder)), torch.no_grad():
            texts = {text: family.encode_prompts([text]) for text in set(self._prompts)}
            errors = [self._probe(number, texts) for number in range(PROBES)]
        return float(torch.stack(errors).mean())

    def _probe(self, number: int, texts: dict[str, Any]) -> Any:
        family, which = self._family, number % len(self._latents)
        latents = self._latents[which].to(family.place.device, torch.float32)
        noise = self._random.normal(tuple(latents.shape), "validation", number).to(
            family.place.device
        )
        timestep = int((number + 0.5) / PROBES * family.timesteps)
        at = torch.full((len(latents),), timestep, device=family.place.device)
        noisy = family.add_noise(latents, noise, at)
        said = family.predict(noisy, at, texts[self._prompts[which]])
        return torch.mean((said.float() - family.target(latents, noise, at).float()) ** 2)

    def _make(self, folder: Path, step: int) -> _Report:
        loss = self.loss()
        report = self._report(step, loss if torch.isfinite(torch.tensor(loss)) else None)
        pictures = self._draw()
        with saying(folder.name), whole_folder(folder) as aside:
            for drawing, picture in zip(report.drawings, pictures, strict=True):
                picture.save(aside / drawing.file)
            title = f"{self._config.character} · step {step} · loss {loss:.4f}"
            prompts = [drawing.prompt for drawing in report.drawings]
            grid = draw_grid(pictures, prompts, title)
            grid.save(aside / GRID_FILE, compress_level=1)  # training waits for it
            (aside / REPORT_FILE).write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
        return report

    def _draw(self) -> list[Image.Image]:
        painter = painter_of(self._family)
        with self._averaged():
            return [
                painter.paint(
                    drawing.prompt,
                    seed=drawing.seed,
                    width=self._config.resolution,
                    height=self._config.resolution,
                    steps=self._config.validation_inference_steps,
                    guidance=GUIDANCE,
                )
                for drawing in self._drawings
            ]

    def _report(self, step: int, loss: float | None) -> _Report:
        return _Report(
            step=step,
            loss=loss,
            width=self._config.resolution,
            height=self._config.resolution,
            inference_steps=self._config.validation_inference_steps,
            drawings=self._drawings,
        )

    def _read(self, folder: Path, step: int) -> _Report | None:
        """What is there, if it was made with these prompts and seeds and nothing is missing."""
        try:
            text = (folder / REPORT_FILE).read_text(encoding="utf-8")
            found = _Report.model_validate_json(text)
        except (OSError, ValueError, ValidationError):
            return None
        files = (GRID_FILE, *(drawing.file for drawing in found.drawings))
        if found != self._report(step, found.loss):
            return None
        return found if all((folder / name).is_file() for name in files) else None


def _drawings(config: TrainingConfig, random: Randomness) -> list[Drawing]:
    prompts = config.validation_prompts or (config.instance_prompt,) * PICTURES_WITHOUT_PROMPTS
    return [
        Drawing(
            file=f"image_{number:02}.png",
            prompt=prompt,
            seed=random.key("validation picture", number) % 2**32,  # what other tools take
        )
        for number, prompt in enumerate(prompts)
    ]
