"""Google's feed of trending searches.

The feed is public and unofficial: it may vanish, throttle, or answer with a consent page. Its
bytes are hostile input. One answer is limited in time and size, a redirect is not followed, and
a document type is refused before any parser sees it (entities could expand without end).
"""

from __future__ import annotations

import re
import threading
import time
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from math import log10
from xml.etree import ElementTree

import httpx

from pipeline.errors import ProviderError
from pipeline.sections import TrendItem

HT = "{https://trends.google.com/trending/rss}"
LONGEST_NAME = 120
LONGEST_HEADLINE = 200
MOST_HEADLINES = 10
MOST_SEARCHES = 6  # as a power of ten: a million searches is the highest score


@dataclass(frozen=True)
class Limits:
    """Of one answer: seconds of silence, seconds in all, bytes after unpacking."""

    read_s: float = 5.0
    total_s: float = 20.0
    size_bytes: int = 2_000_000


class GoogleTrends:
    name = "google"

    def __init__(
        self,
        *,
        url: str,
        region: str,
        limits: Limits = Limits(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._region = region
        self._limits = limits
        self._now = now

    def fetch(self, limit: int) -> list[TrendItem]:
        """Raises ProviderError; `retryable` says whether it may work later."""
        root = _parse(_Download(self._url, self._region, self._limits).result())
        items: dict[str, TrendItem] = {}
        for element in root.iter("item"):
            item = self._item(element)
            if item is not None:
                items.setdefault(item.name.casefold(), item)
        if not items:
            raise _failure("the feed has no topics", retryable=True)
        return list(items.values())[: max(limit, 0)]

    def _item(self, element: ElementTree.Element) -> TrendItem | None:
        name = _plain(element.findtext("title"), LONGEST_NAME)
        if not name:
            return None
        titles = (
            _plain(news.findtext(f"{HT}news_item_title"), LONGEST_HEADLINE)
            for news in element.iter(f"{HT}news_item")
        )
        return TrendItem(
            name=name,
            score=score_of(element.findtext(f"{HT}approx_traffic") or ""),
            timestamp=self._time_of(element.findtext("pubDate")),
            source=self.name,
            region=self._region,
            headlines=tuple(title for title in titles if title)[:MOST_HEADLINES],
        )

    def _time_of(self, text: str | None) -> datetime:
        """The time in the feed; the time of asking when it has none or one from the future."""
        now = self._now()
        try:
            when = parsedate_to_datetime(text or "")
        except (ValueError, OverflowError):
            return now
        aware = when if when.tzinfo else when.replace(tzinfo=UTC)
        return min(aware.astimezone(UTC), now)


def score_of(approx_traffic: str) -> float:
    """Searches on a logarithmic scale, 0 to 1: log10(searches) / 6, "2000+" is 0.55."""
    digits = re.sub(r"[^0-9]", "", approx_traffic[:40])
    scale = {"K": 1_000, "M": 1_000_000}.get(approx_traffic[:40].strip("+ ")[-1:].upper(), 1)
    searches = int(digits or 0) * scale
    return round(min(log10(searches) / MOST_SEARCHES, 1.0), 3) if searches > 0 else 0.0


class _Download:
    """One GET in a thread of its own: only so can headers that drip be cut off in time."""

    def __init__(self, url: str, region: str, limits: Limits) -> None:
        self._url = url
        self._params = {"geo": region}
        self._limits = limits
        self._deadline = time.monotonic() + limits.total_s
        self._body: bytes | None = None
        self._error: Exception | None = None
        timeout = httpx.Timeout(limits.read_s)
        self._client = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)

    def result(self) -> bytes:
        thread = threading.Thread(target=self._work, name="trends-download", daemon=True)
        thread.start()
        thread.join(self._limits.total_s)
        # Closing the connection also ends a thread that still waits for headers.
        self._client.close()
        if self._error is not None:
            raise self._error
        if self._body is None:
            raise _too_slow()
        return self._body

    def _work(self) -> None:
        try:
            self._body = self._get()
        except ProviderError as error:
            self._error = error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            self._error = _failure("TRENDS_RSS_URL is not a web address; correct it")
        except httpx.TimeoutException:
            self._error = _too_slow()
        except (httpx.HTTPError, zlib.error, RuntimeError, OSError) as error:
            self._error = _failure(f"no answer ({type(error).__name__})", retryable=True)

    def _get(self) -> bytes:
        headers = {"Accept": "application/rss+xml, text/xml", "Accept-Encoding": "gzip"}
        with self._client.stream(
            "GET", self._url, params=self._params, headers=headers
        ) as response:
            _check_status(response)
            return self._read(response)

    def _read(self, response: httpx.Response) -> bytes:
        """The body, unpacked by ourselves: a small answer may unpack to gigabytes."""
        unpack = _unpacker(response.headers.get("content-encoding", "identity"))
        body = bytearray()
        for chunk in response.iter_raw():
            body += unpack(chunk, self._limits.size_bytes + 1 - len(body))
            if len(body) > self._limits.size_bytes:
                raise _failure(f"the answer is larger than {self._limits.size_bytes} bytes")
            if time.monotonic() > self._deadline:
                raise _too_slow()
        return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    match encoding.strip().lower():
        case "identity" | "":
            return lambda chunk, most: chunk[:most]
        case "gzip":
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress
        case _:
            raise _failure("the answer is packed in a way we did not ask for")


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status == httpx.codes.OK:
        return
    if response.has_redirect_location or 300 <= status < 400:
        raise _failure("the feed sends us to another address (a consent page, perhaps)")
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
        raise _failure(f"the feed answers {status}", retryable=True, after_s=_retry_after(response))
    if status == httpx.codes.NOT_FOUND:
        raise _failure(
            "the feed is gone (404); set TRENDS_RSS_URL, or TRENDS=offline", retryable=True
        )
    raise _failure(f"the feed answers {status}; set TRENDS=offline to work without it")


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    return float(text) if re.fullmatch(r"\d{1,6}", text) else None


def _parse(body: bytes) -> ElementTree.Element:
    """The feed as a tree. Decoding first and parsing text makes a declared encoding meaningless."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _failure("the feed is not UTF-8") from error
    if "\0" in text or re.search(r"<!\s*(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        if re.search(r"<html[\s>]", text, re.IGNORECASE):
            raise _failure("the answer is a web page, not a feed (a consent page, perhaps)")
        raise _failure("the feed declares a document type, which is refused")
    if re.match(r"\s*<html[\s>]", text, re.IGNORECASE):
        raise _failure("the answer is a web page, not a feed (a consent page, perhaps)")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise _failure("the feed is torn or not XML", retryable=True) from error


def _plain(text: str | None, longest: int) -> str:
    """One line of plain text: no markup, no control or direction characters, cut to length."""
    # Cut first: a title of megabytes is not worth the work.
    visible = re.sub(r"<[^>]*>", " ", unescape((text or "")[: longest * 20]))
    kept = (" " if char.isspace() else char for char in visible if not _is_invisible(char))
    return " ".join("".join(kept).split())[:longest].strip()


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Co", "Cn", "Cs"} and not char.isspace()


def _too_slow() -> ProviderError:
    return _failure("the feed answers too slowly", retryable=True)


def _failure(
    message: str, *, retryable: bool = False, after_s: float | None = None
) -> ProviderError:
    return ProviderError("google", message, retryable, after_s)
