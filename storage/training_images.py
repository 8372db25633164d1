"""Pictures that characters are trained with; the files lie in DATA_DIR/training/<character>/."""

import json
from dataclasses import dataclass
from datetime import datetime

from storage.database import Database
from storage.records import TrainingImage, from_row, to_text


@dataclass(frozen=True)
class NewTrainingImage:
    """`path` is relative to DATA_DIR; `average_hash` is 16 hexadecimal digits."""

    character: str
    sha256: str
    source_sha256: str
    path: str
    width: int
    height: int
    average_hash: str
    sharpness: float
    remarks: tuple[str, ...]
    uploaded_by: str


class TrainingImages:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, image: NewTrainingImage, *, now: datetime) -> bool:
        """False when the character has this picture already."""
        done = await self._db.execute(
            "INSERT INTO training_images (character, sha256, source_sha256, path, width, height,"
            " average_hash, sharpness, remarks, uploaded_by, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(image.character, image.sha256, image.source_sha256, image.path),
                *(image.width, image.height, image.average_hash, image.sharpness),
                *(json.dumps(image.remarks), image.uploaded_by, to_text(now)),
            ),
        )
        return bool(done.rows)

    async def of(self, character: str) -> list[TrainingImage]:
        """In any letter case, the oldest first."""
        rows = await self._db.fetch_all(
            "SELECT * FROM training_images WHERE character = ? ORDER BY id", (character,)
        )
        return [from_row(TrainingImage, row) for row in rows]

    async def remove(self, image_id: int) -> bool:
        """False when it is gone already."""
        done = await self._db.execute("DELETE FROM training_images WHERE id = ?", (image_id,))
        return bool(done.rows)

    async def count(self) -> dict[str, int]:
        """Casefolded character -> how many pictures; those without any are not in it."""
        rows = await self._db.fetch_all(
            "SELECT lower(character) AS name, count(*) AS many FROM training_images GROUP BY 1"
        )
        return {row["name"]: row["many"] for row in rows}
