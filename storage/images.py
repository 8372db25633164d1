"""The image library's rows; the files lie in DATA_DIR/library/."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from storage.database import Database
from storage.records import LibraryImage, NewImage, from_row, to_text


class Images:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, images: Iterable[NewImage], *, now: datetime) -> int:
        """Those whose path is new; how many that were."""
        added = 0
        async with self._db.transaction():
            for image in images:
                done = await self._db.execute(
                    "INSERT INTO image_library (character, emotion, path, sha256, width, height,"
                    " source, promotion_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (
                        *(image.character, image.emotion, image.path, image.sha256),
                        *(image.width, image.height, image.source),
                        *(image.promotion_id, to_text(now)),
                    ),
                )
                added += done.rows
        return added

    async def repaint(self, images: Iterable[NewImage]) -> None:
        """What is now in the files of rows that have the same path and source."""
        async with self._db.transaction():
            for image in images:
                await self._db.execute(
                    "UPDATE image_library SET sha256 = ?, width = ?, height = ?"
                    " WHERE path = ? AND source = ?",
                    (image.sha256, image.width, image.height, image.path, image.source),
                )

    async def exists(self, path: str) -> bool:
        row = await self._db.fetch_one("SELECT 1 FROM image_library WHERE path = ?", (path,))
        return row is not None

    async def for_characters(self, characters: Collection[str]) -> list[LibraryImage]:
        """All pictures of them in one query, in any letter case, the least used first."""
        marks = ", ".join("?" for _ in characters)
        rows = await self._db.fetch_all(
            f"SELECT * FROM image_library WHERE character IN ({marks})"
            " ORDER BY character, emotion, usage_count, last_used_at, id",
            tuple(characters),
        )
        return [from_row(LibraryImage, row) for row in rows]

    async def drawn_by(self, promotion_id: int) -> list[LibraryImage]:
        """What people have approved of a model's drawings, whenever it was promoted before."""
        rows = await self._db.fetch_all(
            "SELECT image_library.* FROM image_library"
            " JOIN promotions AS earlier ON earlier.id = image_library.promotion_id"
            " JOIN promotions AS wanted"
            " ON wanted.path = earlier.path AND wanted.sha256 = earlier.sha256"
            " WHERE wanted.id = ? ORDER BY image_library.id",
            (promotion_id,),
        )
        return [from_row(LibraryImage, row) for row in rows]

    async def count_usage(self, times: Mapping[int, int], *, now: datetime) -> None:
        """Add to the counters: image id -> how many lines showed it."""
        async with self._db.transaction():
            for image_id, count in times.items():
                await self._db.execute(
                    "UPDATE image_library SET usage_count = usage_count + ?, last_used_at = ?"
                    " WHERE id = ?",
                    (count, to_text(now), image_id),
                )
