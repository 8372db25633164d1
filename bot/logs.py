"""Logging is set up once, in the entry point. One record is one line, and no secret is in it."""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from pydantic import SecretStr

from pipeline.masking import masked

# Control characters, line and paragraph separators, and what reorders text on a terminal.
_ESCAPED = [*range(32), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F]
_ESCAPED += [*range(0x2028, 0x202F), *range(0x2066, 0x206A)]
_ESCAPES = {code: f"\\u{code:04x}" for code in _ESCAPED}  # as JSON writes them


class OneLine(logging.Formatter):
    """Plain text or JSON; control characters are escaped and secrets masked, tracebacks too."""

    def __init__(self, secrets: Iterable[str], *, structured: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets: set[str] = set()
        self._structured = structured
        self.mask(*secrets)

    def mask(self, *secrets: str) -> None:
        """Also these, from the next line on."""
        self._secrets.update(secrets)

    def format(self, record: logging.LogRecord) -> str:
        text = self._as_json(record) if self._structured else self._masked(super().format(record))
        # Half a character, as only a broken text has it, would be refused by the stream.
        return text.translate(_ESCAPES).encode(errors="backslashreplace").decode()

    def _masked(self, text: str) -> str:
        return masked(text, self._secrets)

    def _as_json(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": self._masked(record.getMessage()),
        }
        if record.exc_info:
            entry["traceback"] = self._masked(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def mask(secret: SecretStr) -> None:
    """A secret that came to be after logging was set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, OneLine):
            handler.formatter.mask(secret.get_secret_value())


def set_up_logging(
    level: str,
    secrets: Iterable[str] = (),
    *,
    structured: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Send every logger of the process to one stream (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLine(secrets, structured=structured))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These speak of every request or every tick at INFO, URLs included.
    for noisy in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "apscheduler",
        "discord",
        "aiosqlite",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
