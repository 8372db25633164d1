"""Messages of ours in Discord that somebody looks at: drafts and progress."""

from datetime import datetime

from storage.database import Database
from storage.records import Message, from_row, to_text


class Messages:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(
        self,
        message_id: int,
        *,
        channel_id: int,
        kind: str,
        episode_id: int,
        revision: int,
        now: datetime,
        fingerprint: str = "",
    ) -> Message:
        """`kind` is `draft` or `progress`; an older open one of the same revision is closed."""
        async with self._db.transaction():
            await self._db.execute(
                "UPDATE messages SET closed_at = ? WHERE closed_at IS NULL AND kind = ?"
                " AND episode_id = ? AND revision = ?",
                (to_text(now), kind, episode_id, revision),
            )
            row = await self._db.fetch_one(
                "INSERT INTO messages (message_id, channel_id, kind, episode_id, revision,"
                " fingerprint, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
                # Discord may answer a repeated send with the message it knows already.
                " ON CONFLICT (message_id) DO UPDATE SET closed_at = NULL,"
                " fingerprint = excluded.fingerprint RETURNING *",
                (message_id, channel_id, kind, episode_id, revision, fingerprint, to_text(now)),
            )
        assert row is not None
        return from_row(Message, row)

    async def count(self, kind: str, episode_id: int, revision: int) -> int:
        """Open and closed ones of a revision."""
        row = await self._db.fetch_one(
            "SELECT count(*) FROM messages WHERE kind = ? AND episode_id = ? AND revision = ?",
            (kind, episode_id, revision),
        )
        assert row is not None
        return int(row[0])

    async def get(self, message_id: int) -> Message | None:
        row = await self._db.fetch_one("SELECT * FROM messages WHERE message_id = ?", (message_id,))
        return None if row is None else from_row(Message, row)

    async def open(self, kind: str, episode_id: int | None = None) -> list[Message]:
        """Those still looked at, of one episode or of all, the oldest first."""
        rows = await self._db.fetch_all(
            "SELECT * FROM messages WHERE kind = ? AND closed_at IS NULL"
            " AND (? IS NULL OR episode_id = ?) ORDER BY created_at, message_id",
            (kind, episode_id, episode_id),
        )
        return [from_row(Message, row) for row in rows]

    async def open_draft(self, episode_id: int, revision: int) -> Message | None:
        drafts = await self.open("draft", episode_id)
        return next((draft for draft in drafts if draft.revision == revision), None)

    async def close(self, message_id: int, *, now: datetime) -> None:
        """Superseded, deleted or finished; safe to say twice."""
        await self._db.execute(
            "UPDATE messages SET closed_at = ? WHERE message_id = ? AND closed_at IS NULL",
            (to_text(now), message_id),
        )
