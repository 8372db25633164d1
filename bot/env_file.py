"""The file `.env`: refused when a line of it would be passed over."""

from __future__ import annotations

from pathlib import Path

from dotenv.parser import parse_stream

from pipeline.errors import UserError


def refuse_unreadable(env_file: Path | None) -> None:
    """A line that is passed over would leave its setting at the default without a word."""
    if env_file is None or not (env_file.exists() or env_file.is_symlink()):
        return
    if not env_file.is_file():
        raise UserError(f"{env_file} is not a file; make it one with lines like NAME=value.")
    with env_file.open(encoding="utf-8-sig") as file:
        for binding in parse_stream(file):
            if binding.error or (binding.key is not None and binding.value is None):
                raise UserError(
                    f"{env_file}, line {binding.original.line} is not NAME=value; correct it."
                )
