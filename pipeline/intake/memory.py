"""A limit for a process that decodes what strangers send."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATM = Path("/proc/self/statm")


@contextmanager
def limited_memory(more_bytes: int) -> Iterator[None]:
    """The process may take so much more address space than it has; the old limit comes back.

    MemoryError where more is asked for. Without /proc (not Linux) there is no limit.
    """
    if not STATM.exists():
        yield
        return
    used = int(STATM.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    finite = [old for old in (soft, hard) if old != resource.RLIM_INFINITY]
    limit = min([used + more_bytes, *finite])
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
