"""A language model that writes for the tiny show: eight short lines, quickly spoken and drawn.

The words mean nothing, but each pitch and each script has its own, so no joke comes twice.
"""

import itertools
import json
import random

from standins.comedian import data_of

_WORDS = """
    acorn bag barn bean bee box bun can cart cow cup drum elm fern fig fox gate hen hill ink ivy
    jam jar jug kite lake lid mat moss mop mug nail oak oat owl pan pea pie pond rug rye sand
    seed shed silk snow soap star tea tin tub wax wool yak
"""
LINES = 8
LONG, SHORT = 8, 2
"""Words of a line of the slow one, who begins, and of the quick one."""


class TwoShapes:
    def __init__(self) -> None:
        self._random = random.Random(0)
        self._numbers = itertools.count(1)

    def __call__(self, system, user, schema):
        data = data_of(user)
        if "pitches" in schema["properties"]:
            topics = list(data["topics"])[: data["count"]]
            return json.dumps({"pitches": [self._pitch(int(number)) for number in topics]})
        return json.dumps(self.script(data["topic"], data.get("premise")))

    def _pitch(self, topic):
        hook, last_line = self._line(LONG), self._line(SHORT)
        return {"topic": topic, "hook": hook, "last_line": last_line, "why": "They disagree."}

    def script(self, topic, premise=None):
        texts = [self._line(SHORT if number % 2 else LONG) for number in range(LINES)]
        texts[1] = f"Look, {topic}!"
        if premise:
            texts[0], texts[-1] = premise["hook"], premise["last_line"]
        lines = [
            {"character": "Rolly" if n % 2 else "Boxy", "text": text, "emotion": "neutral"}
            for n, text in enumerate(texts)
        ]
        caption = f"Who is right? No. {next(self._numbers)}"
        return {"lines": lines, "caption": caption, "hashtags": ["tower", "nut"]}

    def _line(self, words):
        return " ".join(self._random.sample(_WORDS.split(), words)).capitalize() + "."
