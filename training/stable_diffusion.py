"""Stable Diffusion 1.x and 2.x: one code path, epsilon or v-prediction as the scheduler says."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers
from diffusers import StableDiffusionPipeline

from training.bases import Base
from training.device import Place
from training.errors import TrainingError

KINDS = ("epsilon", "v_prediction")


class StableDiffusion:
    def __init__(self, base: Base, place: Place, *, checkpointing: bool = False) -> None:
        diffusers.utils.logging.disable_progress_bar()  # stderr is for the sentence that ends a run
        transformers.utils.logging.disable_progress_bar()
        self._pipeline = StableDiffusionPipeline.from_pretrained(
            base.path,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self._pipeline.set_progress_bar_config(disable=True)
        self.place = place
        self.device = place.device
        self._pipeline.to(place.device)
        self.denoiser = self._pipeline.unet
        self.text_encoder = self._pipeline.text_encoder
        self.vae = self._pipeline.vae
        for module in (self.denoiser, self.text_encoder, self.vae):
            module.requires_grad_(False).eval()
        if checkpointing:
            self.denoiser.enable_gradient_checkpointing()
            _checkpoint(self.text_encoder)
        schedule = self._pipeline.scheduler.config
        self.prediction_type = str(schedule.prediction_type)
        if self.prediction_type not in KINDS:
            raise TrainingError(
                f"{base.name} predicts {self.prediction_type}; "
                "training knows networks that predict epsilon or v_prediction."
            )
        # Kept apart, because whoever draws puts a solver of their own into the pipeline.
        self._kept = self._pipeline.scheduler.alphas_cumprod.to(self.device, torch.float32)
        self.timesteps = int(schedule.num_train_timesteps)

    def pipeline(self) -> Any:
        return StableDiffusionPipeline(**self._pipeline.components, requires_safety_checker=False)

    def encode_prompts(self, prompts: list[str]) -> Any:
        tokens = self._pipeline.tokenizer(
            prompts,
            padding="max_length",
            max_length=self._pipeline.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        # Some 2.x text encoders were taught with the padding masked, and say so.
        masked = getattr(self.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(self.device) if masked else None
        with self.place.autocast():
            return self.text_encoder(tokens.input_ids.to(self.device), attention_mask=mask)[0]

    @torch.no_grad()
    def encode_image(self, pixels: Any) -> tuple[Any, Any]:
        latents = self.vae.encode(pixels.to(self.device, self.vae.dtype)).latent_dist
        scale = self.vae.config.scaling_factor
        return latents.mean.float() * scale, latents.std.float() * scale

    def add_noise(self, latents: Any, noise: Any, timesteps: Any) -> Any:
        signal, rest = self._shares(timesteps)
        return signal * latents + rest * noise

    def target(self, latents: Any, noise: Any, timesteps: Any) -> Any:
        if self.prediction_type == "epsilon":
            return noise
        signal, rest = self._shares(timesteps)
        return signal * noise - rest * latents  # Salimans and Ho 2022, appendix D

    def loss_weight(self, timesteps: Any, snr_gamma: float | None) -> Any:
        """Min-SNR (Hang et al. 2023, 3.4); v's own loss weighs a step by snr + 1 already."""
        kept = self._kept[timesteps]
        if snr_gamma is None:
            return torch.ones_like(kept)
        snr = kept / (1 - kept)
        own = snr if self.prediction_type == "epsilon" else snr + 1
        # No signal at all (a schedule that ends in pure noise): min(snr, gamma) / snr is 1 there.
        return torch.where(own > 0, snr.clamp(max=snr_gamma) / own, torch.ones_like(snr))

    def predict(self, noisy: Any, timesteps: Any, embeddings: Any) -> Any:
        with self.place.autocast():
            return self.denoiser(noisy, timesteps, embeddings, return_dict=False)[0]

    def _shares(self, timesteps: Any) -> tuple[Any, Any]:
        """Of signal and noise, one per picture."""
        kept = self._kept[timesteps][:, None, None, None]
        return kept.sqrt(), (1 - kept).sqrt()


def _checkpoint(text_encoder: Any) -> None:
    """The first is the newer name, and the other one warns where both are known."""
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    next(getattr(text_encoder, name) for name in names if hasattr(text_encoder, name))()
