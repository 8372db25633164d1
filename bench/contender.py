"""One contender in a process of its own, timed from outside of its code.

    python -m bench.contender REPORT WARM_UP TIMED CAP_GIB -- MODULE_OR_SCRIPT ARGS...

PyTorch calls a hook after every step of any optimizer, so ours, a plain loop and a script from
elsewhere are measured alike. CAP_GIB 0 is none. Ends after the timed steps, with REPORT written:
what a contender saves at its end is not what is asked here. Needs nothing but PyTorch.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import time
from pathlib import Path


class Stopwatch:
    """Seconds are counted from the start of this process."""

    def __init__(self, report: Path, warm_up: int, timed: int) -> None:
        self._report, self._warm_up, self._timed = report, warm_up, timed
        self._steps = 0
        self._first = self._began = 0.0

    def step_done(self, *unused: object) -> None:
        self._steps += 1
        if self._steps == 1:
            self._first = _now() - START
        if self._steps == self._warm_up:
            self._began = _now()
        if self._steps == self._warm_up + self._timed:
            self._write(_now() - self._began)
            raise SystemExit(0)

    def _write(self, took: float) -> None:
        figures = {"first_step_s": self._first, "steps_per_s": self._timed / took, **_memory()}
        self._report.write_text(json.dumps(figures))


def _now() -> float:
    """When everything that was started is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _memory() -> dict[str, float]:
    """Peaks so far: of the process, and on a GPU of the allocator."""
    import torch

    rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_rss_mb": rss_kib * 1024 / 1e6}
    if torch.cuda.is_available():
        found["peak_allocated_mb"] = torch.cuda.max_memory_allocated() / 1e6
        found["peak_reserved_mb"] = torch.cuda.max_memory_reserved() / 1e6
    return found


def _cap(gib: float) -> None:
    import torch

    if gib and torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(gib * 1024**3 / whole)


def main(words: list[str]) -> None:
    report, warm_up, timed, cap, _, target, *arguments = words
    # As the trainer itself says; cuBLAS reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _cap(float(cap))
    from torch.optim.optimizer import register_optimizer_step_post_hook

    stopwatch = Stopwatch(Path(report), int(warm_up), int(timed))
    register_optimizer_step_post_hook(stopwatch.step_done)
    sys.argv = [target, *arguments]
    if target.endswith(".py"):
        sys.path.insert(0, str(Path(target).parent))
        runpy.run_path(target, run_name="__main__")
    else:
        runpy.run_module(target, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    START = time.perf_counter()
    main(sys.argv[1:])
