"""Numbered migrations, recorded in `PRAGMA user_version`; a released one is never edited.

Plain sqlite3 on purpose: this runs once, before the database is opened for work.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import StorageUnusable

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(path: Path, migrations: Path = MIGRATIONS) -> int:
    """Bring the file to the newest version, which is returned; each step whole or not at all."""
    steps = _numbered(migrations)
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = _version(connection, path, newest=len(steps))
        for number in range(version + 1, len(steps) + 1):
            if version > 0:  # there is nothing to lose in a new file
                _back_up(connection, path, number - 1)
            _apply(connection, number, steps[number - 1].read_text(encoding="utf-8"))
    return len(steps)


def check(path: Path) -> None:
    """Change nothing; StorageUnusable unless the file has the schema that this program knows."""
    newest = newest_version()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
        version = _version(connection, path, newest=newest)
    if version < newest:
        raise StorageUnusable(
            f"{path} was written by an older version of this program (schema {version}, this one "
            f"needs {newest}); run `emf db init` to bring it up to date."
        )


def newest_version() -> int:
    return len(_numbered(MIGRATIONS))


def _numbered(migrations: Path) -> list[Path]:
    steps = sorted(migrations.glob("*.sql"))
    numbers = [int(entry.name[:4]) for entry in steps]
    if numbers != list(range(1, len(steps) + 1)):
        raise ValueError(f"migrations are not numbered from 1 without gaps: {numbers}")
    return steps


def _version(connection: sqlite3.Connection, path: Path, *, newest: int) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > newest:
        raise StorageUnusable(
            f"{path} was written by a newer version of this program (schema {version}, this one "
            f"knows {newest}); update the program or restore a file from backups/."
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise StorageUnusable(f"{path} is another program's database; choose another DATA_DIR.")
    return version


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    folder = path.parent / "backups"
    folder.mkdir(exist_ok=True)
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    connection.execute("VACUUM INTO ?", (str(folder / f"{path.stem}-{version}-{time}.db"),))


def _apply(connection: sqlite3.Connection, number: int, sql: str) -> None:
    # Outside the transaction, where SQLite would ignore it; steps may rebuild tables.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(sql):
            connection.execute(statement)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise sqlite3.IntegrityError(f"step {number} would break {len(broken)} references")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _statements(sql: str) -> Iterator[str]:
    # executescript() would commit first and so leave half a step behind.
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line and not line.startswith("--") for line in map(str.strip, statement.splitlines())):
        raise ValueError(f"a migration ends in the middle of a statement: {statement.strip()!r}")
