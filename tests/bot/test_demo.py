"""The whole evening, as `./run demo` plays it."""

import hashlib
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bot.demo import MARKER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    """(how the demo ended, its folder)"""
    folder = tmp_path_factory.mktemp("evening")
    done = subprocess.run(
        [sys.executable, "-m", "bot", "demo", "--dir", str(folder / "demo"), "--topic", "Coffee"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done, folder / "demo"


def test_the_evening_ends_with_a_post(evening):
    done, _ = evening
    assert done.returncode == 0, done.stderr
    assert "as approved" in done.stdout.splitlines()[-1]


def test_demo_json_names_what_is_there(evening):
    facts = json.loads((evening[1] / "demo.json").read_text())
    for name in ("reel", "cover", "storyboard", "preview"):
        assert Path(facts[name]).is_file()
    reel = hashlib.sha256(Path(facts["reel"]).read_bytes()).hexdigest()
    assert facts["approved_sha256"] == facts["post"]["sha256"] == reel
    assert set(facts["seconds"]) >= {"script", "voices", "images", "video", "total"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT COUNT(*) FROM trends",
        "SELECT * FROM generation_metrics ORDER BY timestamp DESC LIMIT 1",
        "SELECT character, emotion, usage_count FROM image_library"
        " ORDER BY usage_count DESC LIMIT 5",
    ],
)
def test_the_known_queries_run_on_its_database(evening, query):
    with closing(sqlite3.connect(evening[1] / "data" / "studio.db")) as database:
        assert database.execute(query).fetchall()


def test_no_traceback_is_in_its_log(evening):
    assert "Traceback" not in (evening[1] / "bot.log").read_text()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    command = [sys.executable, "-m", "bot", "demo", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds other things" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert not (tmp_path / MARKER).exists()
