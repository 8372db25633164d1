"""The loss of a step: what the network says wrongly about noise that it has not seen before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from training.config import TrainingConfig
from training.families import Family
from training.streams import Sample, Stream


class Objective:
    """Streams are the character's pictures and, with prior preservation, those of its class."""

    def __init__(
        self,
        family: Family,
        streams: Sequence[Stream],
        config: TrainingConfig,
        *,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Of process `rank` of `ranks`, which share the draws of a step."""
        self._rank, self._ranks = rank, ranks
        self._family = family
        self._streams = streams
        self._config = config
        prompts = set().union(*(stream.prompts for stream in streams))
        self._embedded = {} if config.train_text_encoder else _embedded(family, sorted(prompts))

    def loss(self, step: int, part: int) -> Any:
        """Of the `part`-th batch that adds to the gradient of a step, on the device."""
        size = self._config.train_batch_size
        batch = step * self._config.gradient_accumulation_steps + part
        first = (batch * self._ranks + self._rank) * size
        draws = range(first, first + size)
        # One batch for all streams: half the kernels to launch, and twice as much for each.
        samples = [stream.sample(draw) for stream in self._streams for draw in draws]
        own, *prior = self._errors(samples).split(size)
        return own.mean() + sum(self._config.prior_loss_weight * one.mean() for one in prior)

    def _errors(self, samples: Sequence[Sample]) -> Any:
        """Mean square per sample, weighted by its own timestep."""
        family, send = self._family, self._family.place.send
        latents = send(torch.stack([sample.latents for sample in samples]))
        noise = send(torch.stack([sample.noise for sample in samples]))
        timesteps = send(torch.tensor([sample.timestep for sample in samples]))
        said = family.predict(
            family.add_noise(latents, noise, timesteps),
            timesteps,
            self._embeddings([sample.prompt for sample in samples]),
        )
        wrong = said.float() - family.target(latents, noise, timesteps)
        weight = family.loss_weight(timesteps, self._config.snr_gamma)
        return wrong.square().mean(dim=(1, 2, 3)) * weight

    def _embeddings(self, prompts: list[str]) -> Any:
        if self._config.train_text_encoder:
            return self._family.encode_prompts(prompts)
        return torch.stack([self._embedded[prompt] for prompt in prompts])


@torch.no_grad()
def _embedded(family: Family, prompts: Sequence[str]) -> Mapping[str, Any]:
    """One at a time, so that the bits of a prompt do not hang on the others."""
    return {prompt: family.encode_prompts([prompt])[0] for prompt in prompts}
