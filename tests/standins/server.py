"""A loopback service in a thread of its own, and what can go wrong with a call to it.

A stand-in subclasses Server, adds its routes and answers as strictly as the real service. Both
sync and async code may call it; `with Elevenlabs(...) as service:` starts and ends it.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Drop:
    """The connection ends without an answer: before the service looked, or `after` it worked."""

    after: bool = False


@dataclass(frozen=True)
class Reply:
    """Another answer than the real one; `after` the service has worked, or instead of it."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    after: bool = False


@dataclass(frozen=True)
class Silence:
    """No answer before the caller gives up; the service has worked when `after` is set."""

    after: bool = True


@dataclass(frozen=True)
class Half:
    """The answer breaks off in the middle, although its length was promised."""


@dataclass(frozen=True)
class Garbled:
    """The whole answer with the right status and type, but not what was asked for."""

    body: str = '{"unexpected": true}'


Fault = Drop | Reply | Silence | Half | Garbled


def redirect(url: str) -> Reply:
    return Reply(307, headers=(("Location", url),))


HTML = Reply(200, "<html><body>Please sign in</body></html>", content_type="text/html")


@dataclass
class Request:
    """As it arrived; `body` is parsed JSON where it was JSON, else text."""

    call: str
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: Any
    started: float
    ended: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[Request], Any]


class Refusal(Exception):
    """What a handler raises to refuse as the real service does."""

    def __init__(self, status: int, body: dict[str, Any], **headers: str) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class Server:
    """`routes()` gives (method, path, call's name, handler); each call takes `work_s`."""

    def __init__(self, *, work_s: float = 0.0) -> None:
        self.work_s = work_s
        self.requests: list[Request] = []
        self.url = ""
        self.on_request: Callable[[Request], None] = lambda request: None
        """Called in the server's thread when a request has arrived, before it is worked on."""
        self._faults: dict[str, list[Fault]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._closing: asyncio.Event | None = None

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        raise NotImplementedError

    def work_of(self, call: str) -> float:
        """Seconds that a call of this kind takes."""
        return self.work_s

    def fail(self, call: str, *faults: Fault, times: int = 1) -> None:
        """The next requests of this kind meet these faults, one each."""
        self._faults.setdefault(call, []).extend([*faults] * times)

    def forget_faults(self) -> None:
        self._faults.clear()

    def called(self, call: str) -> int:
        return sum(request.call == call for request in self.requests)

    def most_at_once(self, call: str) -> int:
        """How many requests of this kind were worked on at the same time."""
        spans = [(r.started, r.ended) for r in self.requests if r.call == call and r.ended]
        return max((sum(s <= start < e for s, e in spans) for start, _ in spans), default=0)

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._closing = asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        for method, path, call, handler in self.routes():
            app.router.add_route(method, path, self._answering(call, handler))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        self._closing.set()
        await self._runner.cleanup()
        await asyncio.sleep(0)

    def _answering(self, call: str, handler: Handler):
        async def answer(http: web.Request) -> web.StreamResponse:
            request = await _read(call, http, self._loop.time())
            self.requests.append(request)
            faults = self._faults.get(call)
            fault = faults.pop(0) if faults else None
            self.on_request(request)
            try:
                return await self._meet(http, request, handler, fault)
            finally:
                request.ended = self._loop.time()

        return answer

    async def _meet(self, http, request, handler, fault) -> web.StreamResponse:
        if fault == Drop():
            return _hang_up(http)
        if isinstance(fault, Reply) and not fault.after:
            return _reply(fault)
        if fault == Silence(after=False):
            return await self._say_nothing(http)
        if work_s := self.work_of(request.call):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), work_s)
        try:
            result = handler(request)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
        response = result if isinstance(result, web.Response) else web.json_response(result)
        match fault:
            case Drop():
                return _hang_up(http)
            case Silence():
                return await self._say_nothing(http)
            case Reply():
                return _reply(fault)
            case Half():
                return await _half(http, response)
            case Garbled():
                return web.Response(text=fault.body, content_type="application/json")
        return response

    async def _say_nothing(self, http: web.Request) -> web.StreamResponse:
        await self._closing.wait()
        return _hang_up(http)


async def _read(call: str, http: web.Request, started: float) -> Request:
    text = (await http.read()).decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    headers = {name.lower(): value for name, value in http.headers.items()}
    return Request(call, http.method, http.path, headers, dict(http.query), body, started)


def _reply(fault: Reply) -> web.Response:
    return web.Response(
        status=fault.status,
        text=fault.body,
        content_type=fault.content_type,
        headers=dict(fault.headers),
    )


def _hang_up(http: web.Request) -> web.Response:
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)


async def _half(http: web.Request, whole: web.Response) -> web.StreamResponse:
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    response.content_length = len(body)
    await response.prepare(http)
    await response.write(body[: len(body) // 2])
    return _hang_up(http)
