"""What may go wrong with one message of ours, and spares all others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cogs._votes import UNREACHABLE
from pipeline.errors import ProviderError, UserError
from storage.errors import StorageError

REFUSALS = (UserError, ProviderError, StorageError)


@contextmanager
def troubles_logged(log: logging.Logger, about: str) -> Iterator[None]:
    """`about` names the message in the log; it is tried again in a few minutes."""
    try:
        yield
    except (*REFUSALS, *UNREACHABLE) as error:
        log.warning("%s %s", about, error)
