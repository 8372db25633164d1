"""The processes that train one network together, and what they have to tell each other.

Each learns from its own share of a step's draws; gradients are averaged, and then all of them do
the same update. Their processes are accelerate's, but its `prepare` does not touch the networks:
DistributedDataParallel sorts gradients into other groups after its first backward pass, so that a
process that goes on would add in another order than one that never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from training.errors import TrainingError
from training.launch import processes

PATIENCE = timedelta(hours=6)
"""Others wait so long for the main process, which draws class images, validates and writes. One
that died is noticed at once, as its connections end."""
NUMBERS_AT_ONCE = 2**24
"""Of gradients that are sent together: enough for a full wire, in little memory."""


class LostRank(TrainingError):
    """Another process of the run has ended; the state is that of the last whole step."""


class Ranks:
    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.number: int = accelerator.process_index
        self.count: int = accelerator.num_processes

    @property
    def is_main(self) -> bool:
        return self.number == 0

    @property
    def counters(self) -> tuple[int, ...]:
        """What tells this one's random numbers from the others'; a run of one process has none."""
        return () if self.is_main else (self.number,)

    def agree(self, wanted: bool, *, step: int = 0) -> bool:
        """Whether any of them wants it; all have to ask, and each waits for the slowest."""
        if self.count == 1:
            return wanted
        # On the CPU, so that nobody waits for a GPU.
        told = self._tell(torch.tensor([int(wanted), step]), "sum")
        if int(told[1]) != step * self.count:
            raise TrainingError(
                "The processes went on from different checkpoints; "
                "start all of them where they see the same output_dir."
            )
        return bool(told[0])

    def average_gradients(self, parameters: Sequence[Any]) -> None:
        if self.count == 1:
            return
        for gradients in _groups([p.grad for p in parameters if p.grad is not None]):
            mean = self._tell(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
            parts = mean.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def _tell(self, tensor: Any, reduction: str) -> Any:
        try:
            return self._accelerator.reduce(tensor, reduction)
        except RuntimeError as error:
            raise LostRank(
                "Another process of this training has ended; look at its last words, "
                "then start all of them again with --resume."
            ) from error


def join(device: Any) -> None:
    """Meet the others, if a launcher started several; GPUs talk by NCCL, everything else by gloo.

    Before there is an Accelerator, which would know only one way to talk.
    """
    if processes() > 1 and not distributed.is_initialized():
        backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
        distributed.init_process_group(backend, timeout=PATIENCE)


def part() -> None:
    """Wait until all have heard the last of the others: a connection that ends spoils what it said.

    It does not matter whether this is heard, as nobody goes before everybody has come this far.
    """
    if distributed.is_initialized():
        with suppress(RuntimeError):
            distributed.all_reduce(torch.zeros(1))


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _groups(gradients: Sequence[Any]) -> Iterator[list[Any]]:
    """The same ones at every step and in every process."""
    group: list[Any] = []
    size = 0
    for gradient in gradients:
        if group and size + gradient.numel() > NUMBERS_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(gradient)
        size += gradient.numel()
    if group:
        yield group
