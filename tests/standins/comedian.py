"""A language model that reads our prompts and is always good: it has the offline writer write.

`Comedian()` remembers what it wrote, so it does not repeat itself. A test that wants another
answer gives the stand-ins a function of (system, user, schema) instead.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.facts import Memory
from pipeline.providers.writers.novelty import ends_with
from pipeline.providers.writers.offline import OfflineWriter, dialogue
from pipeline.safety import sensitive_words
from pipeline.sections import Brief, Script
from pipeline.shows import Show, load_show

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """An answer's text and why it ended: `end`, `length` or `refusal`."""

    text: str
    stop: str = "end"


Answers = Callable[[str, str, dict[str, Any]], "str | Said"]


def data_of(user: str) -> dict[str, Any]:
    """What a prompt quotes; fails when something broke out of its quotation."""
    before, _, rest = user.partition("<data>\n")
    line, _, after = rest.partition("\n</data>")
    assert after == "", "there is text behind the quotation"
    assert "\n" not in line, "the quotation has more than one line"
    assert "<data>" not in line + before
    return json.loads(line)


class Comedian:
    def __init__(self, show: Show | None = None) -> None:
        self._show = show or load_show("butcher_and_nutsy")
        self._writer = OfflineWriter()
        self._memory = Memory()
        self._written = 0

    def __call__(self, system: str, user: str, schema: dict[str, Any]) -> str:
        data = data_of(user)
        if "pitches" in schema["properties"]:
            return json.dumps({"pitches": self._pitches(data)})
        script = self._write(data["topic"])
        return json.dumps(self._answer(script, data.get("premise"), schema))

    def _pitches(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        topics = list(data["topics"].items())[: data["count"]]
        return [self._pitch(int(number), self._write(topic)) for number, topic in topics]

    def _pitch(self, number: int, script: Script) -> dict[str, Any]:
        first, last = script.lines[0].text, script.lines[-1].text
        return {"topic": number, "hook": first, "last_line": last, "why": "They would disagree."}

    def _answer(
        self, script: Script, premise: dict[str, str] | None, schema: dict[str, Any]
    ) -> dict[str, Any]:
        lines = [
            {"character": line.character, "text": line.text, "emotion": str(line.emotion)}
            for line in script.lines
        ]
        if premise:
            lines[0]["text"], lines[-1]["text"] = premise["hook"], premise["last_line"]
            lines[1]["text"] = f"{script.metadata.trends[0]}, of course."
        gags = {"gags": [1]} if "gags" in schema["properties"] else {}
        return {
            "lines": lines,
            "caption": script.caption,
            "hashtags": list(script.hashtags),
            **gags,
        }

    def _write(self, topic: str) -> Script:
        """Takes the next idea when a sketch has a word or a punch line that a model may not use."""
        while True:
            known = self._memory.texts
            script = self._next(topic)
            again = any(ends_with(text, script.lines[-1].text) for text in known)
            if not again and not sensitive_words(f"{dialogue(script)} {script.caption}"):
                return script

    def _next(self, topic: str) -> Script:
        self._written += 1
        brief = Brief(episode=self._written, topic=topic, created_at=WHEN)
        script = self._writer.write(brief, self._memory, self._show)
        self._memory = Memory(
            skeletons=(script.metadata.skeleton, *self._memory.skeletons),
            texts=(dialogue(script), *self._memory.texts),
        )
        return script
