"""The one connection to studio.db, its transactions and its health.

All statements of the process go through one connection and one lock, so a reader never
sees half a transaction. Transactions hold the lock: nothing slow is awaited inside one.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiosqlite

from storage import schema
from storage.errors import StorageUnusable

Value = str | int | float | None


@dataclass(frozen=True)
class Executed:
    rows: int
    last_id: int


@dataclass(frozen=True)
class Health:
    """`problems` are sentences; none means healthy."""

    version: int
    problems: tuple[str, ...]


class Database:
    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[object] | None = None

    @classmethod
    async def open(cls, path: Path, *, migrate: bool = True) -> Self:
        """Migrate and open; StorageUnusable when the file is damaged, too new or out of reach.

        Only who holds the folder's lock may migrate; others get StorageUnusable for an old file.
        """
        with _readable_errors(path):
            await asyncio.to_thread(schema.migrate if migrate else schema.check, path)
            connection = await _connection(path)
        database = cls(connection, path)
        try:
            connection.row_factory = sqlite3.Row
            await connection.execute("PRAGMA foreign_keys = ON")
            await connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Wait for the statement under way and end the thread, also when cancelled meanwhile.

        Safe to call twice.
        """
        closing = asyncio.ensure_future(self._connection.close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All or nothing; inside another transaction of the same task it joins that one."""
        if self._is_mine():
            yield
            return
        async with self._lock:
            self._owner = asyncio.current_task()
            try:
                await self._run("BEGIN IMMEDIATE", ())
                yield
                await self._run("COMMIT", ())
            except BaseException:
                # Statements queue up in the connection's thread, so this comes after one whose
                # caller was cancelled; it does nothing when COMMIT was already on its way.
                await self._connection.rollback()
                raise
            finally:
                self._owner = None

    async def fetch_all(self, sql: str, values: Iterable[Value] = ()) -> list[sqlite3.Row]:
        """Rows of a SELECT, or of a statement with RETURNING."""
        async with self._turn():
            with _readable_errors(self.path):
                return list(await self._connection.execute_fetchall(sql, tuple(values)))

    async def fetch_one(self, sql: str, values: Iterable[Value] = ()) -> sqlite3.Row | None:
        rows = await self.fetch_all(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Iterable[Value] = ()) -> Executed:
        async with self._turn():
            return await self._run(sql, values)

    async def check(self) -> Health:
        """Read the whole file: pages, references, schema version."""
        version = (await self.fetch_all("PRAGMA user_version"))[0][0]
        problems = [
            f"The file is damaged: {row[0]}."
            for row in await self.fetch_all("PRAGMA integrity_check")
            if row[0] != "ok"
        ]
        for row in await self.fetch_all("PRAGMA foreign_key_check"):
            problems.append(f"Row {row[1]} of {row[0]} refers to a missing row of {row[2]}.")
        if version != schema.newest_version():
            problems.append(f"The schema is {version} instead of {schema.newest_version()}.")
        return Health(version, tuple(problems))

    async def backup(self, file: Path) -> None:
        """Write a copy to a file that does not exist yet, while work goes on."""
        if file.exists():
            raise StorageUnusable(f"{file} exists already; choose another name for the backup.")
        aside = file.with_name(f".{file.name}.part")
        aside.unlink(missing_ok=True)
        try:
            await self.execute("VACUUM INTO ?", (str(aside),))
            aside.rename(file)
        finally:
            aside.unlink(missing_ok=True)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._is_mine():
            yield
        else:
            async with self._lock:
                yield

    def _is_mine(self) -> bool:
        # The task and not a context variable: a task started inside a transaction inherits the
        # context and would write on after the transaction has ended.
        return self._owner is not None and self._owner is asyncio.current_task()

    async def _run(self, sql: str, values: Iterable[Value]) -> Executed:
        with _readable_errors(self.path):
            async with self._connection.execute(sql, tuple(values)) as cursor:
                return Executed(cursor.rowcount, cursor.lastrowid or 0)


def _connection(path: Path) -> aiosqlite.Connection:
    # Its thread keeps a process alive in which somebody forgot close(), unless it is a daemon;
    # it is one when it is made by one.
    made: list[aiosqlite.Connection] = []
    maker = threading.Thread(
        target=lambda: made.append(aiosqlite.connect(path, isolation_level=None, timeout=10)),
        daemon=True,
    )
    maker.start()
    maker.join()
    return made[0]


@contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # wrong SQL is a bug of ours
            raise
        raise StorageUnusable(
            f"The database {path} cannot be used: {error}. "
            "Look at the disk and the file's owner, or restore a file from backups/."
        ) from error
