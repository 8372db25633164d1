"""Faults on request: the next matching requests go wrong in the chosen way."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from aiohttp import web

from bot.sandbox.discord.responses import json_response

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """`status` answers unhandled; `drop` resets the connection before or after handling."""

    method: str
    path: str
    times: int
    status: int | None = None
    json: Any = None
    drop: Literal["before", "after"] | None = None
    delay_s: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        is_method = self.method in (method, "*")
        return self.times > 0 and is_method and fnmatchcase(path, self.path)


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        times: int = 1,
        status: int | None = None,
        json: Any = None,
        drop: Literal["before", "after"] | None = None,
        delay_s: float = 0.0,
    ) -> Fault:
        """`path` is a shell pattern below /api/v10, or `/gateway` for new connections to it."""
        fault = Fault(method, path, times, status, json, drop, delay_s)
        self._faults.append(fault)
        return fault

    def rate_limit(
        self,
        method: str,
        path: str,
        *,
        retry_after_s: float,
        is_global: bool = False,
        times: int = 1,
    ) -> Fault:
        body = {
            "message": "You are being rate limited.",
            "retry_after": retry_after_s,
            "global": is_global,
        }
        return self.add(method, path, status=429, json=body, times=times)

    def clear(self) -> None:
        self._faults.clear()

    async def apply(self, request: web.Request, path: str, handler: Handler) -> web.StreamResponse:
        fault = next((f for f in self._faults if f.matches(request.method, path)), None)
        if fault is None:
            return await handler(request)
        fault.times -= 1
        await asyncio.sleep(fault.delay_s)
        if fault.status is not None:
            await request.read()
            body = fault.json or {"message": f"{fault.status}: made by the sandbox", "code": 0}
            return json_response(body, status=fault.status)
        if fault.drop != "before":
            response = await handler(request)
            if fault.drop is None:
                return response
        _reset(request)
        return web.Response(status=500)


def _reset(request: web.Request) -> None:
    # Closing with a linger of zero sends RST, so the client sees errno 104 and not a clean end.
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
