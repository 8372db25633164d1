"""Pictures from the library: by character and emotion, fairly shared, never twice in a row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pipeline.errors import UserError
from pipeline.facts import Library, Picture
from pipeline.sections import Emotion, Line, Selection

E = Emotion
FALLBACKS: dict[Emotion, tuple[Emotion, ...]] = {
    E.HAPPY: (E.EXCITED, E.NEUTRAL, E.SARCASTIC),
    E.EXCITED: (E.HAPPY, E.SURPRISED, E.NEUTRAL),
    E.SAD: (E.CONFUSED, E.NEUTRAL, E.SURPRISED),
    E.ANGRY: (E.SARCASTIC, E.SURPRISED, E.NEUTRAL),
    E.SARCASTIC: (E.NEUTRAL, E.HAPPY, E.ANGRY),
    E.CONFUSED: (E.SURPRISED, E.NEUTRAL, E.SAD),
    E.SURPRISED: (E.EXCITED, E.CONFUSED, E.NEUTRAL),
    E.NEUTRAL: (E.HAPPY, E.SARCASTIC, E.CONFUSED),
}
"""What comes nearest when an emotion has no picture; after these, any emotion in their order."""

NEVER = datetime.min.replace(tzinfo=UTC)


class LibraryPictures:
    """Chooses by least used (this episode counted), then least recently used, then lowest id."""

    name = "library"

    def choose(self, lines: Sequence[Line], library: Library) -> list[Selection]:
        """One selection per line; UserError when a character has no picture at all."""
        shelves: dict[tuple[str, Emotion], list[Picture]] = {}
        for picture in library.pictures:
            shelves.setdefault((picture.character.casefold(), picture.emotion), []).append(picture)
        turns: Counter[int] = Counter()
        latest: dict[int, int] = {}
        last: dict[str, int] = {}
        selections: list[Selection] = []
        for line in lines:
            who = line.character.casefold()
            shelf = self._shelf(line, shelves)
            others = [picture for picture in shelf if picture.image_id != last.get(who)]
            picture = min(others or shelf, key=lambda p: _rank(p, turns=turns, latest=latest))
            turns[picture.image_id] += 1
            latest[picture.image_id] = line.index
            last[who] = picture.image_id
            selections.append(_selection(line, picture))
        return selections

    def _shelf(
        self, line: Line, shelves: dict[tuple[str, Emotion], list[Picture]]
    ) -> list[Picture]:
        for emotion in chain(line.emotion):
            shelf = shelves.get((line.character.casefold(), emotion))
            if shelf:
                return shelf
        raise UserError(
            f"The image library has no usable picture of {line.character}. "
            "Restart the bot to paint the show's own pictures again, or add one."
        )


def chain(emotion: Emotion) -> Iterator[Emotion]:
    """The emotion, its fall-backs, then all others."""
    near = (emotion, *FALLBACKS[emotion])
    yield from near
    yield from (other for other in Emotion if other not in near)


def _rank(
    picture: Picture, *, turns: Counter[int], latest: dict[int, int]
) -> tuple[int, int, datetime, int]:
    number = picture.image_id
    used = picture.usage_count + turns[number]
    return used, latest.get(number, 0), picture.last_used_at or NEVER, number


def _selection(line: Line, picture: Picture) -> Selection:
    return Selection(
        line_index=line.index,
        character=line.character,
        emotion=picture.emotion,
        image_id=picture.image_id,
        image_path=picture.path,
        sha256=picture.sha256,
        fallback_from=line.emotion if picture.emotion != line.emotion else None,
    )
