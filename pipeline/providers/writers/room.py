"""The writers' room: a language model writes, the filter judges, and what is broken goes back."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.facts import Memory, Topic, Topics
from pipeline.providers.base import Stop
from pipeline.providers.failures import quoted
from pipeline.providers.writers import bible
from pipeline.providers.writers.answers import Broken, read_pitches, read_script
from pipeline.providers.writers.chat import TITLES
from pipeline.providers.writers.filter import pitch_problems, script_problems
from pipeline.providers.writers.grammar_data import load_grammar
from pipeline.providers.writers.paid import Answer, PaidCalls
from pipeline.providers.writers.prompt import (
    PITCH_ROUNDS,
    SCRIPT_ROUNDS,
    SPARE_TOPICS,
    Prompt,
    new_premise,
    pitch_prompt,
    repaired,
    script_prompt,
    shortened,
    usable_topics,
)
from pipeline.providers.writers.topics import family_of, spoken_topic
from pipeline.safety import refusal
from pipeline.sections import Brief, Pitch, Pitches, Script, ScriptMetadata
from pipeline.shows import Show

log = logging.getLogger(__name__)

T = TypeVar("T")


class ModelWriter:
    """Of one job: it counts what the answers cost."""

    def __init__(self, calls: PaidCalls, config: WriterConfig) -> None:
        self.name = calls.name
        self._title = TITLES[calls.name]
        self._calls = calls
        self._config = config

    def write(self, brief: Brief, memory: Memory, show: Show) -> Script:
        """UserError when the topic is refused, or when no answer of the model can be used."""
        if reason := refusal(brief.topic, brief.headlines):
            raise UserError(reason)
        prompt = script_prompt(self._config, brief, memory, show)

        def judge(answer: Answer) -> Script:
            metadata = self._metadata(brief, answer, prompt)
            script = read_script(answer.text, brief, show, metadata)
            problems = script_problems(
                script,
                system=prompt.system,
                spoken=spoken_topic(brief.topic),
                premise=new_premise(brief, memory),
                memory=memory,
                show=show,
                config=self._config,
            )
            return _unless(problems, script)

        subject = _subject("script", str(brief.episode), brief.topic, brief.created_at.isoformat())
        try:
            return self._rounds(prompt, SCRIPT_ROUNDS, "script", subject, judge)
        except Broken as broken:
            raise UserError(
                f"{self._title} wrote no usable script about “{quoted(brief.topic)[:60]}” "
                f"({quoted(broken.problems[0])}) Try again, or give another topic."
            ) from broken

    def pitch(self, topics: Topics, memory: Memory, show: Show) -> Pitches:
        """Fewer than asked for when the model has no more that can be used; UserError: none."""
        usable = usable_topics(topics, memory)[: topics.count + SPARE_TOPICS]
        if not usable:
            raise UserError("No topic of these days can be pitched; /trends fetch asks for more.")
        wanted = min(topics.count, len(usable))
        prompt = pitch_prompt(usable, wanted, memory, show)
        good: dict[str, Pitch] = {}

        def judge(answer: Answer) -> None:
            problems = _add_good(good, answer.text, usable, prompt.system, memory, show)
            if len(good) < wanted:
                raise Broken([*_what_is_missing(good, usable, wanted), *problems])

        subject = _subject("pitches", *(topic.name for topic in usable))
        try:
            self._rounds(prompt, PITCH_ROUNDS, "pitches", subject, judge)
        except Broken as broken:
            if not good:
                raise UserError(
                    f"{self._title} wrote no usable pitch ({quoted(broken.problems[-1])}) "
                    "Try again, or later with other trends."
                ) from broken
        best = [good[topic.name] for topic in usable if topic.name in good]
        return Pitches(pitches=tuple(best[:wanted]), provider=self.name)

    def _rounds(
        self, prompt: Prompt, most: int, what: str, subject: str, judge: Callable[[Answer], T]
    ) -> T:
        """What `judge` makes of the first answer that it takes; Broken when there is none."""
        problems: list[str] = []
        was_cut = False
        for number in range(1, most + 1):
            answer = self._calls.ask(prompt, number=number, what=what, subject=subject)
            if answer.stop is Stop.REFUSAL:
                raise UserError(f"{self._title} declined to write this; give another topic.")
            if answer.stop is Stop.LENGTH:
                problems = ["The answer was cut off."]
                if was_cut:
                    break
                was_cut, prompt = True, shortened(prompt)
                continue
            try:
                return judge(answer)
            except Broken as broken:
                problems = broken.problems
                log.info("%s: answer %d is broken: %s", what, number, quoted(problems[0]))
                prompt = repaired(prompt, problems, answer.text)
        raise Broken(problems)

    def _metadata(self, brief: Brief, answer: Answer, prompt: Prompt) -> ScriptMetadata:
        families = load_grammar().families
        return ScriptMetadata(
            provider=self.name,
            model=answer.model,
            prompt_hash=bible.hash_of(prompt.system),
            trends=(brief.topic,),
            created_at=brief.created_at,
            cost_usd=round(self._calls.usd, 6),
            family=family_of(spoken_topic(brief.topic), (), families),
        )


def _add_good(
    good: dict[str, Pitch], text: str, topics: list[Topic], system: str, memory: Memory, show: Show
) -> list[str]:
    """Adds the usable pitches of an answer by topic; returns what is wrong with the others."""
    problems = []
    numbers = {topic.name: number for number, topic in enumerate(topics, 1)}
    for pitch in read_pitches(text, topics):
        if pitch.topic in good:
            continue
        found = pitch_problems(pitch, [*good.values()], system=system, memory=memory, show=show)
        if not found:
            good[pitch.topic] = pitch
        problems += [f"Pitch of topic {numbers[pitch.topic]}: {problem}" for problem in found]
    return problems


def _what_is_missing(good: dict[str, Pitch], topics: Sequence[Topic], wanted: int) -> list[str]:
    done = [str(number) for number, topic in enumerate(topics, 1) if topic.name in good]
    kept = f"The pitches of topics {', '.join(done)} are kept. " if done else ""
    return [f"{kept}{wanted - len(good)} more are wanted, for other topics."]


def _unless(problems: list[str], script: Script) -> Script:
    if problems:
        raise Broken(problems)
    return script


def _subject(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
