"""Why people rejected revisions, in their own words."""

from dataclasses import dataclass
from datetime import datetime

from storage.database import Database
from storage.records import from_row, to_text


@dataclass(frozen=True)
class Rejection:
    """`topic` is that of the episode."""

    episode_id: int
    revision: int
    user_id: int
    reason: str
    words: str
    topic: str
    at: datetime


class Rejections:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(
        self,
        episode_id: int,
        revision: int,
        user_id: int,
        reason: str,
        words: str,
        *,
        now: datetime,
    ) -> None:
        """A second thought of the same person replaces the first."""
        await self._db.execute(
            "INSERT INTO rejections (episode_id, revision, user_id, reason, words, at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (episode_id, revision, user_id) DO UPDATE"
            " SET reason = excluded.reason, words = excluded.words, at = excluded.at",
            (episode_id, revision, user_id, reason, words, to_text(now)),
        )

    async def remove(self, episode_id: int, revision: int, user_id: int) -> None:
        """Harmless when there is none."""
        await self._db.execute(
            "DELETE FROM rejections WHERE episode_id = ? AND revision = ? AND user_id = ?",
            (episode_id, revision, user_id),
        )

    async def recent(self, since: datetime, limit: int) -> list[Rejection]:
        """The newest first."""
        rows = await self._db.fetch_all(
            "SELECT j.*, e.topic FROM rejections j JOIN episodes e ON e.id = j.episode_id"
            " WHERE j.at >= ? ORDER BY j.at DESC, j.id DESC LIMIT ?",
            (to_text(since), limit),
        )
        return [from_row(Rejection, row) for row in rows]
