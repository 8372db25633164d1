"""The writer that needs no key: picks a sketch, fills it, and keeps the best of many drafts."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.checks import check_script, estimated_seconds
from pipeline.errors import UserError
from pipeline.facts import Memory, Topic, Topics
from pipeline.providers.writers.grammar import Slots, slots_for
from pipeline.providers.writers.grammar_data import Grammar, Sketch, load_grammar
from pipeline.providers.writers.novelty import MOST_OVERLAP, grams, greatest_overlap
from pipeline.providers.writers.prompt import usable_topics
from pipeline.providers.writers.topics import derived_slots, family_of, spoken_topic, topic_hashtag
from pipeline.safety import refusal
from pipeline.sections import Brief, Line, Pitch, Pitches, Premise, Script, ScriptMetadata
from pipeline.shows import Show

MODEL = "grammar-1"
REST_REELS = 10  # a sketch is not used again within so many reels
DRAFTS_PER_SKETCH = 4
GOOD_SECONDS = (20.0, 36.0)


@dataclass(frozen=True)
class Draft:
    script: Script
    merit: float


class OfflineWriter:
    """Writes from the bundled grammar; the same brief, memory and show give the same script."""

    name = "offline"

    def __init__(self, *, lines_min: int = 5, lines_max: int = 12, max_hashtags: int = 5) -> None:
        self._lines_min = lines_min
        self._lines_max = lines_max
        self._max_hashtags = max_hashtags
        self._grammar = load_grammar()

    def write(self, brief: Brief, memory: Memory, show: Show) -> Script:
        """Raises UserError when the topic is refused, cannot be said, or no draft is good."""
        if reason := refusal(brief.topic, brief.headlines):
            raise UserError(reason)
        spoken = spoken_topic(brief.topic)
        slots = derived_slots(spoken)
        family = family_of(spoken, brief.headlines, self._grammar.families)
        sketches = self._fitting(family, slots, memory)
        drafts = list(self._drafts(brief, memory, show, family, slots, sketches))
        if brief.premise:
            drafts = [d for d in drafts if _keeps(d.script, brief.premise)] or drafts
        problems: list[str] = []
        for draft in sorted(drafts, key=lambda draft: -draft.merit):
            problems = self._problems(draft.script, show, spoken)
            if not problems:
                return draft.script
        raise UserError(self._why_not(brief.topic, problems))

    def pitch(self, topics: Topics, memory: Memory, show: Show) -> Pitches:
        """The first and the last line of scripts it would write, each from another sketch.

        A brief with such a premise gives that very script, as long as its sketch may be used.
        """
        found: list[Pitch] = []
        for topic in usable_topics(topics, memory):
            if len(found) == topics.count:
                break
            with suppress(UserError):  # the grammar has nothing fresh for it
                script = self.write(_pitched(topic), memory, show)
                found.append(_pitch_of(script, topic))
                memory = _with(script, memory)
        if not found:
            raise UserError("No topic of these days can be pitched; /trends fetch asks for more.")
        return Pitches(pitches=tuple(found), provider=self.name)

    def _fitting(self, family: str, slots: dict[str, str], memory: Memory) -> list[Sketch]:
        resting = set(memory.skeletons[:REST_REELS])
        return [
            sketch
            for sketch in self._grammar.sketches
            if sketch.id not in resting
            and (not sketch.families or family in sketch.families)
            and family not in sketch.not_families
            and all(need in slots for need in sketch.needs)
            and self._lines_min <= len(sketch.beats) <= self._lines_max
        ]

    def _drafts(
        self,
        brief: Brief,
        memory: Memory,
        show: Show,
        family: str,
        topic_slots: dict[str, str],
        sketches: Sequence[Sketch],
    ) -> Iterator[Draft]:
        earlier = [grams(text) for text in memory.texts]
        for sketch in sketches:
            for attempt in range(DRAFTS_PER_SKETCH):
                rng = random.Random(_seed(brief, sketch.id, attempt))
                slots = slots_for(show, family, topic_slots, self._grammar, rng)
                script = self._render(brief, show, family, sketch, slots, rng)
                shared = greatest_overlap(dialogue(script), earlier)
                if shared <= MOST_OVERLAP:
                    merit = _merit(script, sketch, memory, show, shared) + rng.random()
                    yield Draft(script, merit)

    def _render(
        self,
        brief: Brief,
        show: Show,
        family: str,
        sketch: Sketch,
        slots: Slots,
        rng: random.Random,
    ) -> Script:
        names = {character.role: character.name for character in show.characters}
        lines = tuple(
            Line(
                index=number,
                character=names[beat.role],
                text=slots.fill(rng.choice(beat.says)),
                emotion=beat.emotion,
            )
            for number, beat in enumerate(sketch.beats, 1)
        )
        return Script(
            episode=brief.episode,
            metadata=self._metadata(brief, show, family, sketch),
            lines=lines,
            caption=self._caption(family, sketch, slots, rng),
            hashtags=self._hashtags(brief, show, family),
        )

    def _metadata(self, brief: Brief, show: Show, family: str, sketch: Sketch) -> ScriptMetadata:
        return ScriptMetadata(
            provider=self.name,
            model=MODEL,
            prompt_hash=prompt_hash(self._grammar, show),
            trends=(brief.topic,),
            created_at=brief.created_at,
            skeleton=sketch.id,
            family=family,
        )

    def _caption(self, family: str, sketch: Sketch, slots: Slots, rng: random.Random) -> str:
        hooks = self._grammar.hooks["any"] + self._grammar.hooks.get(family, ())
        return f"{slots.fill(rng.choice(hooks))} {slots.fill(rng.choice(sketch.ask))}"

    def _hashtags(self, brief: Brief, show: Show, family: str) -> tuple[str, ...]:
        """The show's first, then the topic's and the family's, none twice."""
        own, more = show.hashtags[:2], show.hashtags[2:]
        topical = (
            topic_hashtag(spoken_topic(brief.topic)),
            *self._grammar.families[family].hashtags,
        )
        tags = {tag.casefold(): tag for tag in reversed((*own, *topical, *more)) if tag}
        return tuple(reversed(tags.values()))[: self._max_hashtags]

    def _problems(self, script: Script, show: Show, spoken: str) -> list[str]:
        return check_script(
            script,
            show,
            topic=spoken,
            lines_min=self._lines_min,
            lines_max=self._lines_max,
            max_hashtags=self._max_hashtags,
        )

    def _why_not(self, topic: str, problems: Sequence[str]) -> str:
        if problems:
            return f"No script about “{topic}” passes the checks: {problems[0]}"
        sizes = sorted(len(sketch.beats) for sketch in self._grammar.sketches)
        return (
            f"The offline writer has no fresh sketch for “{topic}” with {self._lines_min} to "
            f"{self._lines_max} lines (its sketches have {sizes[0]} to {sizes[-1]}); widen "
            "SCRIPT_LINES_MIN and SCRIPT_LINES_MAX, or give another topic."
        )


def dialogue(script: Script) -> str:
    """All lines as one string, as Memory.texts keeps them."""
    return " ".join(line.text for line in script.lines)


def prompt_hash(grammar: Grammar, show: Show) -> str:
    """Of all that a script is made from besides its brief: the grammar and the show's bible."""
    bible = show.model_dump_json(exclude={"folder"})
    return hashlib.sha256(f"{grammar.sha256}\n{bible}".encode()).hexdigest()


def _pitched(topic: Topic) -> Brief:
    """A brief as it will be once the pitch is chosen, as far as drafts depend on it."""
    unknown = Premise(hook="?", last_line="?")
    return Brief(
        episode=0,
        topic=topic.name,
        headlines=topic.headlines,
        source=topic.source,
        premise=unknown,
        created_at=datetime.min.replace(tzinfo=UTC),
    )


def _pitch_of(script: Script, topic: Topic) -> Pitch:
    bundled = topic.source == "evergreen"
    return Pitch(
        topic=topic.name,
        source=topic.source,
        hook=script.lines[0].text,
        last_line=script.lines[-1].text,
        why="It never gets old." if bundled else f"People talk about it now ({topic.source}).",
    )


def _with(script: Script, memory: Memory) -> Memory:
    """The memory after this script, so that the next pitch is another joke."""
    return memory.model_copy(
        update={
            "skeletons": (script.metadata.skeleton, *memory.skeletons),
            "texts": (dialogue(script), *memory.texts),
        }
    )


def _keeps(script: Script, premise: Premise) -> bool:
    return (script.lines[0].text, script.lines[-1].text) == (premise.hook, premise.last_line)


def _seed(brief: Brief, sketch: str, attempt: int) -> int:
    # A pitch is drafted before there is an episode, and chosen on whatever day.
    day = "pitch" if brief.premise else brief.created_at.date().isoformat()
    episode = 0 if brief.premise else brief.episode
    key = f"{brief.topic.casefold()}\n{day}\n{episode}\n{sketch}\n{attempt}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def _merit(script: Script, sketch: Sketch, memory: Memory, show: Show, shared: float) -> float:
    """Higher is better: fresh words, a rested sketch, made for the family, a good length."""
    seconds = estimated_seconds(script, show)
    low, high = GOOD_SECONDS
    off_length = max(low - seconds, seconds - high, 0.0)
    ago = memory.skeletons.index(sketch.id) if sketch.id in memory.skeletons else None
    rest = 2.0 if ago is None else min(ago / 50, 1.0)
    return rest + 1.5 * bool(sketch.families) + bool(sketch.needs) - 3 * shared - off_length / 4
