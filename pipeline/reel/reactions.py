"""When the one who listens fills the frame: for a moment, at the end of a line, voice going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.reel.scene import Reaction, Shot

MOST = 2  # in a reel
SHORTEST_LINE_S = 2.5
SHORTEST_S, USUAL_S, LONGEST_S = 0.8, 1.05, 1.3


def with_cutaways(shots: Sequence[Shot], pictures: Mapping[int, Path], *, fps: int) -> list[Shot]:
    """The shots; the longest of those that have a picture, two at most, end in it.

    Never the first one, which is the hook, nor the last one, which is the punch line: people must
    see who talks. Nor two in a row.
    """
    chosen: list[Shot] = []
    for shot in sorted(shots[1:-1], key=lambda shot: (shot.first - shot.end, shot.index)):
        is_long = shot.end - shot.first >= SHORTEST_LINE_S * fps
        is_apart = all(abs(shot.index - other.index) > 1 for other in chosen)
        if shot.index in pictures and is_long and is_apart and len(chosen) < MOST:
            chosen.append(shot)
    ends = {shot.index: Reaction(pictures[shot.index], _first(shot, fps)) for shot in chosen}
    return [replace(shot, reaction=ends.get(shot.index)) for shot in shots]


def _first(shot: Shot, fps: int) -> int:
    """Where a word begins, about a second before the end; else a second before the end."""
    words = (start for card in shot.cards for start in card.starts)
    allowed = [start for start in words if SHORTEST_S * fps <= shot.end - start <= LONGEST_S * fps]
    usual = shot.end - round(USUAL_S * fps)
    return min(allowed, key=lambda start: abs(start - usual), default=usual)
