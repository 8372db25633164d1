"""Whose the GPU is: a training has it to itself, from before its process to after its end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Gpu:
    """What would draw asks before it begins; what draws already is waited for."""

    is_taken: bool = False
