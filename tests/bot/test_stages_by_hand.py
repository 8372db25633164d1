"""The stages on the command line, with real workers; slow ones are marked."""

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from standins.elevenlabs import DEEP_VOICE, HIGH_VOICE, KEY, Elevenlabs

from bot.app import open_studio
from bot.settings import load_settings
from pipeline.executors import InlineExecutor
from pipeline.workflow import Lane
from storage.database import Database
from storage.records import NewTrend
from storage.trends import Trends


def rows(path, query):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


async def paint_library(data_dir):
    executors = {lane: InlineExecutor() for lane in Lane}
    settings = load_settings(None, data_dir=data_dir)
    async with open_studio(settings, "A test", executors=executors) as studio:
        await studio.library.fill()


@pytest.fixture(scope="module")
def painted_folder(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("painted") / "data"
    asyncio.run(paint_library(data_dir))
    return data_dir


@pytest.fixture
def painted(painted_folder, tmp_path):
    """The DATA_DIR has its pictures already, which take longer than anything else here."""
    shutil.copytree(painted_folder, tmp_path / "data")


def test_db_init_makes_a_database_that_check_finds_whole(emf):
    made = emf("db", "init")
    assert (made.code, "is ready (schema" in made.out) == (0, True)
    checked = emf("db", "check")
    assert (checked.code, "is fine (schema" in checked.out) == (0, True)


def test_db_check_reports_damage(emf, tmp_path):
    emf("db", "init")
    file = tmp_path / "data" / "studio.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(
            "INSERT INTO revisions (episode_id, number, created_at) VALUES (7, 1, '2026-01-01')"
        )
        database.commit()
    ending = emf("db", "check")
    assert ending.code == 1
    assert "revisions" in ending.err


@pytest.mark.usefixtures("painted")
def test_db_backup_copies_every_row(emf, tmp_path):
    emf("trends", "fetch")
    assert emf("db", "backup", "copy.db").code == 0
    query = "SELECT name FROM trends ORDER BY id"
    copied = rows(tmp_path / "copy.db", query)
    assert copied == rows(tmp_path / "data" / "studio.db", query)
    assert copied


def test_db_backup_never_writes_over_a_file(emf, tmp_path):
    emf("db", "init")
    (tmp_path / "copy.db").write_text("mine")
    ending = emf("db", "backup", "copy.db")
    assert (ending.code, "Traceback" in ending.err) == (2, False)
    assert (tmp_path / "copy.db").read_text() == "mine"


@pytest.mark.usefixtures("painted")
def test_fetched_trends_are_listed(emf):
    fetched = emf("trends", "fetch", "--limit", "3")
    assert fetched.code == 0
    assert len(fetched.out.splitlines()) == 3
    assert emf("trends", "list", "--limit", "3").out == fetched.out


async def store_trend(path, *, days_ago):
    at = datetime.now(UTC) - timedelta(days=days_ago)
    async with await Database.open(path) as database:
        trend = NewTrend(name=f"{days_ago} days ago", score=0.5, timestamp=at, source="google")
        await Trends(database).store([trend], now=at)


def test_trends_list_leaves_out_older_days(emf, tmp_path):
    emf("db", "init")
    for days_ago in (0, 5):
        asyncio.run(store_trend(tmp_path / "data" / "studio.db", days_ago=days_ago))
    assert "5 days ago" not in emf("trends", "list", "--days", "2").out
    assert "5 days ago" in emf("trends", "list", "--days", "7").out


def test_an_empty_list_says_how_to_fill_it(emf):
    emf("db", "init")
    assert "emf trends fetch" in emf("trends", "list").out


@pytest.mark.usefixtures("painted")
def test_a_script_is_written_and_its_pictures_chosen(emf, tmp_path):
    written = emf("script", "--topic", "Coffee", "--output", "mine.json")
    assert (written.code, written.out) == (0, "mine.json\n")
    script = json.loads((tmp_path / "mine.json").read_text())
    assert script["metadata"]["trends"] == ["Coffee"]
    assert "Butcher (" in written.err

    chosen = emf("images", "mine.json")
    assert chosen.code == 0
    selections = json.loads((tmp_path / chosen.out.strip()).read_text())["selections"]
    assert [s["line_index"] for s in selections] == [line["index"] for line in script["lines"]]
    assert all((tmp_path / "data" / s["image_path"]).is_file() for s in selections)


@pytest.mark.usefixtures("painted")
def test_a_script_from_trends_takes_the_best_unused_topic(emf, tmp_path):
    best = emf("trends", "fetch", "--limit", "1").out
    written = emf("script", "--from-trends")
    script = json.loads((tmp_path / written.out.strip()).read_text())
    assert script["metadata"]["trends"][0] in best
    assert "used in episode 1" in emf("trends", "list").out


@pytest.mark.usefixtures("painted")
def test_a_reel_without_approval_is_not_published(emf):
    emf("script", "--topic", "Coffee")
    ending = emf("publish", "1")
    assert (ending.code, ending.err) == (2, "Episode 1 is draft, not approved.\n")


@pytest.mark.slow
@pytest.mark.usefixtures("painted")
def test_a_script_made_by_hand_becomes_a_reel(emf, tmp_path, script_text):
    (tmp_path / "mine.json").write_text(script_text)
    spoken = emf("voices", "mine.json")
    assert spoken.code == 0
    timeline = json.loads((tmp_path / spoken.out.strip()).read_text())
    assert [line["character"] for line in timeline["lines"]][:2] == ["Butcher", "Nutsy"]

    drawn = emf("video", "1", "--output", "mine.mp4")
    assert (drawn.code, drawn.out) == (0, "mine.mp4\n")
    assert (tmp_path / "mine.mp4").read_bytes()[4:8] == b"ftyp"

    again = emf("voices", str(tmp_path / "data/episodes/1/v1/script.json"))
    assert again.out == spoken.out

    refused = emf("publish", "1", "--dry-run")
    assert refused.code == 1
    assert "It has 0 of 1 approvals." in refused.out


def test_make_goes_on_with_the_script_of_a_reel_that_a_service_stopped(emf, tmp_path):
    with Elevenlabs(quota=5) as service:
        voices = {"BUTCHER": DEEP_VOICE, "NUTSY": HIGH_VOICE}
        account = {f"ELEVENLABS_VOICE_{name}": voice for name, voice in voices.items()}
        account |= {"ELEVENLABS_API_KEY": KEY, "ELEVENLABS_BASE_URL": service.url}
        wrong = account | {"ELEVENLABS_API_KEY": "sk_wrong"}
        first = emf("make", "--topic", "Coffee", **wrong)
        again = emf("make", "--topic", "Coffee", **account)
        other = emf("make", "--topic", "Tea", **account)
    assert (first.code, again.code, other.code) == (2, 1, 1)
    assert "Going on with episode 1." in again.err
    assert "Going on" not in first.err + other.err
    assert rows(tmp_path / "data" / "studio.db", "SELECT topic FROM episodes ORDER BY id") == [
        ("Coffee",),
        ("Tea",),
    ]


@pytest.mark.slow
def test_make_goes_from_a_topic_to_a_finished_reel(emf, tmp_path):
    ending = emf("make", "--topic", "Coffee")
    assert ending.code == 0
    reel = tmp_path / ending.out.strip()
    assert reel.read_bytes()[4:8] == b"ftyp"
    assert {"cover.jpg", "storyboard.png", "timeline.json", "image_selections.json"} <= {
        path.name for path in reel.parent.iterdir()
    }
