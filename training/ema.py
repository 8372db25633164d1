"""An exponential moving average of what is trained, on the same device, in fp32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Ema:
    def __init__(self, parameters: Mapping[str, Any], decay: float) -> None:
        self._parameters = dict(parameters)
        self._decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in parameters.items()}

    def update(self, step: int) -> None:
        """After `step` updates; the first ones weigh more, lest it keeps the start for long."""
        decay = min(self._decay, (1 + step) / (10 + step))
        average = get_ema_multi_avg_fn(decay)
        own = list(self.tensors.values())
        average(own, [tensor.detach() for tensor in self._parameters.values()], None)

    @torch.no_grad()
    def set(self, tensors: Mapping[str, Any]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
