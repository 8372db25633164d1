"""Randomness as a function of (seed, purpose, counter), so that none of it has to be stored.

Each draw has a generator of its own on the CPU; a run that goes on at step 350 draws what a run
without a pause would have drawn there, on every device.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Randomness:
    seed: int

    def key(self, purpose: str, *counters: int | str) -> int:
        """63 bits, as large as the seeds that generators take."""
        text = "/".join([str(self.seed), purpose, *map(str, counters)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def normal(self, shape: tuple[int, ...], purpose: str, *counters: int | str) -> Any:
        return torch.randn(shape, generator=self._generator(purpose, *counters))

    def integer(self, below: int, purpose: str, *counters: int | str) -> int:
        return int(torch.randint(below, (), generator=self._generator(purpose, *counters)))

    def permutation(self, length: int, purpose: str, *counters: int | str) -> list[int]:
        order = torch.randperm(length, generator=self._generator(purpose, *counters))
        return [int(item) for item in order]

    def pin(self, purpose: str, *counters: int | str) -> None:
        """Seed the global generators of all devices: layers (dropout) draw from those."""
        torch.manual_seed(self.key(purpose, *counters))

    def _generator(self, purpose: str, *counters: int | str) -> Any:
        return torch.Generator().manual_seed(self.key(purpose, *counters))
