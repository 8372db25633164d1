"""Hostile bytes -> plain values: XML without document types, JSON of limited depth, titles."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any
from xml.etree import ElementTree

from pipeline.errors import ProviderError

LONGEST_NAME = 120
LONGEST_HEADLINE = 200
MOST_HEADLINES = 10

_WEB_PAGE = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)[\s>]", re.IGNORECASE)
_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}encoding=["']([\w-]{1,20})["']""")
_OLD_ENCODINGS = {"iso-8859-1": "iso-8859-1", "latin-1": "iso-8859-1", "windows-1252": "cp1252"}


def read_xml(source: str, body: bytes) -> ElementTree.Element:
    """A feed as a tree; ProviderError for document types, web pages and torn answers.

    It is decoded first and parsed as text, so that a declared encoding cannot hide anything.
    """
    text = _decoded(source, body)
    if _WEB_PAGE.match(text):
        raise _web_page(source)
    if "\0" in text or re.search(r"<!\s*(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ProviderError(source, "the feed declares a document type, which is refused")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ProviderError(source, "the feed is torn or not XML", True) from error


def read_json(source: str, body: bytes) -> Any:
    """ProviderError for what is not JSON; whoever reads it looks at every type."""
    try:
        text = body.decode("utf-8-sig")
        if _WEB_PAGE.match(text):
            raise _web_page(source)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProviderError(source, "the answer is torn or not JSON", True) from error


def plain(text: object, longest: int) -> str:
    """One line of plain text: no markup, no control or direction characters, cut to length."""
    if not isinstance(text, str):
        return ""
    # Cut first: a title of megabytes is not worth the work.
    visible = re.sub(r"<[^>]*>", " ", unescape(text[: longest * 20]))
    kept = (" " if char.isspace() else char for char in visible if not _is_invisible(char))
    return " ".join("".join(kept).split())[:longest].strip()


def read_time(text: str | None, now: datetime) -> datetime | None:
    """RFC 822 or ISO 8601, in UTC and never later than `now`; None when it is neither."""
    text = (text or "").strip()[:60]
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = read(text)
            aware = when if when.tzinfo else when.replace(tzinfo=UTC)
            return min(aware.astimezone(UTC), now)
        except (ValueError, OverflowError, TypeError):
            continue
    return None


def _decoded(source: str, body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        declared = _DECLARED.match(body)
        name = declared[1].decode("ascii").lower() if declared else ""
        if name in _OLD_ENCODINGS:
            # A superset of ASCII, so nothing can be hidden from the search for document types.
            return body.decode(_OLD_ENCODINGS[name], errors="replace")
        raise ProviderError(source, "the feed is not UTF-8") from error


def _web_page(source: str) -> ProviderError:
    return ProviderError(source, "the answer is a web page, not a feed (a consent page, perhaps)")


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Co", "Cn", "Cs"} and not char.isspace()
