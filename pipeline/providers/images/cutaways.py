"""Which moments of a script somebody reacts to, how, and with which drawing of the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.facts import Picture
from pipeline.sections import Cutaway, Emotion, Line

E = Emotion
ANSWERS: dict[Emotion, tuple[Emotion, ...]] = {
    E.HAPPY: (E.SARCASTIC, E.HAPPY, E.CONFUSED),
    E.SAD: (E.SAD, E.SURPRISED, E.CONFUSED),
    E.EXCITED: (E.CONFUSED, E.SARCASTIC, E.SURPRISED),
    E.SARCASTIC: (E.ANGRY, E.CONFUSED, E.SURPRISED),
    E.ANGRY: (E.SURPRISED, E.SAD, E.CONFUSED),
    E.CONFUSED: (E.SARCASTIC, E.SURPRISED, E.CONFUSED),
    E.SURPRISED: (E.SURPRISED, E.CONFUSED, E.EXCITED),
    E.NEUTRAL: (E.CONFUSED, E.NEUTRAL, E.SARCASTIC),
}
"""What somebody may feel who hears a line said with an emotion, the likeliest first."""
MOST = 3
"""One more than a reel shows: how long its lines last is only known when they are spoken."""
SHORTEST_TEXT = 32
"""Letters; nobody says that many in less than two seconds."""
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Moment:
    """Who is to be seen with a line, and with which face, the best first."""

    line_index: int
    character: str
    emotions: tuple[Emotion, ...]
    is_known: bool = False
    """The first face is the one that their next line is said with: another would contradict it."""


def moments(lines: Sequence[Line]) -> list[Moment]:
    """Long lines that somebody listens to, in their order; no two of them in a row.

    Neither the hook nor the punch line: people must see who says them.
    """
    chosen: dict[int, Moment] = {}
    for place in sorted(range(1, len(lines) - 1), key=lambda n: (-len(lines[n].text), n)):
        moment = _reaction(lines, place)
        is_apart = all(abs(place - other) > 1 for other in chosen)
        if moment and is_apart and len(lines[place].text) >= SHORTEST_TEXT and len(chosen) < MOST:
            chosen[place] = moment
    return [chosen[place] for place in sorted(chosen)]


def _reaction(lines: Sequence[Line], place: int) -> Moment | None:
    """The face of the next one to speak, else of the last one; None in a monologue."""
    line = lines[place]
    after = [other for other in lines[place + 1 : place + 2] if not _is_same(line, other)]
    before = [other for other in lines[:place] if not _is_same(line, other)]
    # What they say next is what they feel now; a neutral face is no reaction.
    telling = tuple(other.emotion for other in after if other.emotion is not E.NEUTRAL)
    emotions = tuple(dict.fromkeys((*telling, *ANSWERS[line.emotion])))
    for listener in (*after, *reversed(before)):
        return Moment(line.index, listener.character, emotions, is_known=bool(telling))
    return None


def _is_same(line: Line, other: Line) -> bool:
    return line.character.casefold() == other.character.casefold()


def from_library(wanted: Iterable[Moment], drawings: Sequence[Picture]) -> list[Cutaway]:
    """A drawing for each moment that has a fitting one: the least used, none of them twice.

    Where the face is known, that face if there is one.
    """
    found: list[Cutaway] = []
    shown: set[int] = set()
    for moment in wanted:
        fitting = [
            picture
            for picture in drawings
            if picture.character.casefold() == moment.character.casefold()
            and picture.emotion in moment.emotions
            and picture.image_id not in shown
        ]
        if fitting:
            picture = min(fitting, key=lambda picture: _rank(picture, moment))
            shown.add(picture.image_id)
            found.append(_cutaway(moment, picture))
    return found


def _rank(picture: Picture, moment: Moment) -> tuple[bool, int, int, datetime, int]:
    likely = moment.emotions.index(picture.emotion)
    contradicts = moment.is_known and likely > 0
    last_used = picture.last_used_at or NEVER
    return contradicts, picture.usage_count, likely, last_used, picture.image_id


def _cutaway(moment: Moment, picture: Picture) -> Cutaway:
    return Cutaway(
        line_index=moment.line_index,
        character=moment.character,
        emotion=picture.emotion,
        image_path=picture.path,
        sha256=picture.sha256,
        image_id=picture.image_id,
    )
