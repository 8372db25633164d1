from datetime import UTC, datetime, timedelta

import pytest

from pipeline.providers.trends.offline import EvergreenTrends, evergreen_topics
from pipeline.safety import refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def names(now, limit=10):
    return [trend.name for trend in EvergreenTrends(lambda: now).fetch(limit)]


def test_a_day_has_its_own_topics():
    assert names(NOON) == names(NOON + timedelta(hours=8))
    assert names(NOON) != names(NOON + timedelta(days=1))


def test_every_topic_has_its_day():
    days = (NOON + timedelta(days=day) for day in range(len(evergreen_topics())))
    assert {name for day in days for name in names(day)} == set(evergreen_topics())


def test_the_list_is_long_without_repeats():
    topics = evergreen_topics()
    assert len(topics) >= 120
    assert len({topic.casefold() for topic in topics}) == len(topics)


@pytest.mark.parametrize("topic", evergreen_topics())
def test_no_evergreen_topic_is_sensitive(topic):
    assert refusal(topic) is None


def test_scores_fall_and_stay_below_what_is_really_searched():
    scores = [trend.score for trend in EvergreenTrends(lambda: NOON).fetch(10)]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) <= 0.5


def test_the_clock_is_used_when_no_time_is_given():
    assert len(EvergreenTrends().fetch(3)) == 3


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (-1, 0), (1000, len(evergreen_topics()))])
def test_the_limit_holds(limit, count):
    assert len(names(NOON, limit)) == count
