"""The voices stage on a loopback ElevenLabs, killed anywhere: no answer is paid for twice."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from pydantic import SecretStr
from standins.elevenlabs import DEEP_VOICE, HIGH_VOICE, KEY, Elevenlabs

from pipeline.config import VoicesConfig
from pipeline.context import StageContext
from pipeline.ledger import Ledger, read_receipts
from pipeline.sections import Emotion, Line, Script
from pipeline.shows import load_show
from pipeline.stages import voices

AT_ONCE = 4
TEXTS = tuple(f"This is my line {word}." for word in ("one", "two", "six", "hot", "red", "big"))
LINE_USD = len(TEXTS[0]) * 0.30 / 1000
KILLED = -signal.SIGKILL

RUN = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(os.pathsep)
import test_voices_killed as world
world.die_at(sys.argv[4], int(sys.argv[5]))
world.attempt(Path(sys.argv[2]), sys.argv[3], number=1)
"""


def attempt(folder: Path, url: str, *, number: int, allowance_usd: float | None = None):
    """One attempt of the stage, as a worker runs it."""
    own = folder / f"attempt{number}"
    own.mkdir()
    config = VoicesConfig(
        provider="elevenlabs",
        api_key=SecretStr(KEY),
        base_url=url,
        voices={"Butcher": DEEP_VOICE, "Nutsy": HIGH_VOICE},
        concurrency=AT_ONCE,
    )
    ctx = StageContext(
        episode=1,
        revision=1,
        folder=own,
        revision_folder=own,
        data_dir=folder / "data",
        show=load_show("butcher_and_nutsy"),
        config=config,
        ledger=Ledger(folder / f"receipts{number}.jsonl", allowance_usd=allowance_usd),
    )
    lines = tuple(
        Line(index=n, character=("Nutsy", "Butcher")[n % 2], text=text, emotion=Emotion.HAPPY)
        for n, text in enumerate(TEXTS, 1)
    )
    return voices.run(Script(lines=lines), ctx=ctx)


def die_at(moment: str, nth: int) -> None:
    """Kill this process at the nth time that it comes to a moment of its own."""
    from pipeline.ledger import Call
    from pipeline.providers.voices.elevenlabs import ElevenLabsVoice
    from pipeline.providers.voices.store import SpeechStore

    places = {
        "before it is kept": (SpeechStore, "put", True),
        "when it is kept": (SpeechStore, "put", False),
        "when it is booked": (Call, "paid", False),
        "before it is asked": (ElevenLabsVoice, "speak", True),
    }
    if moment not in places:
        return  # the service kills us
    owner, name, is_before = places[moment]
    whole = getattr(owner, name)
    count = iter(range(1, 1000))

    def deadly(*args: object, **kwargs: object) -> object:
        is_last = next(count) == nth
        if is_last and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def killed(folder: Path, service: Elevenlabs, moment: str, nth: int) -> None:
    """The first attempt, in a process that dies."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", RUN, paths, str(folder), service.url, moment, str(nth)]
    with subprocess.Popen(command) as process:
        if moment == "when it arrives":
            kill_on_request(service, process, nth)
        assert process.wait(60) == KILLED


def kill_on_request(service: Elevenlabs, process: subprocess.Popen[bytes], nth: int) -> None:
    arrived = threading.Event()

    def look(request: object) -> None:
        if service.called("speak") == nth:
            os.kill(process.pid, signal.SIGKILL)
            arrived.set()

    service.on_request = look
    assert arrived.wait(60)
    service.on_request = lambda request: None


def kept_texts(folder: Path) -> set[str]:
    """Of the lines whose answers are on the disk."""
    return {
        " ".join(word["text"] for word in json.loads(path.read_text())["words"])
        for path in (folder / "data" / "voices").rglob("*.json")
    }


MOMENTS = (
    "when it arrives",
    "before it is asked",
    "before it is kept",
    "when it is kept",
    "when it is booked",
)


@pytest.mark.parametrize(
    ("moment", "nth"),
    [
        pytest.param(
            moment,
            nth,
            marks=()
            if (moment, nth) in (("when it arrives", 3), ("when it is kept", 2))
            else pytest.mark.slow,
        )
        for moment in MOMENTS
        for nth in range(1, len(TEXTS) + 1)
    ],
)
def test_a_killed_attempt_is_gone_on_with_and_no_answer_that_is_kept_is_asked_for_again(
    tmp_path: Path, moment: str, nth: int
) -> None:
    with Elevenlabs(work_s=0.05) as service:
        killed(tmp_path, service, moment, nth)
        kept = kept_texts(tmp_path)
        receipts = read_receipts(tmp_path / "receipts1.jsonl")
        done = attempt(tmp_path, service.url, number=2)

        asked = Counter(
            request.body["text"] for request in service.requests if request.call == "speak"
        )
        assert {text: asked[text] for text in kept} == dict.fromkeys(kept, 1)
        assert all(asked[text] in (1, 2) for text in TEXTS)
        assert asked.total() <= len(TEXTS) + AT_ONCE
        assert [line.text for line in done.lines] == list(TEXTS)
        assert sum(line.reused for line in done.lines) == len(kept)
        # All that the first attempt sent is written down; a lost answer counts in full.
        sent_first = asked.total() - (len(TEXTS) - len(kept))
        assert len(receipts) >= sent_first
        assert sum(r.cost.usd for r in receipts) >= LINE_USD * sent_first - 1e-9
        assert sum(r.is_certain for r in receipts) <= len(kept)
