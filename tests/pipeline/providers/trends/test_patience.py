from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import ProviderError
from pipeline.providers.trends.patience import answered, failed, is_resting, without_rests
from pipeline.sections import SourceState

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def after(failures, retry_after_s=None):
    state = SourceState(name="google")
    for _ in range(failures):
        state = failed(state, ProviderError("google", "it answers 503", True, retry_after_s), NOW)
    return state


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 5), (2, 10), (3, 20), (8, 640), (9, 720), (500, 720)]
)
def test_the_rest_doubles_up_to_half_a_day(failures, minutes):
    state = after(failures)
    assert (state.failures, state.not_before) == (failures, NOW + timedelta(minutes=minutes))
    assert not state.has_named


@pytest.mark.parametrize(
    ("asked_s", "rest"),
    [
        (10, timedelta(minutes=5)),
        (3600, timedelta(hours=1)),
        (10**9, timedelta(days=1)),
        (-5, timedelta(minutes=5)),
    ],
)
def test_a_source_may_ask_for_longer_but_not_for_ever(asked_s, rest):
    state = after(1, asked_s)
    assert state.not_before == NOW + rest
    assert state.has_named is (asked_s >= 3600)


def test_an_answer_forgives_everything():
    assert answered("google", NOW) == SourceState(name="google", answered_at=NOW)


def test_when_it_last_answered_is_kept():
    error = ProviderError("google", "it answers 503")
    assert failed(answered("google", NOW), error, NOW + timedelta(days=1)).answered_at == NOW


def test_it_rests_until_the_time_has_come():
    state = after(1)
    assert is_resting(state, NOW + timedelta(minutes=4))
    assert not is_resting(state, NOW + timedelta(minutes=5))


def test_a_clock_set_back_silences_nobody():
    assert not is_resting(after(1), NOW - timedelta(days=300))


def test_a_person_shortens_our_rest_but_not_the_one_the_source_named():
    ours, theirs = after(4), after(1, 3600)
    assert without_rests((ours, theirs)) == (ours.model_copy(update={"not_before": None}), theirs)
