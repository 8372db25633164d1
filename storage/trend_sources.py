"""How the sources of trends did when they were last asked; one row each."""

from collections.abc import Sequence
from datetime import datetime

from storage.database import Database
from storage.records import TrendSource, from_row, to_text


class TrendSources:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def all(self) -> list[TrendSource]:
        rows = await self._db.fetch_all("SELECT * FROM trend_sources ORDER BY name")
        return [from_row(TrendSource, row) for row in rows]

    async def failing(self) -> list[TrendSource]:
        """The one that has failed most often first."""
        rows = await self._db.fetch_all(
            "SELECT * FROM trend_sources WHERE failures > 0 ORDER BY failures DESC, name"
        )
        return [from_row(TrendSource, row) for row in rows]

    async def replace(self, sources: Sequence[TrendSource]) -> None:
        """These are all there are; what is no longer asked is forgotten."""
        async with self._db.transaction():
            await self._db.execute("DELETE FROM trend_sources")
            for source in sources:
                await self._db.execute(
                    "INSERT INTO trend_sources"
                    " (name, failures, not_before, has_named, error, answered_at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        *(source.name, source.failures, _text(source.not_before)),
                        *(int(source.has_named), source.error, _text(source.answered_at)),
                    ),
                )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)
