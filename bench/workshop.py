"""Where contenders meet: one base, the same pictures, a process each, and an end to the time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

Figures = dict[str, float]
PROMPT = "a photo of sks dog"
CLASS_PROMPT = "a photo of a dog"
SHORTEST_S = 10
"""With less time left nothing is begun."""


@dataclass(frozen=True)
class Scale:
    size: str
    prediction_type: str
    resolution: int
    pictures: int
    class_pictures: int
    warm_up: int
    timed: int
    job_steps: int
    """Of a whole job, which saves and validates eight times."""

    @property
    def every(self) -> int:
        return self.job_steps // 8


class Clock:
    """What is left of the time for everything."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


@dataclass(frozen=True)
class Process:
    code: int
    """-9 also where its time was up."""
    seconds: float
    last_line: str
    """Of what it said on stderr."""

    @property
    def lacked_memory(self) -> bool:
        return self.code != 0 and "memory" in self.last_line


class Workshop:
    """A folder with a base, pictures and what contenders write."""

    def __init__(self, folder: Path, scale: Scale, clock: Clock) -> None:
        self.scale, self._clock, self._folder = scale, clock, folder
        self.base, self.own, self.others = (folder / n for n in ("base", "pictures", "class"))
        self._names = 0
        _draw(self.own, scale.pictures, scale.resolution)
        _draw(self.others, scale.class_pictures, scale.resolution)
        code = "import sys; from pathlib import Path; from bench.random_base import make_base\n"
        code += "make_base(Path(sys.argv[1]), size=sys.argv[2], prediction_type=sys.argv[3])"
        made = self.python("base", "-c", code, str(self.base), scale.size, scale.prediction_type)
        if made.code != 0:
            raise SystemExit(f"The base could not be made: {made.last_line}")

    def out_of_time(self) -> bool:
        return self._clock.left() < SHORTEST_S

    def measure(
        self,
        name: str,
        target: str,
        words: Sequence[str],
        *,
        cap_gib: float = 0,
        timed: int | None = None,
        python: str = sys.executable,
    ) -> tuple[Figures | None, Process]:
        """Figures of one contender's steps; None when it ended before they were done."""
        report = self.new_folder().with_suffix(".json")
        warm_up = self.scale.warm_up if timed is None else 1
        steps = (warm_up, self.scale.timed if timed is None else timed)
        given = [str(report), *map(str, steps), str(cap_gib), "--", target, *words]
        done = self.python(name, "-m", "bench.contender", *given, python=python)
        if not report.exists():
            return None, done
        figures: Figures = json.loads(report.read_text())
        return figures, done

    def python(self, name: str, *words: str, python: str = sys.executable) -> Process:
        """Run it to its end or to that of the time; a line on stderr says how that went."""
        if self.out_of_time():
            sys.stderr.write(f"{name} was left out: no time is left.\n")
            return Process(-9, 0.0, "no time was left")
        done = _run([python, *words], self._environment(), self._clock.left())
        how = "" if done.code == 0 else f", and failed: {done.last_line}"
        sys.stderr.write(f"{name} took {done.seconds:.0f} s{how}\n")
        return done

    def settings(self, **settings: object) -> Path:
        """A file for our trainer."""
        output = self.new_folder()
        given = {
            "base_model": str(self.base),
            "output_dir": str(output),
            "instance_data_dir": str(self.own),
            "instance_prompt": PROMPT,
            "with_prior_preservation": True,
            "class_data_dir": str(self.others),
            "class_prompt": CLASS_PROMPT,
            "num_class_images": self.scale.class_pictures,
            "resolution": self.scale.resolution,
            "validation_steps": 0,
        }
        file = output.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(given | settings), encoding="utf-8")
        return file

    def new_folder(self) -> Path:
        """A place for output; nothing is there yet."""
        self._names += 1
        return self._folder / f"run-{self._names}"

    def clear(self) -> None:
        """Throw away what contenders wrote, which may be 30 GB each."""
        for folder in self._folder.glob("run-*/"):
            shutil.rmtree(folder)

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if self.scale.size == "tiny":
            # More threads than one cost time in networks this small, and differ between machines.
            environment.setdefault("OMP_NUM_THREADS", "1")
        return environment


def _run(words: Sequence[str], environment: Mapping[str, str], limit_s: float) -> Process:
    began = time.perf_counter()
    child = subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that workers which read pictures end with it
    )
    try:
        said = child.communicate(timeout=limit_s)[1]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        said = "no time was left"
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    return Process(child.returncode, time.perf_counter() - began, last)


def _draw(folder: Path, count: int, side: int) -> None:
    """Smooth pictures that are the same every time."""
    folder.mkdir()
    for number in range(count):
        small = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:03}.jpg", quality=90)
