import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from storage.errors import StorageUnusable
from storage.schema import MIGRATIONS, migrate


@pytest.fixture
def steps(tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE a (x TEXT); -- one; two\n")
    return folder


@pytest.fixture
def file(tmp_path):
    return tmp_path / "studio.db"


def ask(file, sql):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def tables(file):
    return [row[0] for row in ask(file, "SELECT name FROM sqlite_schema ORDER BY name")]


def test_a_new_file_gets_the_newest_schema_and_no_backup(file):
    version = migrate(file)
    assert ask(file, "PRAGMA user_version") == [(version,)]
    assert not (file.parent / "backups").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM trends;",
        "SELECT * FROM generation_metrics ORDER BY timestamp DESC LIMIT 1;",
        "SELECT character, emotion, usage_count FROM image_library"
        " ORDER BY usage_count DESC LIMIT 5;",
    ],
)
def test_the_published_queries_work(file, sql):
    migrate(file)
    assert ask(file, sql) in ([], [(0,)])


def test_a_step_is_applied_once(file, steps):
    migrate(file, steps)
    ask(file, "INSERT INTO a VALUES ('kept') RETURNING x")
    assert migrate(file, steps) == 1


def test_a_backup_is_made_before_a_step_that_changes_old_data(file, steps):
    migrate(file, steps)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO a VALUES ('old')")
        connection.commit()
    (steps / "0002_second.sql").write_text("UPDATE a SET x = 'new';")
    migrate(file, steps)
    (backup,) = (file.parent / "backups").glob("studio-1-*.db")
    assert ask(backup, "SELECT x FROM a") == [("old",)]
    assert ask(file, "SELECT x FROM a") == [("new",)]


@pytest.mark.parametrize(
    "broken",
    [
        "CREATE TABLE b (y TEXT); INSERT INTO missing VALUES (1);",
        "CREATE TABLE b (y TEXT);\nCREATE TABLE",
        "CREATE TABLE b (y TEXT REFERENCES a (x)); INSERT INTO b VALUES ('nobody');",
    ],
    ids=["wrong statement", "cut off", "broken reference"],
)
def test_a_step_that_fails_leaves_the_old_state(file, steps, broken):
    migrate(file, steps)
    (steps / "0002_broken.sql").write_text(broken)
    with pytest.raises((sqlite3.Error, ValueError)):
        migrate(file, steps)
    assert (tables(file), ask(file, "PRAGMA user_version")) == (["a"], [(1,)])


def test_a_process_killed_in_a_step_leaves_the_old_state(file, steps):
    migrate(file, steps)
    (steps / "0002_endless.sql").write_text(
        "CREATE TABLE b (y TEXT);\nINSERT INTO b WITH RECURSIVE n (i) AS"
        " (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;\n"
    )
    script = f"""
        import pathlib, threading, os
        from storage.schema import migrate
        threading.Timer(0.3, os._exit, [9]).start()
        migrate(pathlib.Path({str(file)!r}), pathlib.Path({str(steps)!r}))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60)
    assert killed.returncode == 9
    (steps / "0002_endless.sql").write_text("CREATE TABLE c (z TEXT);")
    assert migrate(file, steps) == 2
    assert tables(file) == ["a", "c"]


def test_a_newer_database_is_refused_with_what_to_do(file, steps):
    migrate(file, steps)
    ask(file, "PRAGMA user_version = 9")
    with pytest.raises(StorageUnusable, match="newer version of this program"):
        migrate(file, steps)
    assert tables(file) == ["a"]


def test_another_programs_database_is_refused_untouched(file):
    ask(file, "CREATE TABLE theirs (x)")
    with pytest.raises(StorageUnusable, match="another program's"):
        migrate(file)
    assert tables(file) == ["theirs"]


def test_steps_with_a_gap_are_refused(file, steps):
    (steps / "0003_third.sql").write_text("SELECT 1;")
    with pytest.raises(ValueError, match="without gaps"):
        migrate(file, steps)


def test_all_steps_we_ship_are_numbered():
    assert sorted(MIGRATIONS.glob("*.sql"))[0].name == "0001_initial.sql"
