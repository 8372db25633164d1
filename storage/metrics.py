"""One row per revision: how long each stage took and what it cost."""

from collections.abc import Iterable
from datetime import datetime

from storage.database import Database
from storage.records import GenerationMetrics, from_row, to_text
from storage.spend import PaidCall

_COLUMNS = {
    "trends": "seconds_trends",
    "script": "seconds_script",
    "voices": "seconds_audio",
    "images": "seconds_images",
    "video": "seconds_video",
}


class Metrics:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def record(
        self,
        episode_id: int,
        revision: int,
        *,
        stage: str,
        seconds: float,
        now: datetime,
        peak_rss_mb: float | None = None,
        result: str = "succeeded",
    ) -> None:
        """Add a stage to the row; a stage without a column of its own counts in the total.

        `result` is `succeeded`, `failed` or `cancelled`.
        """
        key = (episode_id, revision)
        async with self._db.transaction():
            await self._make_row(episode_id, revision, result, now)
            await self._db.execute(
                "UPDATE generation_metrics SET timestamp = ?, result = ?,"
                " seconds_total = round(coalesce(seconds_total, 0) + ?, 3),"
                " peak_rss_mb = nullif(max(coalesce(peak_rss_mb, 0), ?), 0)"
                " WHERE episode = ? AND revision = ?",
                (to_text(now), result, seconds, peak_rss_mb or 0, *key),
            )
            if column := _COLUMNS.get(stage):
                await self._db.execute(
                    f"UPDATE generation_metrics SET {column} = coalesce({column}, 0) + ?"
                    " WHERE episode = ? AND revision = ?",
                    (seconds, *key),
                )

    async def add_cost(
        self, episode_id: int, revision: int, calls: Iterable[PaidCall], *, now: datetime
    ) -> None:
        """What an attempt has paid, however it ended; a row of its own says `failed` until a
        stage has more to say."""
        calls = list(calls)
        if not calls:
            return
        async with self._db.transaction():
            await self._make_row(episode_id, revision, "failed", now)
            await self._db.execute(
                "UPDATE generation_metrics SET cost_usd = cost_usd + ?, chars_tts = chars_tts + ?,"
                " tokens_in = tokens_in + ?, tokens_out = tokens_out + ?"
                " WHERE episode = ? AND revision = ?",
                (
                    sum(call.usd for call in calls),
                    sum(call.chars for call in calls),
                    sum(call.tokens_in for call in calls),
                    sum(call.tokens_out for call in calls),
                    *(episode_id, revision),
                ),
            )

    async def get(self, episode_id: int, revision: int) -> GenerationMetrics | None:
        row = await self._db.fetch_one(
            "SELECT * FROM generation_metrics WHERE episode = ? AND revision = ?",
            (episode_id, revision),
        )
        return None if row is None else from_row(GenerationMetrics, row)

    async def newest(self, limit: int) -> list[GenerationMetrics]:
        rows = await self._db.fetch_all(
            "SELECT * FROM generation_metrics ORDER BY timestamp DESC LIMIT ?", (limit,)
        )
        return [from_row(GenerationMetrics, row) for row in rows]

    async def _make_row(self, episode_id: int, revision: int, result: str, now: datetime) -> None:
        await self._db.execute(
            "INSERT INTO generation_metrics (episode, revision, timestamp, result)"
            " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (episode_id, revision, to_text(now), result),
        )
