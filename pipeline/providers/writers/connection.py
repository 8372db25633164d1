"""The HTTP client that both SDKs get; theirs would follow redirects and read the environment."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2

from pipeline.config import WriterConfig
from pipeline.providers.writers.chat import CONNECT_TIMEOUT_S, read_timeout_s


def open_http(config: WriterConfig) -> httpx2.Client:
    """For one call; the caller closes it. A redirect is an answer, never a second request."""
    return httpx2.Client(
        timeout=httpx2.Timeout(read_timeout_s(config), connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        verify=_certificates(),
    )


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a call to a server nearby."""
    return httpx2.create_ssl_context(trust_env=False)
