"""Random access to what a step learns from: draw k is the same whenever it is asked for.

A stream is one folder's pictures, encoded once. Draw k shows item k mod n of the permutation that
belongs to epoch k div n, so all pictures are used equally often, with noise of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from training.config import TrainingConfig
from training.dataset import Picture, crop, crops, load
from training.families import Family
from training.randomness import Randomness


@dataclass(frozen=True)
class Sample:
    """One picture in one step, on the CPU; latents are channels x height x width."""

    latents: Any
    noise: Any
    timestep: int
    prompt: str


class Stream:
    def __init__(
        self,
        name: str,
        pictures: Sequence[Picture],
        encoded: Sequence[Sequence[tuple[Any, Any]]],
        randomness: Randomness,
        timesteps: int,
    ) -> None:
        self._name = name
        self._pictures = pictures
        self._encoded = encoded
        self._randomness = randomness
        self._timesteps = timesteps
        self._order = lru_cache(maxsize=2)(self._permutation)

    @property
    def prompts(self) -> set[str]:
        return {picture.prompt for picture in self._pictures}

    def item(self, draw: int) -> int:
        """Which picture."""
        epoch, place = divmod(draw, len(self._pictures))
        return self._order(epoch)[place]

    def sample(self, draw: int) -> Sample:
        random, name = self._randomness, self._name
        item = self.item(draw)
        choices = self._encoded[item]
        mean, deviation = choices[random.integer(len(choices), f"{name} crop", draw)]
        shape = tuple(mean.shape)
        return Sample(
            latents=mean + deviation * random.normal(shape, f"{name} latents", draw),
            noise=random.normal(shape, f"{name} noise", draw),
            timestep=random.integer(self._timesteps, f"{name} timestep", draw),
            prompt=self._pictures[item].prompt,
        )

    def _permutation(self, epoch: int) -> list[int]:
        return self._randomness.permutation(len(self._pictures), f"{self._name} order", epoch)


def encode(
    pictures: Sequence[Picture],
    family: Family,
    config: TrainingConfig,
    *,
    stop: Callable[[], bool],
) -> list[list[tuple[Any, Any]]]:
    """Mean and deviation of each crop of each picture; fewer pictures when it was stopped.

    One at a time, so that the bits of a picture do not hang on how many there are.
    """
    encoded: list[list[tuple[Any, Any]]] = []
    for picture, image in _read_ahead(pictures, config):
        if stop():
            break
        crops_of_it = []
        for pixels in _crops(picture, image, config):
            mean, deviation = family.encode_image(torch.from_numpy(pixels)[None])
            crops_of_it.append((mean[0].cpu(), deviation[0].cpu()))
        encoded.append(crops_of_it)
    return encoded


def _read_ahead(
    pictures: Sequence[Picture], config: TrainingConfig
) -> Iterator[tuple[Picture, Any]]:
    workers = config.num_dataloader_workers
    if workers == 0:
        for picture in pictures:
            yield picture, load(picture, config.resolution)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(pictures), 2 * workers):  # no more are held at once
            some = pictures[start : start + 2 * workers]
            loaded = pool.map(lambda picture: load(picture, config.resolution), some)
            yield from zip(some, loaded, strict=True)


def _crops(picture: Picture, image: Any, config: TrainingConfig) -> Iterator[Any]:
    size = config.resolution
    spare_x, spare_y = image.width - size, image.height - size
    if config.center_crop:
        yield crop(image, size, left=spare_x // 2, upper=spare_y // 2)
        return
    randomness = Randomness(config.seed)
    for number in range(crops(image.size, size, center=False)):
        left = randomness.integer(spare_x + 1, "crop left", picture.sha256, number)
        upper = randomness.integer(spare_y + 1, "crop upper", picture.sha256, number)
        yield crop(image, size, left=left, upper=upper)
