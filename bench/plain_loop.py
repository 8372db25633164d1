"""The baseline: full DreamBooth as diffusers' documentation does it, without anything of ours.

Every step reads two pictures, encodes them with the VAE, encodes their prompts, and moves all
weights of the UNet with AdamW. Nothing is cached; the loss is read each step.

    python -m bench.plain_loop BASE PICTURES CLASS_PICTURES RESOLUTION STEPS
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from PIL import Image
from torch.nn import functional

PROMPTS = ["a photo of sks dog", "a photo of a dog"]


def main(base: str, pictures: str, class_pictures: str, resolution: str, steps: str) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = StableDiffusionPipeline.from_pretrained(
        base, safety_checker=None, use_safetensors=True, local_files_only=True
    ).to(device)
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
    pipeline.vae.requires_grad_(False)
    pipeline.text_encoder.requires_grad_(False)
    unet = pipeline.unet.train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=5e-6, weight_decay=1e-2)
    own, others = (itertools.cycle(sorted(Path(p).iterdir())) for p in (pictures, class_pictures))
    side = int(resolution)
    for _ in range(int(steps)):
        pixels = torch.stack([_read(next(own), side), _read(next(others), side)]).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            loss = _loss(pipeline, schedule, pixels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()


def _loss(pipeline: Any, schedule: Any, pixels: Any) -> Any:
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels).latent_dist.sample()
        latents = latents * pipeline.vae.config.scaling_factor
        embeddings = embed(pipeline, PROMPTS)
    noise = torch.randn_like(latents)
    steps = torch.randint(0, schedule.config.num_train_timesteps, (2,), device=pixels.device)
    return denoising_loss(pipeline.unet, schedule, latents, noise, steps, embeddings)


def embed(pipeline: Any, prompts: list[str]) -> Any:
    tokens = pipeline.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt")
    return pipeline.text_encoder(tokens.input_ids.to(pipeline.device))[0]


def denoising_loss(
    unet: Any, schedule: Any, latents: Any, noise: Any, steps: Any, embeddings: Any
) -> Any:
    """The first half of a batch is the character's, the other one its class's."""
    said = unet(schedule.add_noise(latents, noise, steps), steps, embeddings).sample
    target = noise
    if schedule.config.prediction_type == "v_prediction":
        target = schedule.get_velocity(latents, noise, steps)
    own, prior = functional.mse_loss(said.float(), target.float(), reduction="none").chunk(2)
    return own.mean() + prior.mean()


def _read(path: Path, side: int) -> Any:
    with Image.open(path) as picture:
        resized = picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1) / 127.5 - 1


if __name__ == "__main__":
    main(*sys.argv[1:])
