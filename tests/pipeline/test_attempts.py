import pytest

from pipeline.attempts import ProgressTail
from pipeline.context import PROGRESS_FILE

GOOD = b'{"fraction": 0.5, "note": "half way"}\n'


@pytest.fixture
def told(tmp_path):
    """Appends what a stage wrote and looks at it."""
    tail = ProgressTail(tmp_path)

    def told(data: bytes):
        with (tmp_path / PROGRESS_FILE).open("ab") as file:
            file.write(data)
        return tail.latest()

    return told


def test_the_newest_whole_line_is_told_once(told):
    assert told(GOOD + b'{"fraction": 0.75, "note": "soon"}\n{"fract') == (0.75, "soon")
    assert told(b"") is None
    assert told(b'ion": 1, "note": "done"}\n') == (1.0, "done")


@pytest.mark.parametrize(
    "torn",
    [
        b'{"fraction": 0.6, "no{"fraction": 0.7, "note": "x"}\n',
        b'{"fraction": 0.6}\n',
        b'{"fraction": null, "note": ""}\n',
        b"7\n",
        b"\xff\xfe\n",
        b"\n",
    ],
)
def test_a_line_that_was_torn_is_skipped(told, torn):
    assert told(GOOD + torn) == (0.5, "half way")
    assert told(torn) is None
    assert told(GOOD) == (0.5, "half way")


def test_a_stage_that_has_said_nothing_tells_nothing(tmp_path):
    assert ProgressTail(tmp_path).latest() is None
