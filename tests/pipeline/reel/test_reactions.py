"""Where a reaction fills the frame: late in long lines, twice at most, never first or last."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.reel.captions import Card
from pipeline.reel.reactions import with_cutaways
from pipeline.reel.scene import Shot

FPS = 30


def shots(*seconds, words=()):
    """Shots one after another; `words` are the frames at which words begin, from each start."""
    made, at = [], 0
    for index, long in enumerate(seconds, 1):
        end = at + round(long * FPS)
        starts = tuple(at + word for word in words) or (at,)
        card = Card(("word",) * len(starts), starts, at, end, (255, 255, 255))
        made.append(Shot(index, Path("a.png"), -1, None, at, end, (card,)))
        at = end
    return made


def pictures(*lines):
    return {line: Path(f"{line}.png") for line in lines}


def reacted(made):
    return [shot.index for shot in made if shot.reaction]


def test_without_a_picture_the_shots_are_as_they_were():
    assert with_cutaways(shots(3, 4, 5), {}, fps=FPS) == shots(3, 4, 5)


@pytest.mark.parametrize("line", [1, 3])
def test_the_hook_and_the_punch_line_keep_their_speakers(line):
    assert reacted(with_cutaways(shots(9, 3, 9), pictures(line), fps=FPS)) == []


@pytest.mark.parametrize(("seconds", "there"), [(2.4, []), (2.5, [2]), (6, [2])])
def test_a_short_line_keeps_its_speaker(seconds, there):
    assert reacted(with_cutaways(shots(3, seconds, 3), pictures(2), fps=FPS)) == there


def test_the_two_longest_lines_are_reacted_to_but_not_two_in_a_row():
    made = with_cutaways(shots(3, 3, 5, 4, 3, 2.6, 9), pictures(2, 3, 4, 5, 6), fps=FPS)

    assert reacted(made) == [3, 5]


def test_only_lines_with_a_picture_are_reacted_to():
    made = with_cutaways(shots(3, 9, 4, 3, 3), pictures(4), fps=FPS)

    assert reacted(made) == [4]
    assert made[3].reaction.picture == Path("4.png")
    assert replace(made[3], reaction=None) == shots(3, 9, 4, 3, 3)[3]


def test_the_cut_is_where_a_word_begins():
    (_, made, _) = with_cutaways(shots(3, 4, 3, words=(0, 50, 88, 100)), pictures(2), fps=FPS)

    assert made.reaction.first == made.first + 88


@pytest.mark.parametrize("words", [(0,), (0, 40, 115)])
def test_without_a_word_in_that_second_it_lasts_about_a_second(words):
    (_, made, _) = with_cutaways(shots(3, 4, 3, words=words), pictures(2), fps=FPS)

    assert 0.8 <= (made.end - made.reaction.first) / FPS <= 1.3
