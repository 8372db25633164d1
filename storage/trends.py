"""Topics that were fetched: once per day and source, and which episode used them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from storage.database import Database
from storage.errors import InvalidTransition, RecordNotFound
from storage.records import NewTrend, Trend, from_row, to_text


class Trends:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def store(self, trends: Iterable[NewTrend], *, now: datetime) -> int:
        """Add what today's fetch found; how many were new."""
        day = now.astimezone(UTC).date().isoformat()
        added = 0
        async with self._db.transaction():
            for trend in trends:
                done = await self._db.execute(
                    "INSERT INTO trends (name, score, timestamp, source, region, day, headlines,"
                    " refused_because) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (
                        *(trend.name, trend.score, to_text(trend.timestamp), trend.source),
                        *(trend.region, day, json.dumps(trend.headlines), trend.refused_because),
                    ),
                )
                added += done.rows
        return added

    async def get(self, trend_id: int) -> Trend:
        row = await self._db.fetch_one("SELECT * FROM trends WHERE id = ?", (trend_id,))
        if row is None:
            raise RecordNotFound(f"There is no trend {trend_id}.")
        return from_row(Trend, row)

    async def newest(self, limit: int) -> list[Trend]:
        """Used and refused ones included; the latest fetch first, then by score."""
        rows = await self._db.fetch_all(
            "SELECT * FROM trends ORDER BY day DESC, score DESC, id LIMIT ?", (limit,)
        )
        return [from_row(Trend, row) for row in rows]

    async def unused(
        self, *, since: datetime, limit: int, fetched: str | None = None
    ) -> list[Trend]:
        """Topics that may be used, each name once, the best first.

        A name used or refused under any source since then is left out. `fetched` is the first
        day (YYYY-MM-DD) that counts; the day of `since` when it is not given.
        """
        start = since.astimezone(UTC).date().isoformat()
        rows = await self._db.fetch_all(
            "SELECT *, max(score) FROM trends AS t WHERE day >= ? AND refused_because IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM trends AS u WHERE u.name = t.name AND u.day >= ?"
            " AND (u.used_in_episode IS NOT NULL OR u.refused_because IS NOT NULL))"
            " GROUP BY name ORDER BY score DESC, id LIMIT ?",
            (fetched or start, start, limit),
        )
        return [from_row(Trend, row) for row in rows]

    async def names_used(self, *, since: datetime) -> list[str]:
        """What episodes since then are about, topics given by hand included."""
        rows = await self._db.fetch_all(
            "SELECT name FROM trends WHERE used_in_episode IS NOT NULL AND day >= ?"
            " UNION SELECT topic FROM episodes WHERE topic != '' AND created_at >= ?",
            (since.astimezone(UTC).date().isoformat(), to_text(since)),
        )
        return [row["name"] for row in rows]

    async def refused(self, *, since: datetime) -> list[Trend]:
        """Each name once."""
        rows = await self._db.fetch_all(
            "SELECT *, max(id) FROM trends WHERE refused_because IS NOT NULL AND day >= ?"
            " GROUP BY name ORDER BY id",
            (since.astimezone(UTC).date().isoformat(),),
        )
        return [from_row(Trend, row) for row in rows]

    async def newest_named(self, name: str) -> Trend | None:
        """Its latest row that is about this topic, whatever the source."""
        row = await self._db.fetch_one(
            "SELECT * FROM trends WHERE name = ? ORDER BY day DESC, score DESC, id LIMIT 1", (name,)
        )
        return None if row is None else from_row(Trend, row)

    async def mark_used(self, trend_id: int, episode_id: int) -> Trend:
        """InvalidTransition when another episode has it."""
        row = await self._db.fetch_one(
            "UPDATE trends SET used_in_episode = ?"
            " WHERE id = ? AND coalesce(used_in_episode, ?) = ? RETURNING *",
            (episode_id, trend_id, episode_id, episode_id),
        )
        if row is None:
            trend = await self.get(trend_id)
            raise InvalidTransition(
                f"{trend.name} is the topic of episode {trend.used_in_episode} already."
            )
        return from_row(Trend, row)
