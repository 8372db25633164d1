"""AdamW over named parameters, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from training.config import TrainingConfig
from training.errors import TrainingError


class Optimizer:
    def __init__(self, parameters: Mapping[str, Any], config: TrainingConfig) -> None:
        self._names = list(parameters)
        self._parameters = list(parameters.values())
        self._eight_bit = config.use_8bit_adam
        self.adam = _adam(self._parameters, config)

    def set_rate(self, rate: float) -> None:
        for group in self.adam.param_groups:
            group["lr"] = rate

    def tensors(self) -> dict[str, Any]:
        """`NAME.exp_avg` and so on; a number that is no tensor is one of 64-bit integers."""
        found = {}
        for name, parameter in zip(self._names, self._parameters, strict=True):
            for key, value in self.adam.state[parameter].items():
                tensor = value if torch.is_tensor(value) else torch.tensor(value)
                found[f"{name}.{key}"] = tensor
        return found

    def expected(self) -> dict[str, tuple[int, ...]] | None:
        """Names and shapes of AdamW's tensors; None when only its library knows them."""
        if self._eight_bit:
            return None
        shapes: dict[str, tuple[int, ...]] = {}
        for name, parameter in zip(self._names, self._parameters, strict=True):
            shapes[f"{name}.step"] = ()
            shapes |= {f"{name}.{key}": tuple(parameter.shape) for key in ("exp_avg", "exp_avg_sq")}
        return shapes

    def set(self, tensors: Mapping[str, Any]) -> None:
        state: dict[int, dict[str, Any]] = {}
        number = {name: index for index, name in enumerate(self._names)}
        for full_name, tensor in tensors.items():
            name, _, key = full_name.rpartition(".")
            whole = tensor.dtype == torch.int64 and tensor.dim() == 0
            state.setdefault(number[name], {})[key] = int(tensor) if whole else tensor
        groups = self.adam.state_dict()["param_groups"]
        self.adam.load_state_dict({"state": state, "param_groups": groups})


def _adam(parameters: list[Any], config: TrainingConfig) -> Any:
    settings: dict[str, Any] = {
        "lr": config.rate,
        "betas": (config.adam_beta1, config.adam_beta2),
        "weight_decay": config.adam_weight_decay,
        "eps": config.adam_epsilon,
    }
    if config.use_8bit_adam:
        return _eight_bit(parameters, settings)
    # One kernel for all tensors; on the CPU the plain one is as fast at these sizes.
    fused = parameters[0].device.type == "cuda"
    return torch.optim.AdamW(parameters, fused=fused, **settings)


def _eight_bit(parameters: list[Any], settings: dict[str, Any]) -> Any:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise TrainingError(
            "use_8bit_adam needs bitsandbytes; `pip install bitsandbytes`, or set it to false."
        ) from error
    return AdamW8bit(parameters, **settings)
