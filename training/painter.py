"""Pictures from a Stable Diffusion pipeline: one loaded model draws as many as asked for.

The solver is DPM-Solver++(2M) (Lu et al. 2022): at 20 to 25 steps it is where PNDM and DDIM, which
the bases name, are at 50, and it adds no noise on the way, so that the seed says everything. What
the base's scheduler says about betas, spacing and prediction type holds for it too.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

from training.bases import find_base, open_base
from training.errors import TrainingError
from training.families import Family
from training.model_info import LORA_FILE, read_model, settings_of

PIXELS_AT_ONCE = 4 * 512 * 512
"""On a GPU: few enough that a card of 12 GB has room for them beside a full-size base."""


class Painter:
    """Draws with a pipeline and leaves every state of it, and all random numbers, as they were."""

    def __init__(self, pipeline: Any, *, half: Any = None) -> None:
        """`half` is the type to compute in where weights are of several."""
        pipeline.set_progress_bar_config(disable=True)
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
            pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2
        )
        # Decoding takes more memory than all else of drawing, so it is done one by one.
        pipeline.vae.enable_slicing()
        self._pipeline = pipeline
        self._half = half

    def batch(self, width: int, height: int) -> int:
        """How many to give `paint_all` at once; on a CPU more at once are not faster."""
        if self._device.type != "cuda":
            return 1
        return max(1, PIXELS_AT_ONCE // (width * height))

    def paint(
        self,
        prompt: str,
        *,
        seed: int,
        width: int,
        height: int,
        steps: int,
        guidance: float = 7.5,
        negative: str = "",
    ) -> Image.Image:
        """The same arguments give the same picture; width and height are multiples of 8."""
        return self.paint_all(
            prompt,
            seeds=[seed],
            width=width,
            height=height,
            steps=steps,
            guidance=guidance,
            negative=negative,
        )[0]

    def paint_all(
        self,
        prompt: str,
        *,
        seeds: Sequence[int],
        width: int,
        height: int,
        steps: int,
        guidance: float = 7.5,
        negative: str = "",
    ) -> list[Image.Image]:
        """A picture per seed, drawn together: on a GPU its last bits depend on its neighbours."""
        if width % 8 or height % 8:
            raise TrainingError(f"{width}x{height} cannot be drawn; use multiples of 8 pixels.")
        no_room = (
            f"The GPU has no room to draw {width}x{height}; end what else uses it, "
            "or draw smaller pictures."
        )
        with _saying(no_room), at_rest(self._parts), torch.no_grad(), self._autocast():
            result = self._pipeline(
                prompt=[prompt] * len(seeds),
                negative_prompt=[negative] * len(seeds),
                width=width,
                height=height,
                num_inference_steps=steps,
                guidance_scale=guidance,
                latents=self._noise(seeds, width, height),
            )
        pictures: list[Image.Image] = result.images
        return pictures

    def close(self) -> None:
        """Give the memory back; nothing can be drawn afterwards."""
        on_a_gpu = self._device.type == "cuda"
        del self._pipeline
        gc.collect()  # modules refer to each other
        if on_a_gpu:
            torch.cuda.empty_cache()

    @property
    def _device(self) -> Any:
        return self._pipeline.unet.device

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self._pipeline.unet, self._pipeline.vae, self._pipeline.text_encoder

    def _noise(self, seeds: Sequence[int], width: int, height: int) -> Any:
        """Made on the CPU in fp32, so that a seed means the same picture on every device."""
        scale = self._pipeline.vae_scale_factor
        shape = (self._pipeline.unet.config.in_channels, height // scale, width // scale)
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
        dtype = self._pipeline.unet.dtype if self._half is None else torch.float32
        return torch.stack(noise).to(self._device, dtype)

    def _autocast(self) -> Any:
        return torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None)


def painter_of(family: Family) -> Painter:
    """Draws with the networks as they are now, in the middle of training if need be."""
    on_a_gpu = family.place.device.type == "cuda"
    return Painter(
        family.pipeline(), half=(family.place.half or torch.float16) if on_a_gpu else None
    )


def open_painter(model_folder: Path, *, device: str = "auto", bases: Path | None = None) -> Painter:
    """Of a finished or promoted model; TrainingError when it is damaged or its base is not here.

    `bases` is where fetched bases lie, as in `find_base`.
    """
    place = _device(device)
    info = read_model(model_folder)
    if info.method == "full":
        pipeline = load_pipeline(model_folder)
    else:
        pipeline = load_pipeline(_base_folder(model_folder, info.base_fingerprint, bases))
        pipeline.load_lora_weights(
            model_folder, weight_name=LORA_FILE, local_files_only=True, use_safetensors=True
        )
    with _saying(f"The GPU has no room for {model_folder.name}; end what else uses it."):
        return Painter(pipeline.to(place, torch.float16 if place == "cuda" else torch.float32))


def _base_folder(model_folder: Path, fingerprint: str, bases: Path | None) -> Path:
    config = settings_of(model_folder)
    base = find_base(config.base_model, config.revision, folder=bases)
    if base.fingerprint != fingerprint:
        raise TrainingError(
            f"{base.path} is not the base that {model_folder.name} was trained on; "
            "put that one back, or train anew."
        )
    return base.path


def load_pipeline(folder: Path) -> Any:
    """A pipeline from its local safetensors, without safety checker and feature extractor."""
    open_base(folder)  # a finished model is no more to be trusted than what it was made from
    return StableDiffusionPipeline.from_pretrained(
        folder,
        use_safetensors=True,
        local_files_only=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@contextmanager
def _saying(no_room: str) -> Iterator[None]:
    """This sentence when the memory of the GPU is too small."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(no_room) from error


@contextmanager
def at_rest(parts: Sequence[Any]) -> Iterator[None]:
    """Without dropout; each module gets back the mode it was in."""
    modules = [(module, module.training) for part in parts for module in part.modules()]
    try:
        for part in parts:
            part.eval()
        yield
    finally:
        for module, training in modules:
            module.training = training


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
