from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.config import TrendsConfig
from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import ProviderError, StageCancelled
from pipeline.sections import Sources, TrendItem
from pipeline.shows import read_show
from pipeline.stages import trends

TINY = Path(__file__).parents[2] / "fixtures" / "tiny_show"


class Source:
    def __init__(self, name, *topics):
        self.name = name
        self._topics = topics

    def fetch(self, limit):
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return [
            TrendItem(name=topic, score=0.5, timestamp=now, source=self.name)
            for topic in self._topics
        ]


class BrokenSource:
    name = "broken"

    def fetch(self, limit):
        raise ProviderError("broken", "the feed answers 503", retryable=True)


@pytest.fixture
def context(tmp_path):
    def make(**config):
        return StageContext(
            episode=0,
            revision=0,
            folder=tmp_path,
            revision_folder=tmp_path,
            data_dir=tmp_path,
            show=read_show(TINY),
            config=TrendsConfig(**config),
        )

    return make


def test_offline_uses_the_evergreen_list_alone(context):
    found = trends.run(Sources(), ctx=context(mode="offline", limit=7))
    assert [item.source for item in found.items] == ["evergreen"] * 7
    assert found.failures == ()


def test_a_dead_feed_becomes_a_sentence_and_the_list_fills_in(context):
    found = trends.run(Sources(), ctx=context(rss_url="http://127.0.0.1:1/rss", limit=5))
    assert len(found.items) == 5
    assert found.failures[0].startswith("google: ")


def test_later_sources_only_fill_the_gaps(context):
    sources = [Source("feed", "Wordle", "F1"), Source("list", "wordle", "Naps", "Soup")]
    found = trends.gather(sources, 3, context())
    assert [(item.name, item.source) for item in found.items] == [
        ("Wordle", "feed"),
        ("F1", "feed"),
        ("Naps", "list"),
    ]


def test_a_full_answer_asks_nobody_else(context):
    found = trends.gather([Source("feed", "a", "b"), BrokenSource()], 2, context())
    assert (len(found.items), found.failures) == (2, ())


def test_all_sources_may_fail(context):
    found = trends.gather([BrokenSource()], 5, context())
    assert found.items == ()
    assert found.failures == ("broken: the feed answers 503",)


def test_a_cancelled_fetch_stops(context, tmp_path):
    (tmp_path / CANCEL_FILE).touch()
    with pytest.raises(StageCancelled):
        trends.gather([Source("feed", "a")], 5, context())
