"""Calls to the Graph API and the upload host: who may get the token, and what answers mean.

The token travels in a header only, to the two configured addresses only, and never along a
redirect. Decisions are taken on Meta's `code` and `error_subcode`; the HTTP status varies.
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from pipeline.errors import UserError
from pipeline.publishing.base import (
    Limited,
    Locked,
    NotReady,
    Passing,
    Permanent,
    PublishError,
    StartOver,
    Unseen,
)

PLATFORM = "instagram"
LARGEST_ANSWER_BYTES = 1 << 20
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

LOCKED = {190, 102, 10, 368, *range(200, 300)}
LOCKED_SUBCODES = {2207050, 2207051}
LIMITED = {4, 17, 32, 613, *range(80000, 80015)}
DAILY_LIMIT_SUBCODE = 2207042
NOT_READY_SUBCODE = 2207027
START_OVER_SUBCODES = {2207001, 2207003, 2207006, 2207008, 2207020, 2207032, 2207053}
PERMANENT = {352, 36004, 9004}  # and 100 without a subcode of its own: a parameter is wrong
PERMANENT_SUBCODES = {2207010, 2207026, 2207040, 2207052, 2207057}

NOT_READY_S, LIMITED_S, DAILY_LIMIT_S, TRANSIENT_S = 10.0, 300.0, 3600.0, 30.0


class Unreadable(PublishError):
    """The answer was lost or makes no sense: what happened is not known. Stays in here."""


class Graph:
    """One httpx client; `timeout_s` is for a single read or write."""

    def __init__(
        self,
        *,
        token: SecretStr,
        graph_url: str,
        upload_url: str,
        timeout_s: float = 30,
        upload_timeout_s: float = 300,
    ) -> None:
        self._token = token
        self._graph_url = _address(graph_url, "INSTAGRAM_GRAPH_URL")
        self._upload_url = _address(upload_url, "INSTAGRAM_UPLOAD_URL")
        self._upload_timeout = httpx.Timeout(upload_timeout_s, connect=10)
        # trust_env off: a proxy or .netrc of the machine must not see or replace the token.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=10), follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        return await self._call("GET", path, params=parameters)

    async def post(self, path: str, **parameters: str) -> dict[str, Any]:
        return await self._call("POST", path, data=parameters)

    def checked_upload_url(self, uri: str) -> str:
        """The address as given; Permanent when it is not on the one host that may get uploads."""
        try:
            given = httpx.URL(uri)
        except httpx.InvalidURL:
            given = httpx.URL("")
        if _origin(given) != _origin(self._upload_url) or given.userinfo:
            raise Permanent(
                PLATFORM,
                f"the upload was directed to {given.host or 'nowhere'}, which is not the host of "
                "INSTAGRAM_UPLOAD_URL; nothing was sent there.",
            )
        return uri

    async def send(
        self, uri: str, content: AsyncIterable[bytes], *, length: int, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Upload to an address that passed checked_upload_url()."""
        all_headers = {**headers, **self._authorization("OAuth"), "Content-Length": str(length)}
        request = self._client.build_request(
            "POST", uri, content=content, headers=all_headers, timeout=self._upload_timeout
        )
        return await self._answer(request)

    async def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        url = f"{self._graph_url}/{path}"
        headers = self._authorization("Bearer")
        return await self._answer(
            self._client.build_request(method, url, headers=headers, **kwargs)
        )

    def _authorization(self, scheme: str) -> dict[str, str]:
        return {"Authorization": f"{scheme} {self._token.get_secret_value()}"}

    async def _answer(self, request: httpx.Request) -> dict[str, Any]:
        try:
            response = await self._client.send(request, stream=True)
            try:
                body = await _limited_body(response)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Passing(PLATFORM, "cannot be reached.", TRANSIENT_S) from error
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise Unreadable(PLATFORM, f"the answer was lost ({kind}).", True) from error
        return self._read(response, body)

    def _read(self, response: httpx.Response, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            raise self._failure(answer["error"], response)
        if isinstance(answer, dict) and isinstance(answer.get("debug_info"), dict):
            raise self._upload_failure(answer["debug_info"])
        if not isinstance(answer, dict) or not response.is_success:
            status = response.status_code
            raise Unreadable(PLATFORM, f"the answer makes no sense (HTTP {status}).", True)
        return answer

    def _failure(self, error: dict[str, Any], response: httpx.Response) -> PublishError:
        code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
        text = self._safe(error.get("error_user_msg") or error.get("message") or "an error")
        kind, wait_s = _kind(code, subcode)
        message = f"{text} (code {code}{f'/{subcode}' if subcode else ''})"
        if issubclass(kind, Passing):
            return kind(PLATFORM, message, _regain_s(response) or wait_s)
        return kind(PLATFORM, message)

    def _upload_failure(self, info: dict[str, Any]) -> PublishError:
        text = self._safe(f"the upload was refused: {info.get('type')}: {info.get('message')}")
        return (
            Unreadable(PLATFORM, text, True) if info.get("retriable") else StartOver(PLATFORM, text)
        )

    def _safe(self, text: object) -> str:
        """Short, one line, and without the token, should an answer repeat it."""
        plain = str(text).replace(self._token.get_secret_value(), "[token]")
        return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", plain)[:300]


def _kind(code: int, subcode: int) -> tuple[type[PublishError], float]:
    if code in LOCKED or subcode in LOCKED_SUBCODES:
        return Locked, 0
    if subcode == DAILY_LIMIT_SUBCODE:
        return Limited, DAILY_LIMIT_S
    if code in LIMITED:
        return Limited, LIMITED_S
    if subcode == NOT_READY_SUBCODE:
        return NotReady, NOT_READY_S
    if subcode in START_OVER_SUBCODES:
        return StartOver, 0
    if (code, subcode) == (100, 33):
        return Unseen, 0
    if code in PERMANENT or subcode in PERMANENT_SUBCODES:
        return Permanent, 0
    return (Permanent, 0) if code == 100 else (Unreadable, 0)


def _regain_s(response: httpx.Response) -> float | None:
    """Seconds until access returns, from the usage header (it counts in minutes)."""
    text = response.headers.get("X-Business-Use-Case-Usage", "")
    minutes = re.findall(r'"estimated_time_to_regain_access"\s*:\s*(\d{1,5})', text)
    longest = max(map(int, minutes), default=0)
    return longest * 60.0 or None


async def _limited_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes(1 << 16):
        body += chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            raise Unreadable(PLATFORM, "the answer is far too long.", True)
    return bytes(body)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _address(url: str, name: str) -> httpx.URL:
    parsed = httpx.URL(url.rstrip("/"))
    if parsed.scheme != "https" and parsed.host not in LOOPBACK:
        raise UserError(f"{name} must start with https:// (plain http only to this machine).")
    return parsed
