"""A limit on calls that holds over all processes of this machine: so many files, one flock each.

A slot ends with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

POLL_S = 0.05
"""Between two looks; within one process a slot is mostly free when it is asked for."""


class CallSlots:
    """At most `count` at the same time among all that use the same folder and name."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [folder / f"{name}-{number}.slot" for number in range(count)]

    @contextmanager
    def taken(self, before_waiting: Callable[[], None]) -> Iterator[None]:
        """Wait for a slot and hold it; `before_waiting` is called now and then and may raise."""
        while (file := self._free_file()) is None:
            before_waiting()
            time.sleep(POLL_S)
        with file:
            yield

    def _free_file(self) -> IO[str] | None:
        for path in self._files:
            file = path.open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                return file
        return None
