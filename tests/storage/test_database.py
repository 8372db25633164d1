import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from storage import schema
from storage.database import Database
from storage.errors import StorageUnusable

INSERT = "INSERT INTO notes (name, value) VALUES (?, ?)"


async def names(database):
    return [row[0] for row in await database.fetch_all("SELECT name FROM notes ORDER BY name")]


async def write_then(database, action):
    async with database.transaction():
        await database.execute(INSERT, ("a", "1"))
        await action()


async def fail():
    raise LookupError


async def test_a_transaction_is_kept_as_a_whole(database):
    async with database.transaction():
        await database.execute(INSERT, ("a", "1"))
        await database.execute(INSERT, ("b", "2"))
    assert await names(database) == ["a", "b"]


async def test_an_exception_undoes_the_transaction(database):
    with pytest.raises(LookupError):
        await write_then(database, fail)
    assert await names(database) == []


async def test_a_cancelled_task_undoes_its_transaction(database):
    wrote = asyncio.Event()

    async def pause():
        wrote.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(write_then(database, pause))
    await wrote.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await names(database) == []


async def test_a_task_cancelled_at_any_step_leaves_all_or_nothing(database):
    async def write_both():
        async with database.transaction():
            await database.execute("DELETE FROM notes")
            await database.execute(INSERT, ("a", "1"))
            await database.execute(INSERT, ("b", "2"))

    seen = set()
    for steps in range(40):
        await database.execute("DELETE FROM notes")
        task = asyncio.create_task(write_both())
        for _ in range(steps):
            await asyncio.sleep(0.0001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        seen.add(tuple(await names(database)))
    assert seen <= {(), ("a", "b")}


async def test_an_inner_transaction_joins_the_outer_one(database):
    async def inner_then_fail():
        async with database.transaction():
            async with database.transaction():
                await database.execute(INSERT, ("a", "1"))
            raise LookupError

    with pytest.raises(LookupError):
        await inner_then_fail()
    assert await names(database) == []


async def test_another_task_never_sees_half_a_transaction(database):
    wrote, go_on = asyncio.Event(), asyncio.Event()

    async def pause():
        wrote.set()
        await go_on.wait()

    writer = asyncio.create_task(write_then(database, pause))
    await wrote.wait()
    reader = asyncio.create_task(names(database))
    await asyncio.sleep(0.01)
    assert not reader.done()
    go_on.set()
    await writer
    assert await reader == ["a"]


async def test_a_task_started_inside_a_transaction_is_not_part_of_it(database):
    async def start_another_and_fail():
        async with database.transaction():
            started.append(asyncio.create_task(database.execute(INSERT, ("own", "1"))))
            await database.execute(INSERT, ("a", "1"))
            raise LookupError

    started = []
    with pytest.raises(LookupError):
        await start_another_and_fail()
    await started[0]
    assert await names(database) == ["own"]


async def test_many_writers_at_once_all_succeed(database):
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(database.execute(INSERT, (f"{number:03}", "x")))
    assert len(await names(database)) == 100


async def test_references_are_enforced(database):
    with pytest.raises(sqlite3.IntegrityError):
        await database.execute(
            "INSERT INTO revisions (episode_id, number, created_at) VALUES (7, 1, 'now')"
        )


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 10_000), ("foreign_keys", 1)],
)
async def test_the_connection_is_set_up_for_durable_concurrent_work(database, pragma, value):
    assert (await database.fetch_one(f"PRAGMA {pragma}"))[0] == value


async def test_another_process_that_reads_does_not_disturb_a_writer(database):
    with closing(sqlite3.connect(database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM notes").fetchall()
        await database.execute(INSERT, ("a", "1"))
    assert await names(database) == ["a"]


async def test_a_healthy_database_has_no_problems(database):
    health = await database.check()
    assert (health.version, health.problems) == (schema.newest_version(), ())


async def test_a_broken_reference_is_reported(database):
    with closing(sqlite3.connect(database.path)) as other:
        other.execute("INSERT INTO revisions (episode_id, number, created_at) VALUES (7, 1, 'x')")
        other.commit()
    assert (await database.check()).problems == (
        "Row None of revisions refers to a missing row of episodes.",
    )


async def test_another_schema_version_is_reported(database):
    await database.execute("PRAGMA user_version = 0")
    newest = schema.newest_version()
    assert (await database.check()).problems == (f"The schema is 0 instead of {newest}.",)


async def test_a_backup_holds_what_was_committed(database, tmp_path):
    await database.execute(INSERT, ("a", "1"))
    await database.backup(tmp_path / "copy.db")
    async with await Database.open(tmp_path / "copy.db") as copy:
        assert await names(copy) == ["a"]


async def test_a_backup_never_overwrites_a_file(database, tmp_path):
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StorageUnusable, match="exists already"):
        await database.backup(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


async def test_a_backup_into_a_missing_folder_is_one_sentence(database, tmp_path):
    with pytest.raises(StorageUnusable, match=r"cannot be used"):
        await database.backup(tmp_path / "missing" / "copy.db")


async def test_a_damaged_file_is_one_sentence(tmp_path):
    (tmp_path / "studio.db").write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StorageUnusable, match=r"studio\.db cannot be used"):
        await Database.open(tmp_path / "studio.db")


async def test_wrong_sql_stays_visible_as_the_bug_it_is(database):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await database.execute("DELETE FROM elsewhere")


async def test_closing_twice_is_harmless(tmp_path):
    database = await Database.open(tmp_path / "studio.db")
    await database.close()
    await database.close()


async def test_a_cancelled_close_still_ends_the_thread(tmp_path):
    database = await Database.open(tmp_path / "studio.db")
    closing_task = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    closing_task.cancel()
    await asyncio.gather(closing_task, return_exceptions=True)
    database._connection._thread.join(timeout=30)
    assert not database._connection._thread.is_alive()


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "raise SystemExit(0)",
        "await asyncio.wait_for(asyncio.sleep(9), 0.01)",
        "globals()['kept'] = database",
    ],
    ids=["returns", "exits", "times out", "keeps it"],
)
def test_a_process_that_forgot_to_close_still_ends(tmp_path, ending):
    script = f"""
        import asyncio, pathlib
        from storage.database import Database
        async def main():
            database = await Database.open(pathlib.Path({str(tmp_path / "studio.db")!r}))
            print("opened")
            {ending}
        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], timeout=60, capture_output=True
    )
    assert ended.stdout == b"opened\n"


def schema_of(file):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


@pytest.fixture
async def file(tmp_path):
    """A database of this program, closed."""
    file = tmp_path / "studio.db"
    await (await Database.open(file)).close()
    return file


@pytest.mark.parametrize(
    ("version", "words"),
    [(1, "older version .* `emf db init`"), (99, "newer version .* update the program")],
)
async def test_looking_at_a_file_of_another_version_is_refused_and_leaves_it(
    file, monkeypatch, version, words
):
    monkeypatch.setattr(schema, "newest_version", lambda: 2)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(StorageUnusable, match=words):
        await Database.open(file, migrate=False)
    assert schema_of(file) == version


async def test_looking_beside_somebody_who_writes_works(file):
    async with await Database.open(file) as writer, writer.transaction():
        await writer.execute(INSERT, ("a", "1"))
        async with await Database.open(file, migrate=False) as reader:
            assert await names(reader) == []


async def test_looking_makes_no_file(tmp_path):
    with pytest.raises(StorageUnusable):
        await Database.open(tmp_path / "studio.db", migrate=False)
    assert list(tmp_path.iterdir()) == []
