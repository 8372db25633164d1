"""What the loop asks of a kind of network; another kind is another file that answers the same.

Numbers that are shared by a batch come first in every shape. Latents are what the network works on.
"""

from __future__ import annotations

from typing import Any, Protocol

from training.bases import Base
from training.config import TrainingConfig
from training.device import Place, place_on


class Family(Protocol):
    """A base on its device: frozen but for what `training.weights` sets free."""

    denoiser: Any
    """The module that is trained."""
    text_encoder: Any
    vae: Any
    place: Place
    device: Any
    timesteps: int
    """How many a base knows; they count from 0."""

    def encode_prompts(self, prompts: list[str]) -> Any:
        """N x tokens x width."""

    def encode_image(self, pixels: Any) -> tuple[Any, Any]:
        """Mean and standard deviation of scaled latents, of 1 x 3 x height x width in [-1, 1]."""

    def add_noise(self, latents: Any, noise: Any, timesteps: Any) -> Any: ...

    def target(self, latents: Any, noise: Any, timesteps: Any) -> Any:
        """What the network should say."""

    def loss_weight(self, timesteps: Any, snr_gamma: float | None) -> Any:
        """One per timestep."""

    def predict(self, noisy: Any, timesteps: Any, embeddings: Any) -> Any:
        """What the network says, computed in the place's precision."""

    def pipeline(self) -> Any:
        """The diffusers pipeline around the living modules; its scheduler may be replaced."""


def open_family(base: Base, config: TrainingConfig, device: Any) -> Family:
    """On the device, in evaluation mode, nothing set free."""
    from training.stable_diffusion import StableDiffusion

    place = place_on(device, config)
    return StableDiffusion(base, place, checkpointing=config.gradient_checkpointing)
