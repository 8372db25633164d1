"""What both SDKs are given and what they lose: the HTTP client, and failures of its connections."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2

from pipeline.config import WriterConfig
from pipeline.errors import ProviderError
from pipeline.providers.writers.chat import CONNECT_TIMEOUT_S, read_timeout_s
from pipeline.providers.writers.failures import Service


def open_http(config: WriterConfig) -> httpx2.Client:
    """For one call; the caller closes it. The SDKs' own would follow redirects, which may cost a
    second time, and read the environment."""
    return httpx2.Client(
        timeout=httpx2.Timeout(read_timeout_s(config), connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        verify=_certificates(),
    )


def lost(error: Exception, service: Service, *, timed_out: bool) -> ProviderError:
    """For a connection error of either SDK; its cause tells whether anything was sent."""
    if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
        return service.unreachable()
    return service.lost(timed_out=timed_out)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a call to a server nearby."""
    return httpx2.create_ssl_context(trust_env=False)
