"""Who may ask a run to end: signals, and the end of the pipe from the process that began it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType


class StopRequest:
    """Called, it says whether the run should save and end at the next step."""

    def __init__(self) -> None:
        # No threading.Event: its lock is not for handlers, which a second signal interrupts.
        self._wanted = False

    def __call__(self) -> bool:
        return self._wanted

    def on_signals(self, *, alone: bool = True) -> None:
        """The first Ctrl+C saves; the second one ends at once, and costs the steps since.

        Not `alone`, it does not: a launcher sends on a Ctrl+C that its processes got themselves.
        """
        signal.signal(signal.SIGINT, self._take_first if alone else self._take)
        signal.signal(signal.SIGTERM, self._take)

    def on_end_of_parent(self) -> None:
        """The pipe that is our stdin ends with whoever holds its other end, also when killed."""
        threading.Thread(target=self._read_to_the_end, daemon=True).start()

    def _take_first(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._wanted = True

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._wanted = True

    def _read_to_the_end(self) -> None:
        # Unbuffered: a thread inside of a buffered reader would break the end of the interpreter.
        descriptor = sys.stdin.fileno()
        while os.read(descriptor, 4096):
            pass
        self._wanted = True
