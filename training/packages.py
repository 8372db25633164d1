"""What is installed beside PyTorch and can break it."""

from __future__ import annotations

import importlib
import importlib.util

from training.errors import TrainingError


def refuse_broken_torchvision() -> None:
    """transformers imports it wherever it is found, and fails with it; we need it nowhere."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # an import may raise anything; this one a RuntimeError of torch
        raise TrainingError(
            "torchvision does not fit the PyTorch it lies beside, which breaks diffusers, too; "
            "run `python -m pip uninstall torchvision`, as nothing here needs it."
        ) from error
