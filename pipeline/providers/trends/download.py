"""What one fetch asks of one source: few requests, limited together in time and each in size.

Every answer is hostile input. Only https and the loopback are asked, a redirect is not followed,
no proxy of the environment is used, and a small answer cannot unpack to gigabytes.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Self, TypeVar

import httpx

from pipeline.addresses import checked
from pipeline.errors import ProviderError
from pipeline.providers.failures import retry_after_s
from pipeline.providers.trends.answers import Answer, Answers
from pipeline.providers.trends.patience import LONGEST_NAMED

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Seconds of silence, seconds of the whole visit, bytes of one answer after unpacking."""

    read_s: float = 5.0
    total_s: float = 20.0
    size_bytes: int = 2_000_000


USUAL = Limits()


class Visit:
    """Used as a context; `source` is how its errors name who was asked."""

    def __init__(self, source: str, limits: Limits, answers: Answers | None = None) -> None:
        self.source = source
        self._limits = limits
        self._answers = answers
        self._deadline = time.monotonic() + limits.total_s
        self._client = httpx.Client(
            timeout=httpx.Timeout(limits.read_s),
            headers={"User-Agent": user_agent(), "Accept-Encoding": "gzip"},
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing the connections also ends threads that still wait for headers.
        self._client.close()

    def read(
        self, url: str, parse: Callable[[bytes], T], *, params: Mapping[str, str] | None = None
    ) -> T:
        """GET, and what `parse` makes of the body; an unchanged answer is read from the disk.

        ProviderError says whether it may work later. Only what could be parsed is kept: a torn
        answer must not come back as "not modified".
        """
        address = self._address(url, params or {})
        kept = self._answers.find(str(address)) if self._answers is not None else None
        answer = self._in_time(address, kept)
        result = parse(answer.body)
        if self._answers is not None and answer is not kept:
            self._answers.keep(str(address), answer)
        return result

    def failure(
        self, message: str, *, retryable: bool = False, after_s: float | None = None
    ) -> ProviderError:
        return ProviderError(self.source, message, retryable, after_s)

    def _address(self, url: str, params: Mapping[str, str]) -> httpx.URL:
        try:
            address = httpx.URL(checked(url))
        except (httpx.InvalidURL, ValueError) as error:
            raise self.failure("its address is not one with https://; correct it") from error
        return address.copy_merge_params(params) if params else address

    def _in_time(self, address: httpx.URL, kept: Answer | None) -> Answer:
        """In a thread of its own: only so can headers that drip be cut off in time."""
        ended: list[Answer | Exception] = []
        thread = threading.Thread(
            target=lambda: ended.append(self._ended(address, kept)),
            name=f"trends-{self.source}",
            daemon=True,
        )
        thread.start()
        thread.join(max(self._deadline - time.monotonic(), 0.0))
        if not ended:
            self._client.close()
            raise self._too_slow()
        if isinstance(ended[0], Exception):
            raise ended[0]
        return ended[0]

    def _ended(self, address: httpx.URL, kept: Answer | None) -> Answer | Exception:
        try:
            return self._get(address, kept)
        except ProviderError as error:
            return error
        except httpx.TimeoutException:
            return self._too_slow()
        except httpx.ConnectError:
            return self.failure("it cannot be reached", retryable=True)
        except Exception:  # a closed client raises what it likes
            return self.failure("the connection broke off", retryable=True)

    def _get(self, address: httpx.URL, kept: Answer | None) -> Answer:
        conditions = kept.conditions() if kept is not None else {}
        with self._client.stream("GET", address, headers=conditions) as response:
            if kept is not None and response.status_code == httpx.codes.NOT_MODIFIED:
                return kept
            self._check_status(response)
            return Answer(
                body=self._body(response),
                etag=response.headers.get("etag", ""),
                last_modified=response.headers.get("last-modified", ""),
            )

    def _body(self, response: httpx.Response) -> bytes:
        """Unpacked by ourselves, a limited piece at a time."""
        unpack = self._unpacker(response.headers.get("content-encoding", "identity"))
        body = bytearray()
        for chunk in response.iter_raw():
            body += unpack(chunk, self._limits.size_bytes + 1 - len(body))
            if len(body) > self._limits.size_bytes:
                raise self.failure(f"the answer is larger than {self._limits.size_bytes} bytes")
            if time.monotonic() > self._deadline:
                raise self._too_slow()
        return bytes(body)

    def _unpacker(self, encoding: str) -> Callable[[bytes, int], bytes]:
        match encoding.strip().lower():
            case "identity" | "":
                return lambda chunk, most: chunk[:most]
            case "gzip":
                return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress
            case _:
                raise self.failure("the answer is packed in a way we did not ask for")

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        if 300 <= status < 400:
            raise self.failure("it sends us to another address (a consent page, perhaps)")
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            wait = retry_after_s(response.headers, longest_s=LONGEST_NAMED.total_seconds())
            raise self.failure(f"it answers {status}", retryable=True, after_s=wait)
        if status == httpx.codes.NOT_FOUND:
            raise Missing(self.source, "it is gone (404)", retryable=True)
        raise self.failure(f"it answers {status}")

    def _too_slow(self) -> ProviderError:
        return self.failure("it answers too slowly", retryable=True)


@cache
def user_agent() -> str:
    """Says what the program is: Wikimedia refuses clients that send their library's name only."""
    return (
        f"ExcuseMyFrench/{version('excuse-my-french')} (self-hosted Discord bot; topics for one "
        f"comedy channel, a few requests a day) httpx/{httpx.__version__}"
    )


class Missing(ProviderError):
    """Nothing is at this address (404), now at least."""
