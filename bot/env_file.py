"""The file `.env`: read strictly, and changed without losing what people wrote into it.

python-dotenv reads it: a value may be bare or quoted, ` #` begins a comment, and `${NAME}` is
filled in even between quotes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from pipeline.errors import UserError
from storage.files import write_atomically

EXAMPLE = ".env.example"
_LINE = re.compile(
    r"""(?P<before>\s*(?:export[^\S\r\n]+)?[^=]+=)
        [^\S\r\n]*?
        (?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?:\S[^\r\n]*?)?)
        (?P<comment>[^\S\r\n]+\#[^\r\n]*)?
        (?P<end>[^\S\r\n]*(?:\r\n|\n|\r)?)""",
    re.VERBOSE | re.DOTALL,
)


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


def read_text(env_file: Path) -> str:
    """Line ends as they are; of a file that is not there, the example beside it."""
    source = env_file if env_file.exists() else env_file.with_name(EXAMPLE)
    if not source.exists():
        return ""
    return source.read_bytes().decode("utf-8-sig")


def values_in(text: str) -> dict[str, str]:
    """What the application reads; names in capitals, empty values left out."""
    read = dotenv_values(stream=io.StringIO(text, newline=""))
    return {name.upper(): value for name, value in read.items() if value}


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The text with these settings changed in their places, new ones at its end.

    ValueError for a value that no line can hold, which is one with a line break.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    bindings = list(parse_stream(io.StringIO(text, newline="")))
    # Of a name that is there twice the last one counts.
    last = {b.key.upper(): number for number, b in enumerate(bindings) if b.key is not None}
    parts = [b.original.string for b in bindings]
    added = ""
    for name, value in values.items():
        if name in last:
            parts[last[name]] = _changed(bindings[last[name]], value)
        else:
            added += f"{name}={written(value)}{newline}"
    whole = "".join(parts)
    if added and whole and not whole.endswith(("\n", "\r")):
        whole += newline
    return whole + added


def _changed(binding: Binding, value: str) -> str:
    found = _LINE.fullmatch(binding.original.string)
    assert found is not None, "python-dotenv has read this line"
    return f"{found['before']}{written(value)}{found['comment'] or ''}{found['end']}"


def written(value: str) -> str:
    """The value as it stands behind `NAME=`: bare where it can be, for Docker knows no quotes."""
    if not value.isprintable():
        raise ValueError("holds a line break or another character that no setting has")
    # The only way to write ${: a variable without a name, whose default is the dollar.
    plain = value.replace("${", "${:-$}{")
    quoted = plain.replace("\\", "\\\\")
    ways = (plain, "'" + quoted.replace("'", "\\'") + "'", '"' + quoted.replace('"', '\\"') + '"')
    for way in ways:
        # What follows must not change the meaning, such as by closing a quote.
        if _reads_back(f"A={way}\nB='b'\nC=\"c\"\n", value):
            return way
    raise ValueError("cannot be written into a line of .env")


def _reads_back(text: str, value: str) -> bool:
    return values_in(text) == values_in("B=b\nC=c") | ({"A": value} if value else {})


def write_privately(path: Path, text: str) -> None:
    """The whole new file or the old one, for its owner only; a link stays a link."""
    path = path.resolve()
    try:
        write_atomically(path, text.encode(), mode=0o600)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); make its folder writable and try again."
        ) from None
