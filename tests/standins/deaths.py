"""Kills a bot in the middle of a paid call, at a moment that the test chooses."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field

from aiohttp import web

ARRIVED, BILLED, ANSWERED = "arrived", "billed", "answered"
MOMENTS = (ARRIVED, BILLED, ANSWERED)
"""Of a call: before the service has looked, once it has worked, right after its last byte."""
PATIENCE_S = 10.0


@dataclass
class Deaths:
    """`planned`: at which moment of which call, counted over all services and lives, it comes.

    `pid` is that of the bot; `is_gone` says whether anything of it lives.
    """

    pid: object
    is_gone: object
    planned: dict[int, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    """Names of all paid calls that have arrived."""
    billed: list[str] = field(default_factory=list)
    victims: list[str] = field(default_factory=list)
    """Names of the calls at which it has come."""

    def __post_init__(self):
        self._lock = threading.Lock()

    def watch(self, service, call):
        """Count this kind of call of a stand-in, and be there at its moments."""
        meet = service._meet

        async def met(http, request, handler, fault):
            if request.call != call:
                return await meet(http, request, handler, fault)
            with self._lock:
                self.calls.append(call)
                number = len(self.calls)
            if self._comes(number, ARRIVED):
                return _nobody_is_there(http)
            response = await meet(http, request, self._working(handler, number, call), fault)
            if not http.transport or http.transport.is_closing():
                return response
            await response.prepare(http)
            await response.write_eof()
            self._comes(number, ANSWERED)
            return response

        service._meet = met

    def _working(self, handler, number, call):
        def work(request):
            result = handler(request)
            with self._lock:
                self.billed.append(call)
            self._comes(number, BILLED)
            return result

        return work

    def _comes(self, number, moment):
        """Whether the bot has been killed now; it is gone then, unless it was just answered."""
        if self.planned.get(number) != moment:
            return False
        self.victims.append(self.calls[number - 1])
        del self.planned[number]
        os.kill(self.pid(), signal.SIGKILL)
        if moment != ANSWERED:
            self._wait_until_gone()
        return True

    def _wait_until_gone(self):
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_gone() and time.monotonic() < deadline:
            time.sleep(0.01)


def _nobody_is_there(http):
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)
