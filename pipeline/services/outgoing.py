"""What would go out for an episode, read from the database and the files, and its findings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ProviderError, UserError
from pipeline.publishing import checks
from pipeline.publishing.base import Outgoing
from pipeline.publishing.fingerprint import fingerprint
from pipeline.sections import Script, Video, Voices
from pipeline.shows import Show
from storage.database import Database
from storage.episodes import Episodes
from storage.errors import RecordNotFound
from storage.folder import DataFolder

log = logging.getLogger(__name__)

Probe = Callable[[Path], checks.ReelFacts]
"""Measures a reel; UserError when the file is none. Slow: it runs in a thread."""


@dataclass(frozen=True)
class Parcel:
    """`fingerprint` is made from the parts; `approved` is the one that people looked at."""

    outgoing: Outgoing
    voices: Voices
    cover_sha256: str
    fingerprint: str
    approved: str


class OutgoingReels:
    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        show: Show,
        account: str,
        ai_label: bool,
        max_hashtags: int,
        probe: Probe,
    ) -> None:
        self._episodes = Episodes(db)
        self._folder = folder
        self._show = show
        self._account = account
        self._ai_label = ai_label
        self._max_hashtags = max_hashtags
        self._probe = probe

    def mark(self, video_sha256: str, cover_sha256: str, caption: str) -> str:
        """The fingerprint of what goes to this account with this label."""
        return fingerprint(
            video_sha256=video_sha256,
            cover_sha256=cover_sha256,
            caption=caption,
            ai_label=self._ai_label,
            account=self._account,
        )

    async def read(self, episode_id: int, revision: int) -> Parcel:
        """RecordNotFound when the reel is not finished."""
        record = await self._episodes.revision(episode_id, revision)
        for name in ("script", "voices", "video"):
            if name not in record.sections:
                raise RecordNotFound(f"Episode {episode_id} has no {name} yet; finish it first.")
        try:
            script = Script.model_validate_json(record.sections["script"])
            video = Video.model_validate_json(record.sections["video"])
            voices = Voices.model_validate_json(record.sections["voices"])
        except ValueError as error:
            raise RecordNotFound(
                f"What is stored of episode {episode_id} cannot be read; make it again."
            ) from error
        caption = self._show.post_text(episode_id, script.caption, script.hashtags)
        files = self._folder.revision(episode_id, revision)
        outgoing = Outgoing(
            episode=episode_id,
            revision=revision,
            reel=files / video.reel,
            cover=files / video.cover,
            sha256=video.sha256,
            caption=caption,
            ai_label=self._ai_label,
            thumb_offset_ms=_cover_ms(voices),
        )
        mark = self.mark(video.sha256, video.cover_sha256, caption)
        return Parcel(outgoing, voices, video.cover_sha256, mark, record.fingerprint or "")

    async def findings(self, parcel: Parcel) -> list[str]:
        """Sentences that each forbid the post; reads both files completely."""
        return await asyncio.to_thread(self._findings, parcel)

    async def changes(self, parcel: Parcel) -> list[str]:
        """The findings about identity alone: is this still what was approved?"""
        return await asyncio.to_thread(lambda: list(self._changes(parcel)))

    def _findings(self, parcel: Parcel) -> list[str]:
        out = parcel.outgoing
        changes = _found(out, lambda: self._changes(parcel))
        caption = checks.caption_findings(
            out.caption,
            max_hashtags=self._max_hashtags,
            blocked_words=self._show.blocked_words,
        )
        voices = checks.voice_findings(parcel.voices)
        # A file that is not the approved one is refused whatever it measures.
        measured = [] if changes else _found(out, lambda: self._measure(out.reel))
        return [*changes, *caption, *voices, *measured]

    def _measure(self, reel: Path) -> Iterable[str]:
        return checks.reel_findings(self._probe(reel))

    def _changes(self, parcel: Parcel) -> list[str]:
        out = parcel.outgoing
        found = [
            *checks.file_findings(out.reel, out.sha256),
            *checks.cover_findings(out.cover, parcel.cover_sha256),
        ]
        if parcel.fingerprint != parcel.approved:
            found.append(
                "Caption, account or AI label are not what people looked at; render it again."
            )
        return found


def _found(out: Outgoing, look: Callable[[], Iterable[str]]) -> list[str]:
    """Whatever is wrong with one reel's files is a finding about that reel alone."""
    try:
        return list(look())
    except UserError as error:
        return [str(error)]
    except OSError as error:
        name = Path(error.filename or out.reel).name
        return [f"The file {name} cannot be read ({error.strerror})."]
    except (ProviderError, ValueError) as error:
        log.warning("episode=%s its reel cannot be measured: %s", out.episode, error)
        return [f"The file {out.reel.name} cannot be measured; render it again."]


def _cover_ms(voices: Voices) -> int:
    """The middle of the first line: a face is talking and its words are on the screen."""
    first = voices.lines[0]
    return round(1000 * (first.start_time + first.end_time) / 2)
