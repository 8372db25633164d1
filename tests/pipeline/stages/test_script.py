import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.config import WriterConfig
from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import StageCancelled
from pipeline.facts import Memory
from pipeline.sections import Brief, Script
from pipeline.shows import read_show
from pipeline.stages import script

TINY = Path(__file__).parents[2] / "fixtures" / "tiny_show"
BRIEF = Brief(episode=12, topic="wordle", created_at=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def context(tmp_path):
    return StageContext(
        episode=12,
        revision=1,
        folder=tmp_path,
        revision_folder=tmp_path,
        data_dir=tmp_path,
        show=read_show(TINY),
        config=WriterConfig(),
    )


def test_the_script_is_returned_and_left_as_a_file(context, tmp_path):
    written = script.run(BRIEF, Memory(), ctx=context)
    text = (tmp_path / "script.json").read_text(encoding="utf-8")
    assert Script.model_validate_json(text) == written
    keys = json.loads(text)
    assert {"episode", "metadata", "lines", "caption", "hashtags", "schema_version"} <= set(keys)
    assert keys["episode"] == 12


def test_progress_reaches_the_end(context, tmp_path):
    script.run(BRIEF, Memory(), ctx=context)
    last = (tmp_path / "progress.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["fraction"] == 1.0


def test_a_cancelled_script_leaves_no_file(context, tmp_path):
    (tmp_path / CANCEL_FILE).touch()
    with pytest.raises(StageCancelled):
        script.run(BRIEF, Memory(), ctx=context)
    assert not (tmp_path / "script.json").exists()
