"""Scripts without sense that every check takes: each number shares no four words with another."""

import itertools
import json
import random
from typing import Any

from standins.comedian import data_of

WORDS = (
    "acorn", "sofa", "trumpet", "lamp", "cheese", "bench", "nap", "cushion", "neighbour", "spoon",
    "umbrella", "window", "carpet", "hat", "postman", "kettle", "biscuit", "ladder", "garden",
    "piano", "basket", "button", "ticket", "candle", "drawer", "feather",
)  # fmt: skip


def script_about(topic: str, number: int) -> dict[str, Any]:
    """An answer of six lines; the first one names the topic."""
    chance = random.Random(number)
    lines = [" ".join(chance.choices(WORDS, k=9)).capitalize() + "." for _ in range(6)]
    lines[0] = f"{topic}! {lines[0]}"
    names = itertools.cycle(("Nutsy", "Butcher"))
    return {
        "lines": [
            {"character": name, "text": text, "emotion": "happy"}
            for name, text in zip(names, lines, strict=False)
        ],
        "caption": f"{lines[1]} Agree?",
        "hashtags": ["Comedy"],
        "gags": [1 + number % 4],
    }


def pitch_about(topic: int, number: int) -> dict[str, Any]:
    """One pitch for the topic with this number."""
    hook, last = (" ".join(random.Random(number + n).choices(WORDS, k=8)) for n in (0, 0.5))
    return {"topic": topic, "hook": f"{hook}.", "last_line": f"{last}.", "why": "They differ."}


class Nonsense:
    """A model that says something new each time."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def __call__(self, system: str, user: str, schema: dict[str, Any]) -> str:
        data = data_of(user)
        if "pitches" in schema["properties"]:
            numbers = list(data["topics"])[: data["count"]]
            pitches = [pitch_about(int(number), next(self._numbers)) for number in numbers]
            return json.dumps({"pitches": pitches})
        return json.dumps(script_about(data["topic"], next(self._numbers)))
