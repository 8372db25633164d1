"""Events as lines of a file that somebody else reads while it grows."""

import pytest
from pydantic import ValidationError

from training.progress import EVENTS_FILE, Event, EventKind, EventLog, EventTail

STEP = Event(kind=EventKind.STEP, at=5.5, step=3, steps=10, loss=0.25, learning_rate=1e-4)
SAVED = Event(kind=EventKind.CHECKPOINT, at=6.0, step=4, steps=10, folder="checkpoint-4")


@pytest.fixture
def log(tmp_path):
    return EventLog(tmp_path)


@pytest.fixture
def tail(tmp_path):
    return EventTail(tmp_path)


def test_what_is_told_is_read_once(log, tail):
    assert tail.read() == []
    log.tell(STEP)
    assert tail.read() == [STEP]
    assert tail.read() == []
    log.tell(SAVED)
    assert tail.read() == [SAVED]


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_comes_back_as_it_went(log, tail, kind):
    event = Event(kind=kind, note="é\n\u2028\"'\\", error="a\r\nb\0c", made=3, wanted=7)
    log.tell(event)
    assert tail.read() == [event]


def test_a_reader_goes_on_where_an_earlier_one_was(log, tail, tmp_path):
    log.tell(STEP)
    tail.read()
    log.tell(SAVED)
    assert EventTail(tmp_path, tail.offset).read() == [SAVED]


def test_a_line_is_read_when_it_is_whole(log, tail, tmp_path):
    log.tell(STEP)
    whole = (tmp_path / EVENTS_FILE).read_bytes()
    for end in range(len(whole)):
        (tmp_path / EVENTS_FILE).write_bytes(whole[:end])
        assert tail.read() == []
    (tmp_path / EVENTS_FILE).write_bytes(whole)
    assert tail.read() == [STEP]


def test_a_line_that_a_full_disk_cut_short_costs_only_itself(log, tail, tmp_path):
    log.tell(STEP)
    with (tmp_path / EVENTS_FILE).open("ab") as file:
        file.write(b'{"kind":"step","at":1')
    log.tell(SAVED)
    assert tail.read() == [STEP, SAVED]


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"null", b"garbage", b"\xff\xfe", b'{"kind":"dance","at":1.0}', b"[" * 5000],
)
def test_a_line_that_is_no_event_is_passed_over(log, tail, tmp_path, line):
    with (tmp_path / EVENTS_FILE).open("ab") as file:
        file.write(line + b"\n")
    log.tell(STEP)
    assert tail.read() == [STEP]
    assert tail.read() == []


@pytest.mark.parametrize("field", ["loss", "learning_rate", "seconds_left"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_is_told_that_json_lacks(field, value):
    with pytest.raises(ValidationError):
        Event(kind=EventKind.STEP, **{field: value})


def test_an_event_has_a_time_of_its_own():
    before = Event(kind=EventKind.STARTED)
    assert before.at <= Event(kind=EventKind.STARTED).at


def test_many_small_reads_lose_nothing(log, tail):
    events = [STEP.model_copy(update={"step": step}) for step in range(200)]
    read = []
    for event in events:
        log.tell(event)
        if event.step % 7 == 0:
            read += tail.read()
    assert read + tail.read() == events
