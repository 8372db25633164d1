"""What both SDKs are given, and what becomes of their exceptions, which have the same names."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

import httpx2

from pipeline.config import WriterConfig
from pipeline.errors import ProviderError
from pipeline.providers.writers.chat import CONNECT_TIMEOUT_S, read_timeout_s
from pipeline.providers.writers.failures import Service

Refused = TypeVar("Refused", bound=Exception)


@dataclass(frozen=True)
class Exceptions(Generic[Refused]):
    """Those of an SDK: `refused` is an answer with an error status, `any` the base of them all."""

    timeout: type[Exception]
    connection: type[Exception]
    refused: type[Refused]
    any: type[Exception]


def open_http(config: WriterConfig) -> httpx2.Client:
    """For one call; the caller closes it. The SDKs' own would follow redirects, which may cost a
    second time, and read the environment."""
    return httpx2.Client(
        timeout=httpx2.Timeout(read_timeout_s(config), connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        verify=_certificates(),
    )


@contextmanager
def translated(
    service: Service, theirs: Exceptions[Refused], refused: Callable[[Refused], Exception]
) -> Iterator[None]:
    """Around one call; `refused` says what an answer with an error status means."""
    try:
        yield
    except theirs.timeout as error:
        raise _lost(error, service, timed_out=True) from error
    except theirs.connection as error:
        raise _lost(error, service, timed_out=False) from error
    except theirs.refused as error:
        raise refused(error) from error
    except (theirs.any, httpx2.HTTPError, ValueError) as error:
        raise service.unreadable() from error


def _lost(error: Exception, service: Service, *, timed_out: bool) -> ProviderError:
    """The cause tells whether anything was sent."""
    if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
        return service.unreachable()
    return service.lost(timed_out=timed_out)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a call to a server nearby."""
    return httpx2.create_ssl_context(trust_env=False)
