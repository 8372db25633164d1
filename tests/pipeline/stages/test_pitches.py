import json
from pathlib import Path

import pytest

from pipeline.config import WriterConfig
from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import StageCancelled
from pipeline.facts import Memory, Topic, Topics
from pipeline.shows import read_show
from pipeline.stages import pitches

TINY = Path(__file__).parents[2] / "fixtures" / "tiny_show"
TOPICS = Topics(topics=(Topic(name="wordle", source="x"), Topic(name="tea", source="x")), count=2)


@pytest.fixture
def context(tmp_path):
    return StageContext(
        episode=0,
        revision=0,
        folder=tmp_path,
        revision_folder=tmp_path,
        data_dir=tmp_path,
        show=read_show(TINY),
        config=WriterConfig(),
    )


def test_pitches_say_who_made_them_and_leave_no_file_but_progress(context, tmp_path):
    made = pitches.run(TOPICS, Memory(), ctx=context)
    assert [pitch.topic for pitch in made.pitches] == ["wordle", "tea"]
    assert made.provider == "offline"
    assert [path.name for path in tmp_path.iterdir()] == ["progress.jsonl"]


def test_progress_reaches_the_end(context, tmp_path):
    pitches.run(TOPICS, Memory(), ctx=context)
    last = (tmp_path / "progress.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last) == {"fraction": 1.0, "note": "2 pitches"}


def test_cancelled_pitches_are_none(context, tmp_path):
    (tmp_path / CANCEL_FILE).touch()
    with pytest.raises(StageCancelled):
        pitches.run(TOPICS, Memory(), ctx=context)
