"""The last answer of each address, so that an unchanged one need not be sent again.

One file per address, named by its hash: an address may hold a token. A damaged file counts as
absent, and only so many are kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

MOST_FILES = 64
LONGEST_VALIDATOR = 500


@dataclass(frozen=True)
class Answer:
    """`etag` and `last_modified` are the headers as they came, or empty."""

    body: bytes
    etag: str = ""
    last_modified: str = ""

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the body only if it has changed."""
        pairs = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in pairs.items() if value}


class Answers:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, address: str) -> Answer | None:
        try:
            head, _, body = self._file(address).read_bytes().partition(b"\n")
            known = json.loads(head)
            if known["sha256"] != hashlib.sha256(body).hexdigest():
                return None
            return Answer(body, str(known["etag"]), str(known["last_modified"]))
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def keep(self, address: str, answer: Answer) -> None:
        """Only an answer that can be asked for again by its validators; never raises OSError."""
        validators = (answer.etag, answer.last_modified)
        try:
            if not any(validators) or max(map(len, validators)) > LONGEST_VALIDATOR:
                self._file(address).unlink(missing_ok=True)
                return
            self._write(self._file(address), answer)
            self._forget_old_ones()
        except OSError as error:  # the topics are good without it
            log.warning("an answer of a trend source cannot be kept: %s", error.strerror)

    def _write(self, file: Path, answer: Answer) -> None:
        head = {
            "etag": answer.etag,
            "last_modified": answer.last_modified,
            "sha256": hashlib.sha256(answer.body).hexdigest(),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}.part")
        try:
            # Not synced: what a power cut tears does not fit its checksum.
            aside.write_bytes(json.dumps(head).encode() + b"\n" + answer.body)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)

    def _forget_old_ones(self) -> None:
        files = sorted(self._folder.iterdir(), key=_age_key, reverse=True)
        for file in files[MOST_FILES:]:
            file.unlink(missing_ok=True)

    def _file(self, address: str) -> Path:
        return self._folder / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.answer"


def _age_key(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0  # another process has removed it
