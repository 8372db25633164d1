import pytest

from training.course import read_course
from training.progress import EVENTS_FILE, Event, EventLog


@pytest.fixture
def told(tmp_path):
    """Write events and read the course of them."""

    def told(*events, until=None):
        log = EventLog(tmp_path)
        for event in events:
            log.tell(Event(**event))
        return read_course(tmp_path / EVENTS_FILE, until=until)

    return told


def started(at, step=0, note="CPU"):
    return {"kind": "started", "at": at, "step": step, "steps": 400, "note": note}


def step(at, number, loss):
    return {"kind": "step", "at": at, "step": number, "steps": 400, "loss": loss}


def test_what_a_resume_repeats_counts_once(told):
    course = told(
        started(0),
        step(100, 100, 0.5),
        {"kind": "checkpoint", "at": 101, "step": 100},
        step(150, 150, 0.9),
        {"kind": "checkpoint", "at": 151, "step": 150},
        started(1000, step=100),
        step(1010, 110, 0.4),
    )

    assert course.losses == {100: 0.5, 110: 0.4}
    assert course.checkpoints == {100}
    assert (course.step, course.steps) == (110, 400)


def test_pauses_are_no_time_of_training(told):
    course = told(
        started(0),
        step(100, 100, 0.5),
        {"kind": "stopped", "at": 105, "step": 100},
        {"kind": "preparing", "at": 4990},
        started(5000, step=100, note="H200"),
        step(5050, 150, 0.4),
        {"kind": "preparing", "at": 9000},
        {"kind": "warning", "at": 9010},
        started(9020, step=150, note="H200"),
        step(9025, 155, 0.4),
    )

    assert course.seconds == 160
    assert course.device == "H200"


def test_what_came_after_a_checkpoint_is_none_of_its_business(told):
    course = told(
        started(0),
        step(100, 100, 0.5),
        step(200, 200, 0.4),
        {"kind": "validation", "at": 210, "step": 200, "loss": 0.1},
        until=100,
    )

    assert (course.losses, course.validations) == ({100: 0.5}, {})
    assert (course.step, course.seconds) == (100, 100)


def test_a_clock_that_was_set_back_takes_no_time_away(told):
    course = told(started(1000), step(1010, 10, 0.5), step(400, 20, 0.4), step(405, 25, 0.4))

    assert course.seconds == 15


def test_a_run_that_told_nothing_has_no_course(tmp_path):
    course = read_course(tmp_path / EVENTS_FILE)

    assert (course.losses, course.step, course.seconds) == ({}, 0, 0)
