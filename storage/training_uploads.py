"""What became of pictures that people sent, and whether they were told."""

from datetime import datetime

from storage.database import Database
from storage.errors import RecordNotFound
from storage.records import TrainingUpload, from_row, to_text


class TrainingUploads:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, job_id: int, character: str, uploaded_by: str, *, now: datetime) -> None:
        await self._db.execute(
            "INSERT INTO training_uploads (job_id, character, uploaded_by, created_at)"
            " VALUES (?, ?, ?, ?)",
            (job_id, character, uploaded_by, to_text(now)),
        )

    async def get(self, job_id: int) -> TrainingUpload:
        row = await self._db.fetch_one("SELECT * FROM training_uploads WHERE job_id = ?", (job_id,))
        if row is None:
            raise RecordNotFound(f"Job {job_id} is no upload of pictures.")
        return from_row(TrainingUpload, row)

    async def settle(self, job_id: int, result: str) -> None:
        """Keep what the stage has answered, as JSON."""
        await self._db.execute(
            "UPDATE training_uploads SET result = ? WHERE job_id = ?", (result, job_id)
        )

    async def posted(self, job_id: int, *, channel_id: int, message_id: int) -> None:
        await self._db.execute(
            "UPDATE training_uploads SET channel_id = ?, message_id = ? WHERE job_id = ?",
            (channel_id, message_id, job_id),
        )

    async def untold(self) -> list[TrainingUpload]:
        """The oldest first; some of their jobs may be under way."""
        rows = await self._db.fetch_all(
            "SELECT * FROM training_uploads WHERE told_at IS NULL ORDER BY job_id"
        )
        return [from_row(TrainingUpload, row) for row in rows]

    async def told(self, job_id: int, *, now: datetime) -> None:
        await self._db.execute(
            "UPDATE training_uploads SET told_at = ? WHERE job_id = ?", (to_text(now), job_id)
        )
