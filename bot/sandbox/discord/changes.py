"""Waiting for the sandbox to reach a state, without polling."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, look: Callable[[], T | None], timeout_s: float, what: str) -> T:
        """The first truthy thing that `look` finds; TimeoutError says `what` did not happen."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := look()):
                    await self._next.wait()
        except TimeoutError:
            raise TimeoutError(f"Within {timeout_s:g} s, {what} did not happen.") from None
        return found
