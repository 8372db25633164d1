"""Small facts about the channel, by name."""

from storage.database import Database


class Notes:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, name: str) -> str | None:
        row = await self._db.fetch_one("SELECT value FROM notes WHERE name = ?", (name,))
        return None if row is None else row["value"]

    async def set(self, name: str, value: str) -> None:
        await self._db.execute(
            "INSERT INTO notes (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    async def remove(self, name: str) -> None:
        await self._db.execute("DELETE FROM notes WHERE name = ?", (name,))
