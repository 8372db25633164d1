"""The loopback server: routing, authorization, rate limits, faults, and the list of requests."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.sandbox.discord.access import Access
from bot.sandbox.discord.commands import Commands
from bot.sandbox.discord.compose import MAX_REQUEST_BYTES
from bot.sandbox.discord.directory import Directory
from bot.sandbox.discord.errors import ApiError, refusal
from bot.sandbox.discord.faults import Faults
from bot.sandbox.discord.interactions import Interactions
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.reactions import Reactions
from bot.sandbox.discord.responses import json_response
from bot.sandbox.discord.world import World

API = "/api/v10"
# Multipart framing may come on top of the files.
_MAX_BODY_BYTES = MAX_REQUEST_BYTES + 64 * 1024


@dataclass(frozen=True)
class Request:
    """One REST call as it ended; interaction tokens in the path are replaced by `***`."""

    method: str
    path: str
    status: int


class RateLimits:
    """Fixed windows per route and major parameter, told in the headers of each answer."""

    def __init__(self) -> None:
        self.requests = 50
        self.window_s = 1.0
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, bucket: str) -> dict[str, str]:
        now = time.time()
        start, used = self._windows.get(bucket, (now, 0))
        if now - start >= self.window_s:
            start, used = now, 0
        reset_after = start + self.window_s - now
        headers = {
            "X-RateLimit-Limit": str(self.requests),
            "X-RateLimit-Remaining": str(max(self.requests - used - 1, 0)),
            "X-RateLimit-Reset": f"{now + reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Bucket": f"{hash(bucket) & 0xFFFFFFFF:08x}",
        }
        if used >= self.requests:
            text = "You are being rate limited."
            raise ApiError(429, 0, text, retry_after=reset_after, **{"global": False})
        self._windows[bucket] = (start, used + 1)
        return headers


class Server:
    def __init__(self, world: World) -> None:
        self.requests: list[Request] = []
        self.faults = Faults()
        self.rate_limits = RateLimits()
        access = Access(world)
        messages = Messages(world, access)
        self.commands = Commands(world)
        self.interactions = Interactions(world, messages)
        parts = (
            Directory(world, access),
            messages,
            Reactions(world, access),
            self.commands,
            self.interactions,
        )
        self._world = world
        self._app = web.Application(middlewares=[self._middleware], client_max_size=0)
        for part in parts:
            for method, path, handler in part.routes():
                self._app.router.add_route(method, API + path, _respond(handler))
        self._app.router.add_get("/gateway", world.gateway.serve)
        for root in ("attachments", "ephemeral-attachments"):
            path = f"/{root}/{{channel_id}}/{{attachment_id}}/{{name}}"
            self._app.router.add_get(path, world.cdn.serve)
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=1.0)

    async def start(self, port: int) -> str:
        """Listens on the loopback address and returns the host and port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        host, chosen = self._runner.addresses[0][:2]
        return f"{host}:{chosen}"

    async def stop(self) -> None:
        self._world.gateway.close(1001)
        await self._runner.cleanup()

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        path = request.path.removeprefix(API)
        try:
            response = await self.faults.apply(request, path, self._checked(handler))
        except ApiError as error:
            response = json_response(error.body, status=error.status)
        except web.HTTPException as error:
            self._record(request, path, error.status)
            raise
        self._record(request, path, response.status)
        return response

    def _checked(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if not request.path.startswith(API):
                return await handler(request)
            if request.match_info.http_exception is not None:
                status = request.match_info.http_exception.status
                raise ApiError(status, 0, f"{status}: {request.match_info.http_exception.reason}")
            self._authorize(request)
            headers = self.rate_limits.take(_bucket(request))
            if (request.content_length or 0) > _MAX_BODY_BYTES:
                await request.read()
                raise refusal(40005)
            response = await handler(request)
            response.headers.update(headers)
            return response

        return handle

    def _authorize(self, request: web.Request) -> None:
        # Interaction routes carry their authority in the path.
        is_open = "token" in request.match_info
        if not is_open and request.headers.get("Authorization") != f"Bot {self._world.token}":
            raise ApiError(401, 0, "401: Unauthorized")

    def _record(self, request: web.Request, path: str, status: int) -> None:
        if request.path.startswith(API):
            token = request.match_info.get("token")
            shown = path.replace(token, "***") if token else path
            self.requests.append(Request(request.method, shown, status))
            self._world.changes.notify()


def _bucket(request: web.Request) -> str:
    resource = request.match_info.route.resource
    info = request.match_info
    major = info.get("channel_id") or info.get("guild_id") or info.get("token") or ""
    return f"{request.method} {resource.canonical if resource else ''} {major}"


def _respond(
    handler: Callable[[web.Request], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        answer = await handler(request)
        return web.Response(status=204) if answer is None else json_response(answer)

    return respond
