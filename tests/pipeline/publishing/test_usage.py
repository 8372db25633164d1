"""What the usage headers say about when to call again."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.publishing.usage import LONGEST_REGAIN_S, PAUSE_S, Usage, regain_s


class Clock:
    now = datetime(2026, 3, 2, tzinfo=UTC)

    def __call__(self):
        return self.now


def app(**percent):
    return {"X-App-Usage": json.dumps(percent)}


def business(*entries):
    return {"X-Business-Use-Case-Usage": json.dumps({"17841400000000000": list(entries)})}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def usage(clock):
    return Usage(clock)


@pytest.mark.parametrize(
    ("headers", "held_s"),
    [
        ({}, 0),
        (app(call_count=94, total_time=94, total_cputime=94), 0),
        (app(call_count=95, total_time=0), PAUSE_S),
        (app(call_count=0, total_time=120), PAUSE_S),
        (business({"type": "instagram", "total_cputime": 95}), PAUSE_S),
        (business({"call_count": 1}, {"call_count": 99.5}), PAUSE_S),
        (business({"call_count": 100, "estimated_time_to_regain_access": 12}), 720),
        (business({"call_count": 1, "estimated_time_to_regain_access": 3}), 180),
        (business({"estimated_time_to_regain_access": 10**9}), LONGEST_REGAIN_S),
        (business({"estimated_time_to_regain_access": -5, "call_count": "many"}), 0),
        ({"X-App-Usage": "no JSON"}, 0),
        ({"X-App-Usage": "[99]"}, 0),
        ({"X-Business-Use-Case-Usage": '{"1": [99], "2": {"call_count": 99}}'}, 0),
        ({"X-App-Usage": "[" * 100_000}, 0),
        ({"X-App-Usage": '{"call_count": Infinity, "total_time": NaN}'}, PAUSE_S),
        ({"X-App-Usage": f'{{"call_count": {"9" * 400}}}'}, PAUSE_S),
        (business({"estimated_time_to_regain_access": 10**400}), LONGEST_REGAIN_S),
    ],
    ids=str,
)
def test_calls_that_can_wait_are_held(usage, headers, held_s):
    usage.heed(headers)

    assert usage.held_s() == held_s


def test_the_hold_ends_with_time_and_with_better_news(usage, clock):
    usage.heed(app(call_count=99))
    clock.now += timedelta(seconds=PAUSE_S - 1)
    assert usage.held_s() == 1
    clock.now += timedelta(seconds=1)
    assert usage.held_s() == 0

    usage.heed(app(call_count=99))
    usage.heed({})
    assert usage.held_s() == PAUSE_S
    usage.heed(app(call_count=10))
    assert usage.held_s() == 0


def test_a_refusal_without_a_time_says_none():
    assert regain_s(app(call_count=100)) is None
    assert regain_s(business({"estimated_time_to_regain_access": 12})) == 720
