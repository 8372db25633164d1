import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.providers.voices.slots import CallSlots

HOLD = (
    "import pathlib, sys\n"
    "from pipeline.providers.voices.slots import CallSlots\n"
    "with CallSlots(pathlib.Path(sys.argv[1]), 'service', 1).taken(lambda: None):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


class NoRoom(Exception):
    pass


def give_up() -> None:
    raise NoRoom


def test_no_more_than_so_many_are_taken(tmp_path: Path) -> None:
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(CallSlots(tmp_path / "run", "service", 3).taken(give_up))
        with pytest.raises(NoRoom):
            held.enter_context(CallSlots(tmp_path / "run", "service", 3).taken(give_up))
        held.enter_context(CallSlots(tmp_path / "run", "another", 1).taken(give_up))


def test_a_slot_is_free_again_also_after_an_error(tmp_path: Path) -> None:
    slots = CallSlots(tmp_path, "service", 1)
    with pytest.raises(ZeroDivisionError), slots.taken(give_up):
        raise ZeroDivisionError
    with slots.taken(give_up):
        pass


def test_a_slot_of_another_process_is_free_once_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    slots = CallSlots(tmp_path, "service", 1)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(NoRoom), slots.taken(give_up):
            pass
        process.kill()
        process.wait(20)
    with slots.taken(give_up):
        pass


def test_a_slot_is_waited_for(tmp_path: Path) -> None:
    slots = CallSlots(tmp_path, "service", 1)
    waits = []
    with ExitStack() as held:
        held.enter_context(slots.taken(give_up))

        def let_go() -> None:
            waits.append(1)
            held.close()

        with slots.taken(let_go):
            assert waits == [1]
