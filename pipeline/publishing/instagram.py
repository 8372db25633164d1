"""Reels on Instagram: create a container, upload from disk, wait, publish, find it again.

https://developers.facebook.com/docs/instagram-platform/content-publishing
The cover is the picture of the reel at `thumb_offset`: a cover file of our own would need an
address that Meta can fetch it from. cover.jpg stays what people see in the draft.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.publishing.answers import PLATFORM, TRANSIENT_S, Unreadable, is_final
from pipeline.publishing.base import (
    Container,
    ContainerState,
    ContainerStatus,
    Locked,
    Media,
    Outgoing,
    Passing,
    Permanent,
    PublishError,
    Quota,
    StartOver,
    Unknown,
    Unseen,
)
from pipeline.publishing.graph import Graph
from pipeline.publishing.token_keeper import TokenKeeper
from pipeline.publishing.usage import Usage

CHUNK = 1 << 18
UPLOAD_TRIES = 4
PAGES, PER_PAGE = 4, 50
CLOCK_SKEW = timedelta(minutes=5)


class InstagramPublisher:
    """`keeper` has the token; `timeout_s` is for a single read or write of an ordinary call."""

    platform = PLATFORM

    def __init__(
        self,
        *,
        keeper: TokenKeeper,
        user_id: str,
        graph_url: str,
        upload_url: str,
        clock: Callable[[], datetime],
        timeout_s: float = 30,
    ) -> None:
        self.account = user_id
        self.keeper = keeper
        self._usage = Usage(clock)
        self._graph = Graph(
            token=keeper.token,
            graph_url=graph_url,
            upload_url=upload_url,
            usage=self._usage,
            timeout_s=timeout_s,
        )

    async def close(self) -> None:
        await self._graph.close()

    async def keep_access(self) -> str:
        try:
            return await self.keeper.keep()
        finally:
            self._graph.use(self.keeper.token)

    def held_s(self) -> float:
        return self._usage.held_s()

    async def quota(self) -> Quota:
        answer = await self._get(
            f"{self.account}/content_publishing_limit", fields="config,quota_usage"
        )
        match answer:
            case {"data": [{"quota_usage": int(used), "config": {"quota_total": int(total)}}, *_]}:
                return Quota(used=used, total=total)
        raise _odd("quota")

    async def create(self, post: Outgoing) -> Container:
        parameters = {
            "media_type": "REELS",
            "upload_type": "resumable",
            "caption": post.caption,
            "share_to_feed": "true",
            "thumb_offset": str(post.thumb_offset_ms),
        }
        if post.ai_label:
            parameters["is_ai_generated"] = "true"
        try:
            answer = await self._graph.post(f"{self.account}/media", **parameters)
            container_id = _id(answer)
        except Unreadable as error:  # an orphan container is never public
            raise _passing(error) from error
        except Permanent as error:
            raise _without_uploads(error) from error
        uri = self._graph.checked_upload_url(str(answer.get("uri", "")))
        return Container(id=container_id, upload_url=uri)

    async def upload(self, container: Container, path: Path, expected_sha256: str) -> None:
        """Send the file, going on from where a broken connection stopped."""
        uri = self._graph.checked_upload_url(container.upload_url)
        reader = await asyncio.to_thread(_Reader, path)
        offset = 0
        try:
            for _ in range(UPLOAD_TRIES):
                sent = await self._send_from(reader, uri, offset)
                if not sent:
                    offset = await self._offset(container, reader.size)
                if sent or offset == reader.size:
                    return reader.confirm(expected_sha256)
        finally:
            reader.close()
        raise Passing(PLATFORM, f"the upload broke off {UPLOAD_TRIES} times.", TRANSIENT_S)

    async def status(self, container_id: str) -> ContainerStatus:
        answer = await self._get(container_id, fields="status_code,status")
        try:
            state = ContainerState(str(answer.get("status_code")))
        except ValueError as error:
            raise _odd("status") from error
        detail = str(answer.get("status", ""))[:300]
        return ContainerStatus(state, detail, is_final=is_final(detail))

    async def publish(self, container_id: str) -> str:
        try:
            answer = await self._graph.post(
                f"{self.account}/media_publish", creation_id=container_id
            )
            return _id(answer)
        except (Passing, Locked, Permanent):
            raise  # certainly not public
        except PublishError as error:
            raise Unknown(PLATFORM, error.message) from error

    async def look_up(self, caption: str, since: datetime) -> Media | None:
        """The listing is newest first; timestamps are Meta's clock, hence the tolerance."""
        wanted, after = _plain(caption), ""
        for _ in range(PAGES):
            paging = {"after": after} if after else {}
            page = await self._get(
                f"{self.account}/media",
                fields="id,caption,timestamp,permalink",
                limit=str(PER_PAGE),
                **paging,
            )
            entries = _entries(page)
            for entry in entries:
                if _when(entry) < since - CLOCK_SKEW:
                    return None
                if _plain(str(entry.get("caption", ""))) == wanted:
                    return _media(entry)
            # `paging.next` is a complete address with the token in it: only the cursor is used.
            after = _cursor(page)
            if not after or len(entries) < PER_PAGE:
                return None
        return None

    async def permalink(self, media_id: str) -> str:
        return str((await self._get(media_id, fields="id,permalink")).get("permalink", ""))

    async def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        try:
            return await self._graph.get(path, **parameters)
        except Unreadable as error:
            raise _passing(error) from error

    async def _send_from(self, reader: _Reader, uri: str, offset: int) -> bool:
        """True once the host has confirmed everything; False when the connection broke."""
        headers = {"offset": str(offset), "file_size": str(reader.size)}
        length = reader.size - offset
        try:
            answer = await self._graph.send(
                uri, reader.chunks(offset), length=length, headers=headers
            )
        except Unreadable:
            return False
        if answer.get("success") is not True:
            raise StartOver(PLATFORM, "the upload was not confirmed.")
        return True

    async def _offset(self, container: Container, size: int) -> int:
        """How many bytes have arrived; StartOver when the platform does not say."""
        try:
            answer = await self._get(container.id, fields="video_status")
        except (Permanent, Unseen) as error:
            raise StartOver(PLATFORM, "nobody knows how far the upload got.") from error
        match answer:
            case {"video_status": {"uploading_phase": {"bytes_transferred": int(offset)}}} if (
                0 <= offset <= size
            ):
                return offset
        raise StartOver(PLATFORM, "nobody knows how far the upload got.")


class _Reader:
    """Reads a file to send it, hashing all of it on the way, what is skipped included."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._path = path
        self._digest = hashlib.sha256()
        self._before = self._fingerprint()
        self.size = path.stat().st_size

    def close(self) -> None:
        self._file.close()

    async def chunks(self, offset: int) -> AsyncIterator[bytes]:
        self._file.seek(0)
        self._digest = hashlib.sha256()
        at = 0
        while at < self.size:
            limit = offset - at if at < offset else self.size - at
            chunk = await asyncio.to_thread(self._file.read, min(CHUNK, limit))
            if not chunk:
                return
            self._digest.update(chunk)
            at += len(chunk)
            if at > offset:
                yield chunk

    def confirm(self, expected_sha256: str) -> None:
        """Permanent when what was sent is not the approved file, or it changed between parts."""
        same = self._before == self._fingerprint()
        if not same or self._digest.hexdigest() != expected_sha256:
            raise Permanent(PLATFORM, f"{self._path.name} is not the file that was approved.")

    def _fingerprint(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns


def _without_uploads(error: Permanent) -> Permanent:
    """What Instagram Login answers, which fetches videos from public addresses only."""
    if "video_url is required" not in error.message:
        return error
    return Permanent(
        PLATFORM,
        "this token cannot upload files; make one with Facebook Login or for a system user, set "
        "META_ACCESS_TOKEN and INSTAGRAM_GRAPH_URL=https://graph.facebook.com/v26.0, start the bot "
        "again, then use /publish retry.",
    )


def _passing(error: PublishError) -> Passing:
    return Passing(PLATFORM, error.message, error.retry_after_s or TRANSIENT_S)


def _odd(what: str) -> Passing:
    return Passing(PLATFORM, f"the answer about the {what} makes no sense.", TRANSIENT_S)


def _id(answer: dict[str, Any]) -> str:
    text = str(answer.get("id", ""))
    if not re.fullmatch(r"\d{1,40}(_\d{1,40})?", text):
        raise Unreadable(PLATFORM, "the answer holds no id.", True)
    return text


def _media(entry: dict[str, Any]) -> Media:
    try:
        return Media(id=_id(entry), permalink=str(entry.get("permalink", "")))
    except Unreadable as error:
        raise _odd("posts") from error


def _entries(page: dict[str, Any]) -> list[dict[str, Any]]:
    data = page.get("data")
    if not isinstance(data, list):
        raise _odd("posts")
    return [entry for entry in data if isinstance(entry, dict)]


def _cursor(page: dict[str, Any]) -> str:
    match page:
        case {"paging": {"cursors": {"after": str(after)}}}:
            return after
    return ""


def _when(entry: dict[str, Any]) -> datetime:
    try:
        return datetime.strptime(str(entry.get("timestamp")), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError as error:
        raise _odd("posts") from error


def _plain(caption: str) -> str:
    """Captions compare equal when only line ends or spaces around lines differ."""
    lines = unicodedata.normalize("NFC", caption).replace("\r\n", "\n").split("\n")
    return "\n".join(line.strip() for line in lines).strip()
