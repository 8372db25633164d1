"""Eight lines from a service that takes as long for each: one call at a time against four."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline.config import VoicesConfig
from pipeline.context import StageContext
from pipeline.sections import Emotion, Line, Script
from pipeline.shows import load_show
from pipeline.stages import voices

CALL_S = 2.0
AT_ONCE = 4
ROUNDS = 2
TEXTS = (
    "Butcher, wake up! Coffee is trending.",
    "Coffee is always trending. It is brown and bitter, like me.",
    "I had nine cups. I can see sounds now.",
    "What do I sound like?",
    "A big grey cloud with cheese in it.",
    "Finally, somebody understands me.",
    "I also sold your sofa to a barista.",
    "Then you will carry me everywhere. Forever.",
)


async def measure() -> dict[str, float]:
    """`sequential_over_parallel`: time of the stage at one call over that at four."""
    with _service() as service, tempfile.TemporaryDirectory() as name:
        _took(service, Path(name) / "warm", AT_ONCE)  # loads what every worker loads once
        service.work_s = CALL_S
        # The better of two: another program's burst is no part of either.
        one = min(_took(service, Path(name) / f"one{n}", 1) for n in range(ROUNDS))
        four = min(_took(service, Path(name) / f"four{n}", AT_ONCE) for n in range(ROUNDS))
        assert service.called("speak") == (1 + 2 * ROUNDS) * len(TEXTS)
    return {"sequential_over_parallel": one / four, "sequential_s": one, "parallel_s": four}


@contextmanager
def _service() -> Iterator[Any]:
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    try:
        from standins.elevenlabs import Elevenlabs
    finally:
        del sys.path[0]
    with Elevenlabs() as service:
        yield service


def _took(service: Any, folder: Path, at_once: int) -> float:
    folder.mkdir()
    show = load_show("butcher_and_nutsy")
    names = [character.name for character in show.characters]
    ctx = StageContext(
        episode=1,
        revision=1,
        folder=folder,
        revision_folder=folder,
        data_dir=folder / "data",
        show=show,
        config=VoicesConfig(
            provider="elevenlabs",
            api_key=SecretStr(service.key),
            base_url=service.url,
            voices=dict(zip(names, service.voices, strict=True)),
            concurrency=at_once,
        ),
    )
    lines = tuple(
        Line(index=n + 1, character=names[(n + 1) % 2], text=text, emotion=Emotion.NEUTRAL)
        for n, text in enumerate(TEXTS)
    )
    start = time.perf_counter()
    voices.run(Script(lines=lines), ctx=ctx)
    return time.perf_counter() - start
