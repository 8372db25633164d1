"""The messages people look at: which reel lacks its draft, which draft is which reel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pipeline.engine import Engine
from pipeline.errors import UserError
from pipeline.sections import Preview
from pipeline.services.bookkeeping import UPLOAD_LIMIT
from storage.database import Database
from storage.episodes import Episodes
from storage.messages import Messages
from storage.notes import Notes
from storage.records import Episode, Message
from storage.states import EpisodeState

SMALLEST_PREVIEW = 300_000
"""Bytes; below this a reel cannot be judged any more."""
TURNED_DOWN_FOR = timedelta(days=3)
"""After this a rejected or spoiled reel changes its mind through a command only."""
SHRINK = 0.6
"""A refused preview is made again at this part of its size."""


class Drafts:
    def __init__(self, *, db: Database, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._episodes = Episodes(db)
        self._messages = Messages(db)
        self._notes = Notes(db)

    async def missing(self) -> list[Episode]:
        """Finished reels under review without an open draft."""
        waiting = await self._episodes.newest(EpisodeState.IN_REVIEW, EpisodeState.APPROVED)
        shown = {(draft.episode_id, draft.revision) for draft in await self.open()}
        return [e for e in reversed(waiting) if (e.id, e.revision) not in shown]

    async def open(self) -> list[Message]:
        """Drafts that people may vote on, the oldest first."""
        return await self._messages.open("draft")

    async def watched(self) -> list[Message]:
        """Open drafts whose reactions are read back: not those that were turned down long ago."""
        recent = self._clock() - TURNED_DOWN_FOR
        closed = await self._episodes.newest(
            EpisodeState.REJECTED, EpisodeState.SPOILED, limit=10_000
        )
        old = {episode.id for episode in closed if episode.updated_at < recent}
        return [draft for draft in await self.open() if draft.episode_id not in old]

    async def shown(self, episode: Episode) -> int:
        """How many drafts of the current revision there have been."""
        return await self._messages.count("draft", episode.id, episode.revision)

    async def is_known(self, message_id: int) -> bool:
        """Whether this message was noted before, open or closed."""
        return await self._messages.get(message_id) is not None

    async def posted(
        self, message_id: int, *, channel_id: int, episode: Episode, fingerprint: str
    ) -> Message:
        """Remember the message that shows the current revision."""
        return await self._messages.add(
            message_id,
            channel_id=channel_id,
            kind="draft",
            episode_id=episode.id,
            revision=episode.revision,
            fingerprint=fingerprint,
            now=self._clock(),
        )

    async def find(self, message_id: int) -> Message | None:
        """The open draft with this id, if it is one of ours."""
        message = await self._messages.get(message_id)
        if message is None or message.kind != "draft" or message.closed_at is not None:
            return None
        return message

    async def close(self, message_id: int) -> None:
        """The message is gone or superseded; a reel still under review gets a new draft."""
        await self._messages.close(message_id, now=self._clock())

    async def set_upload_limit(self, limit_bytes: int) -> None:
        """What the server takes now (boosts come and go); a limit learnt by refusal stays."""
        known = await self._notes.get(UPLOAD_LIMIT)
        if known is None or limit_bytes < int(known):
            await self._notes.set(UPLOAD_LIMIT, str(limit_bytes))

    async def make_smaller(self, episode_id: int) -> None:
        """Discord refused the file: remember a smaller limit and make a preview that fits it."""
        episode = await self._episodes.get(episode_id)
        preview = Preview.model_validate_json(
            await self._episodes.section(episode_id, episode.revision, "preview")
        )
        limit = int(preview.size_bytes * SHRINK)
        if limit < SMALLEST_PREVIEW:
            raise UserError(
                "Discord refuses even a tiny preview; look at the approval channel's permissions."
            )
        await self._notes.set(UPLOAD_LIMIT, str(limit))
        await self._engine.queue(
            "preview", episode_id=episode_id, revision=episode.revision, until_stage="preview"
        )
