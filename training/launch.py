"""What a launcher tells each process that it starts; `accelerate launch` and torchrun do alike.

Loads no torch, as a process must know whether it is the one that writes before anything is loaded.
"""

from __future__ import annotations

import os


def processes() -> int:
    """How many train together: one per GPU, and one without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes; the others only compute."""
    return processes() == 1 or int(os.environ.get("RANK", "0")) == 0
