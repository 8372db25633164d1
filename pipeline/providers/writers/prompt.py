"""What is sent to a language model, and what that may cost at most.

Pure and quick, without an SDK: the bot reserves the cost before a worker starts. All that comes
from outside stands in one line of JSON between <data> and </data>, with every `<` and every
character beyond ASCII escaped, so that nothing in it can close the quotation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.facts import Memory, Rejection, Topic, Topics
from pipeline.ledger import Cost, total
from pipeline.prices import Prices
from pipeline.providers.writers import bible
from pipeline.providers.writers.chat import is_own_server, model_of
from pipeline.providers.writers.novelty import ends_with
from pipeline.providers.writers.topics import spoken_topic
from pipeline.safety import refusal
from pipeline.sections import Brief, Emotion, Premise
from pipeline.shows import Show
from pipeline.topics import is_near_any

SCRIPT_ROUNDS = 3
PITCH_ROUNDS = 2
MOST_TOKENS = 6000
"""Of one answer, thinking included."""
MORE_TOKENS = 12_000
"""Once an answer was cut off."""
SPARE_TOPICS = 3
"""Topics shown beyond the number of pitches, so that a bad pitch can be replaced."""
EARLIER_REELS = 8
EARLIER_CHARS = 600
WORDS_OF_A_PERSON = 200
MOST_PROBLEMS = 12
PROBLEM_BYTES = 300
ANSWER_BYTES = 4000
REPAIR_BYTES = 10_000
"""More than a repair round can add to a prompt."""
ENVELOPE_BYTES = 500
"""Roles, field names and marks around the texts that a service may count as tokens."""

REASONS = {
    "boring": "more surprise, higher stakes, an idea nobody expects",
    "off-character": "keep to who the two are and how they speak",
    "risky": "stay far away from anything that could hurt or offend",
    "repeat": "another comic idea than the earlier reels",
    "words": "other words, see what the person said",
}
"""Why people reject a reel, and what that asks of the next one."""


@dataclass(frozen=True)
class Prompt:
    """`data` is what comes from outside; `asked` is ours."""

    system: str
    asked: str
    data: dict[str, Any]
    schema: dict[str, Any]
    max_tokens: int = MOST_TOKENS
    repair: str = field(default="")

    @property
    def user(self) -> str:
        parts = [self.asked, *([self.repair] if self.repair else []), quoted(self.data)]
        return "\n\n".join(parts)

    @property
    def greatest_tokens_in(self) -> int:
        """A token is at least one byte; the schema may be sent twice, as a field and as text."""
        texts = (self.system, self.user, *[json.dumps(self.schema)] * 2)
        return sum(len(text.encode()) for text in texts) + ENVELOPE_BYTES


def script_prompt(config: WriterConfig, brief: Brief, memory: Memory, show: Show) -> Prompt:
    """UserError when the topic cannot be said."""
    asked = ["Write the reel about `topic`."]
    data: dict[str, Any] = {"topic": spoken_topic(brief.topic)}
    premise = new_premise(brief, memory)
    if premise:
        asked.append(
            "People chose its `premise`: the first line is its `hook` and the last line its "
            "`last_line`, word for word; write what lies between."
        )
        data["premise"] = {"hook": premise.hook, "last_line": premise.last_line}
    asked += [*_gag_wishes(show, memory), *_earlier(memory, data), *_rules(memory, data)]
    return Prompt(bible.for_scripts(show, config), "\n".join(asked), data, script_schema(show))


def pitch_prompt(topics: Sequence[Topic], count: int, memory: Memory, show: Show) -> Prompt:
    """Topics are numbered from 1 in the order given."""
    asked = [f"Write {count} pitches for {len(topics)} topics, at most one for each."]
    data: dict[str, Any] = {
        "count": count,
        "topics": {str(number): spoken_topic(topic.name) for number, topic in enumerate(topics, 1)},
    }
    asked += [*_gag_wishes(show, memory), *_earlier(memory, data), *_rules(memory, data)]
    return Prompt(bible.for_pitches(show), "\n".join(asked), data, pitch_schema())


def new_premise(brief: Brief, memory: Memory) -> Premise | None:
    """None also once a reel was made of it: who asks again wants another one."""
    if brief.premise and any(ends_with(text, brief.premise.last_line) for text in memory.texts):
        return None
    return brief.premise


def repaired(prompt: Prompt, problems: Sequence[str], answer: str) -> Prompt:
    """The same wish again, with what was wrong with the last answer."""
    listed = [_cut(problem, PROBLEM_BYTES) for problem in problems[:MOST_PROBLEMS]]
    return replace(
        prompt,
        repair=(
            "Your `last_answer` cannot be used; `problems` says why. Mend all of them and answer "
            "again in full."
        ),
        data={**prompt.data, "problems": listed, "last_answer": _cut(answer, ANSWER_BYTES)},
    )


def shortened(prompt: Prompt) -> Prompt:
    """The same wish again, after an answer that was cut off."""
    return replace(
        prompt,
        repair="Your last answer was cut off. Think less, and answer shorter.",
        max_tokens=MORE_TOKENS,
    )


def quoted(data: dict[str, Any]) -> str:
    return f"<data>\n{_escaped(data)}\n</data>"


def usable_topics(topics: Topics, memory: Memory) -> list[Topic]:
    """Those that may and can be pitched, the best first: sayable, harmless, not used lately."""
    found: dict[str, Topic] = {}
    for topic in topics.topics:
        key = topic.name.casefold()
        if key not in found and is_usable(topic) and not is_near_any(topic.name, memory.topics):
            found[key] = topic
    return list(found.values())


def is_usable(topic: Topic | Brief) -> bool:
    name = topic.name if isinstance(topic, Topic) else topic.topic
    try:
        spoken_topic(name)
    except UserError:
        return False
    return refusal(name, topic.headlines) is None


def script_schema(show: Show) -> dict[str, Any]:
    """Only what both services take in strict schemas: no lengths, no counts."""
    line = _object(
        character={"type": "string", "enum": [c.name for c in show.characters]},
        text={"type": "string"},
        emotion={"type": "string", "enum": [str(emotion) for emotion in Emotion]},
    )
    gags = {"gags": _list({"type": "integer"})} if show.running_gags else {}
    return _object(
        lines=_list(line),
        caption={"type": "string"},
        hashtags=_list({"type": "string"}),
        **gags,
    )


def pitch_schema() -> dict[str, Any]:
    pitch = _object(
        topic={"type": "integer"},
        hook={"type": "string"},
        last_line={"type": "string"},
        why={"type": "string"},
    )
    return _object(pitches=_list(pitch))


def greatest_cost_of_script(
    config: WriterConfig, brief: Brief, memory: Memory, show: Show, prices: Prices
) -> Cost:
    """Of all rounds together; nothing for a topic that is refused before anything is sent."""
    if config.provider == "offline" or not is_usable(brief):
        return Cost()
    prompt = script_prompt(config, brief, memory, show)
    return _greatest(prompt, SCRIPT_ROUNDS, config, prices)


def greatest_cost_of_pitches(
    config: WriterConfig, topics: Topics, memory: Memory, show: Show, prices: Prices
) -> Cost:
    """Of both rounds together."""
    usable = usable_topics(topics, memory)
    if config.provider == "offline" or not usable:
        return Cost()
    prompt = pitch_prompt(usable[: topics.count + SPARE_TOPICS], topics.count, memory, show)
    return _greatest(prompt, PITCH_ROUNDS, config, prices)


def greatest_cost_of_call(prompt: Prompt, config: WriterConfig, prices: Prices) -> Cost:
    return cost_of(config, prices, prompt.greatest_tokens_in, prompt.max_tokens)


def cost_of(config: WriterConfig, prices: Prices, tokens_in: int, tokens_out: int) -> Cost:
    return prices.tokens(
        config.provider,
        model_of(config),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        own_server=is_own_server(config),
    )


def _greatest(prompt: Prompt, rounds: int, config: WriterConfig, prices: Prices) -> Cost:
    tokens_in = prompt.greatest_tokens_in
    first = cost_of(config, prices, tokens_in, MOST_TOKENS)
    later = cost_of(config, prices, tokens_in + REPAIR_BYTES, MORE_TOKENS)
    return total([first, *[later] * (rounds - 1)])


def _gag_wishes(show: Show, memory: Memory) -> Iterator[str]:
    """When each running gag was last used, and the one to bring back on purpose."""
    if not show.running_gags:
        return
    never = len(memory.texts) + 1
    rested = {
        number: memory.gags.get(gag, never) for number, gag in enumerate(show.running_gags, 1)
    }
    due = max(rested, key=lambda number: rested[number])
    fresh = [str(number) for number, ago in rested.items() if ago == 0]
    yield f"Call back to running gag {due} on purpose, in a new way" + (
        f"; leave gag {' and '.join(fresh)} alone, the last reel had it." if fresh else "."
    )
    ago = ", ".join(
        f"gag {number} {'never' if reels >= never else f'{reels + 1} reels back'}"
        for number, reels in rested.items()
    )
    yield f"When they were last used: {ago}."


def _earlier(memory: Memory, data: dict[str, Any]) -> Iterator[str]:
    if memory.texts:
        data["earlier_reels"] = [text[:EARLIER_CHARS] for text in memory.texts[:EARLIER_REELS]]
        yield "`earlier_reels` were made already, the newest first: repeat no joke of theirs."


def _rules(memory: Memory, data: dict[str, Any]) -> Iterator[str]:
    if not memory.rejections:
        return
    data["rejections"] = [_rejection(rejection) for rejection in memory.rejections]
    yield "People rejected reels lately (`rejections`). Therefore:"
    reasons = dict.fromkeys(rejection.reason for rejection in memory.rejections)
    yield from (f"- {reason}: {REASONS[reason]}." for reason in reasons if reason in REASONS)


def _rejection(rejection: Rejection) -> dict[str, str]:
    told = {"reason": rejection.reason, "topic": rejection.topic, "words": rejection.words}
    return {name: text[:WORDS_OF_A_PERSON] for name, text in told.items() if text}


def _escaped(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _cut(text: str, most_bytes: int) -> str:
    """The longest beginning that is surely no longer than that once it is escaped."""
    kept = text[:most_bytes]
    while (size := len(_escaped(kept))) > most_bytes:
        kept = kept[: len(kept) * most_bytes // size]
    return kept


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
