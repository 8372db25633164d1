"""Calls to the Graph API and the upload host, and who may get a secret.

The token goes to the configured addresses only, and never along a redirect. It travels in a
header, but for the three calls about tokens, whose parameters Meta takes in the query alone:
no address may therefore get into a log or an error's text.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from pipeline.addresses import checked_setting
from pipeline.publishing import answers
from pipeline.publishing.answers import PLATFORM, TRANSIENT_S, Answer, Unreadable
from pipeline.publishing.base import Passing, Permanent
from pipeline.publishing.usage import Usage

LARGEST_ANSWER_BYTES = 1 << 20
CONNECT_S = 10


class Wire:
    """One httpx client; `timeout_s` is for a single read or write. `secrets` leave no error."""

    def __init__(self, secrets: Iterable[str], *, timeout_s: float, usage: Usage | None = None):
        self.secrets = set(secrets)
        self._usage = usage
        # trust_env off: a proxy or .netrc of the machine must not see or replace the token.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
            verify=_tls(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(
        self, method: str, url: httpx.URL | str, *, headers: Mapping[str, str], **kwargs: Any
    ) -> dict[str, Any]:
        request = self._client.build_request(method, url, headers=headers, **kwargs)
        try:
            response = await self._client.send(request, stream=True)
            try:
                body = await _limited_body(response)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Passing(PLATFORM, "it cannot be reached.", TRANSIENT_S) from error
        except httpx.TimeoutException as error:
            raise Unreadable(PLATFORM, "it did not answer in time.", True) from error
        except httpx.HTTPError as error:
            raise Unreadable(PLATFORM, "the connection broke before its answer.", True) from error
        if self._usage is not None:
            self._usage.heed(response.headers)
        return answers.read(Answer(response.status_code, response.headers, body), self.secrets)


class Graph:
    """The account's own calls, with the token that holds at the moment."""

    def __init__(
        self,
        *,
        token: SecretStr,
        graph_url: str,
        upload_url: str,
        usage: Usage | None = None,
        timeout_s: float = 30,
        upload_timeout_s: float = 300,
    ) -> None:
        self._graph_url = address(graph_url, "INSTAGRAM_GRAPH_URL")
        self._upload_url = address(upload_url, "INSTAGRAM_UPLOAD_URL")
        self._upload_timeout = httpx.Timeout(upload_timeout_s, connect=CONNECT_S)
        self._token = token
        self._wire = Wire([token.get_secret_value()], timeout_s=timeout_s, usage=usage)

    def use(self, token: SecretStr) -> None:
        """From the next call on; the old one stays a secret."""
        self._token = token
        self._wire.secrets.add(token.get_secret_value())

    async def close(self) -> None:
        await self._wire.close()

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
        all_headers = {
            **headers,
            "Authorization": f"OAuth {self._token.get_secret_value()}",
            "Content-Length": str(length),
        }
        return await self._wire.ask(
            "POST", uri, headers=all_headers, content=content, timeout=self._upload_timeout
        )

    async def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        url = f"{self._graph_url}/{path}"
        return await self._wire.ask(method, url, headers=bearer(self._token), **kwargs)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


def bearer(token: SecretStr) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.get_secret_value()}"}


def address(url: str, name: str) -> httpx.URL:
    """UserError when a secret sent there could be read on its way."""
    return httpx.URL(checked_setting(url, name))


async def _limited_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes(1 << 16):
        body += chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            raise Unreadable(PLATFORM, "the answer is far too long.", True)
    return bytes(body)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
