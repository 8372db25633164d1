"""A loopback Instagram: the Graph API's publishing calls and the upload host, with faults.

It refuses what the real ones refuse, with the same codes, and keeps what it was given, so a
bot can be killed and started again against it. Two ports, as there are two hosts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from bot.sandbox.instagram import rules
from bot.sandbox.instagram.faults import (
    Drop,
    Expired,
    Fault,
    ForeignUpload,
    Late,
    Lost,
    Reply,
    Truncated,
)
from bot.sandbox.instagram.records import Container, Post, Request
from bot.sandbox.instagram.rules import GraphError
from bot.sandbox.instagram.tokens import Tokens

VERSION = "v26.0"
LIFETIME = timedelta(hours=24)
TOKEN_CALLS = {"refresh", "exchange", "debug_token"}
Handler = Callable[[web.Request, dict[str, str]], Awaitable[dict[str, Any]]]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class InstagramSandbox:
    """`async with InstagramSandbox(token, user_id) as ig`; faults are switched on by `fail()`.

    `login` says which of the two hosts this is. `usage` goes into the headers of every answer.
    """

    def __init__(
        self,
        token: str,
        user_id: str = "17841400000000000",
        *,
        processing_s: float = 0,
        quota_total: int = 50,
        login: str = "facebook",
        app_id: str = "1234567890",
        app_secret: str = "app0secret0of0the0sandbox",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.token, self.user_id = token, user_id
        self.processing_s, self.quota_total = processing_s, quota_total
        self.tokens = Tokens(token, login=login, app_id=app_id, app_secret=app_secret, now=now)
        self.page, self.username = "Butcher and Nutsy", "butcherandnutsy"
        self.usage: dict[str, str] = {}
        self.posts: list[Post] = []
        self.containers: dict[str, Container] = {}
        self.requests: list[Request] = []
        self.refused_repeats = 0
        self.listing_delay_s = 0.0
        self.processing_fault = ""
        self._now = now
        self._ids = count(17900000000000001)
        self._faults: dict[str, list[Fault]] = {}
        self._runners: list[web.AppRunner] = []
        self.graph_url = self.upload_url = ""

    async def __aenter__(self) -> Self:
        self.graph_url = f"{await self._serve(self._graph_app())}/{VERSION}"
        self.upload_url = await self._serve(self._upload_app())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()

    def fail(self, call: str, *faults: Fault) -> None:
        """The next requests of this kind meet these faults, one each."""
        self._faults.setdefault(call, []).extend(faults)

    def called(self, call: str) -> int:
        return sum(request.call == call for request in self.requests)

    async def _serve(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _graph_app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        user = f"/{VERSION}/{self.user_id}"
        app.add_routes(
            [
                web.post(f"{user}/media", self._call("create", self._create)),
                web.get(f"{user}/media", self._call("look_up", self._list)),
                web.post(f"{user}/media_publish", self._call("publish", self._publish)),
                web.get(f"{user}/content_publishing_limit", self._call("quota", self._quota)),
                web.get(f"/{VERSION}/me", self._call("me", self._me)),
                web.get(f"/{VERSION}/me/accounts", self._call("accounts", self._accounts)),
                web.get("/refresh_access_token", self._call("refresh", self._refresh)),
                web.get(f"/{VERSION}/oauth/access_token", self._call("exchange", self._exchange)),
                web.get(f"/{VERSION}/debug_token", self._call("debug_token", self._debug)),
                web.get(f"/{VERSION}/{{id}}", self._object),
                web.route("*", f"/{VERSION}/{{id}}/{{edge}}", self._call("unknown", self._unknown)),
            ]
        )
        return app

    def _upload_app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        path = f"/ig-api-upload/{VERSION}/{{id}}"
        app.add_routes([web.post(path, self._call("upload", self._upload))])
        return app

    async def _object(self, request: web.Request) -> web.StreamResponse:
        known = request.match_info["id"] in {post.id for post in self.posts}
        if known:
            return await self._call("permalink", self._permalink)(request)
        return await self._call("status", self._status)(request)

    def _call(self, name: str, handler: Handler) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            parameters = await _parameters(request) if name != "upload" else {}
            url, has_header = str(request.rel_url), "Authorization" in request.headers
            self.requests.append(Request(name, request.method, url, parameters, has_header))
            faults = self._faults.get(name)
            fault = faults.pop(0) if faults else None
            try:
                answer = await self._answer(name, handler, request, parameters, fault)
            except GraphError as error:
                answer = _json_text(error.body, error.status)
            answer.headers.update(self.usage)
            return answer

        return answer

    async def _answer(
        self,
        name: str,
        handler: Handler,
        request: web.Request,
        parameters: dict[str, str],
        fault: Fault | None,
    ) -> web.StreamResponse:
        match fault:
            case Drop(after=False):
                return _hang_up(request)
            case Reply(after=False):
                return _reply(fault)
            case Truncated():
                await self._receive_part(request, fault.keep_bytes)
                return _hang_up(request)
            case Lost() | Expired():
                self._spoil(request, parameters, fault)
            case _:
                pass
        result = await handler(request, self._authorised(name, request, parameters))
        match fault:
            case Drop():
                return _hang_up(request)
            case Reply():
                return _reply(fault)
            case Late():
                await asyncio.sleep(fault.seconds)
            case ForeignUpload():
                result["uri"] = fault.uri
            case _:
                pass
        return _json_text(json.dumps(result), 200)

    def _authorised(
        self, call: str, request: web.Request, parameters: dict[str, str]
    ) -> dict[str, str]:
        """The parameters without the token; code 190 without the right one."""
        if call in TOKEN_CALLS:  # each looks at the tokens it was given by itself
            return parameters
        scheme = "OAuth" if call == "upload" else "Bearer"
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        self.tokens.check(parameters.get("access_token", given if kind == scheme else ""))
        return {name: value for name, value in parameters.items() if name != "access_token"}

    def _spoil(self, request: web.Request, parameters: dict[str, str], fault: Fault) -> None:
        asked = request.match_info.get("id") or parameters.get("creation_id", "")
        if container := self.containers.get(asked):
            container.lost = container.lost or isinstance(fault, Lost)
            container.expired = container.expired or isinstance(fault, Expired)

    def _find(self, container_id: str) -> Container:
        container = self.containers.get(container_id)
        if container is None or container.lost:
            raise rules.no_such_object(container_id)
        return container

    async def _unknown(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        raise rules.no_such_object(request.match_info["id"])

    def status_of(self, container: Container) -> str:
        if container.media_id:
            return "PUBLISHED"
        if container.expired or self._now() - container.created_at >= LIFETIME:
            return "EXPIRED"
        if container.error:
            return "ERROR"
        if container.uploaded_at is None:
            return "IN_PROGRESS"
        waited_s = (self._now() - container.uploaded_at).total_seconds()
        return "FINISHED" if waited_s >= self.processing_s else "IN_PROGRESS"

    async def _create(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        unknown = sorted(set(parameters) - rules.CREATE_PARAMETERS)
        if unknown:
            raise GraphError(f"Unexpected parameter {unknown[0]}", 100)
        if parameters.get("media_type") != "REELS":
            raise GraphError("Only photo or video can be accepted as media type.", 9004, 2207052)
        is_file = parameters.get("upload_type") == "resumable"
        if not is_file or self.tokens.login == "instagram":
            raise GraphError("The parameter video_url is required", 100)
        container = Container(
            id=str(next(self._ids)),
            caption=rules.caption(parameters.get("caption", "")),
            is_ai_generated=rules.flag(parameters, "is_ai_generated"),
            thumb_offset_ms=rules.whole(parameters, "thumb_offset"),
            created_at=self._now(),
        )
        self.containers[container.id] = container
        return {
            "id": container.id,
            "uri": f"{self.upload_url}/ig-api-upload/{VERSION}/{container.id}",
        }

    async def _upload(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        container = self._find(request.match_info["id"])
        size = rules.upload_header(request, "file_size")
        offset = rules.upload_header(request, "offset")
        if self.status_of(container) != "IN_PROGRESS" or offset != len(container.data):
            raise rules.upload_refused(
                "OffsetInvalidError", f"expected offset {len(container.data)}"
            )
        try:
            async for chunk in request.content.iter_any():
                container.data.extend(chunk)
        except (ConnectionError, web.HTTPException) as error:
            raise rules.upload_refused("PartialRequestError", "the connection broke") from error
        if len(container.data) != size:
            raise rules.upload_refused(
                "PartialRequestError", f"{len(container.data)} of {size} bytes"
            )
        container.uploaded_at = self._now()
        container.error = self.processing_fault or rules.format_fault(bytes(container.data))
        return {"success": True, "message": "Upload successful."}

    async def _receive_part(self, request: web.Request, keep_bytes: int) -> None:
        container = self._find(request.match_info["id"])
        wanted = len(container.data) + keep_bytes
        while len(container.data) < wanted and (chunk := await request.content.readany()):
            container.data.extend(chunk[: wanted - len(container.data)])

    async def _status(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        container = self._find(request.match_info["id"])
        status = self.status_of(container)
        facts = {
            "id": container.id,
            "status_code": status,
            "status": container.error if status == "ERROR" else status.title(),
            "video_status": {
                "uploading_phase": {
                    "status": "complete" if container.uploaded_at else "in_progress",
                    "bytes_transferred": len(container.data),
                }
            },
        }
        return rules.fields(facts, parameters, rules.CONTAINER_FIELDS)

    async def _publish(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        container = self._find(parameters.get("creation_id", ""))
        status = self.status_of(container)
        if status == "EXPIRED":
            raise GraphError("The media container has expired.", -2, 2207020)
        if container.media_id:
            self.refused_repeats += 1
        if status != "FINISHED":
            raise GraphError("Media ID is not available", 9007, 2207027)
        if self._used_today() >= self.quota_total:
            raise GraphError("Application request limit reached", 9, 2207042, status=403)
        container.media_id = str(next(self._ids))
        self.posts.append(
            Post(
                id=container.media_id,
                permalink=f"https://www.instagram.com/reel/S{container.media_id}/",
                sha256=hashlib.sha256(container.data).hexdigest(),
                caption=container.caption,
                is_ai_generated=container.is_ai_generated,
                thumb_offset_ms=container.thumb_offset_ms,
                timestamp=self._now(),
                container_id=container.id,
            )
        )
        return {"id": container.media_id}

    async def _list(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        newest_first = [
            post
            for post in reversed(self.posts)
            if (self._now() - post.timestamp).total_seconds() >= self.listing_delay_s
        ]
        limit, start = int(parameters.get("limit", "25")), int(parameters.get("after", "0"))
        page = newest_first[start : start + limit]
        paging = {"cursors": {"after": str(start + limit)}} if page else {}
        rest = {name: parameters[name] for name in ("fields",) if name in parameters}
        return {
            "data": [rules.fields(rules.media(p), rest, rules.MEDIA_FIELDS) for p in page],
            "paging": paging,
        }

    async def _permalink(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        post = next(post for post in self.posts if post.id == request.match_info["id"])
        return rules.fields(rules.media(post), parameters, rules.MEDIA_FIELDS)

    async def _quota(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        config = {"quota_total": self.quota_total, "quota_duration": 86400}
        facts = {"quota_usage": self._used_today(), "config": config}
        return {"data": [rules.fields(facts, parameters, set(facts), always=())]}

    async def _me(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        if self.tokens.login == "instagram":
            facts = {"id": "7", "user_id": self.user_id, "username": self.username}
        else:
            facts = {"id": "122100000000000000", "name": "Studio"}
        return rules.fields(facts, parameters, set(facts))

    async def _accounts(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        if self.tokens.login == "instagram":
            raise GraphError("Tried accessing nonexisting field (accounts)", 100)
        account = {"id": self.user_id, "username": self.username}
        pages: list[dict[str, Any]] = [
            {"name": "A page without Instagram", "id": "101"},
            {"name": self.page, "id": "102", "instagram_business_account": account},
        ]
        return {
            "data": [rules.nested(page, parameters, rules.PAGE_FIELDS) for page in pages],
            "paging": {"cursors": {"before": "a", "after": "b"}},
        }

    async def _refresh(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        return self.tokens.refresh(parameters)

    async def _exchange(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        return self.tokens.exchange(parameters)

    async def _debug(self, request: web.Request, parameters: dict[str, str]) -> dict[str, Any]:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        asking = parameters.pop("access_token", given if kind == "Bearer" else "")
        return self.tokens.debug(asking, parameters)

    def _used_today(self) -> int:
        return sum(self._now() - post.timestamp < LIFETIME for post in self.posts)


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _reply(fault: Reply) -> web.Response:
    return web.Response(
        status=fault.status,
        text=fault.body,
        content_type=fault.content_type,
        headers=dict(fault.headers),
    )


def _json_text(body: str, status: int) -> web.Response:
    return web.Response(status=status, text=body, content_type="application/json")


async def _parameters(request: web.Request) -> dict[str, str]:
    """Query, form and JSON parameters alike, as the Graph API takes them."""
    body: dict[str, Any] = {}
    if request.content_type == "application/json":
        body = await request.json()
    elif request.can_read_body:
        body = dict(await request.post())
    return {**request.query, **{name: str(value) for name, value in body.items()}}
