"""Whose reaction is seen, where, and with which drawing of the library."""

import pytest

from pipeline.facts import Picture
from pipeline.providers.images.cutaways import ANSWERS, Moment, from_library, moments
from pipeline.sections import Emotion, Line

E = Emotion
LONG = "I have read about this for at least an hour, you know."


def script(*lines):
    """Lines of (character, emotion) or (character, emotion, text)."""
    return [
        Line(index=n, character=who, emotion=emotion, text=text[0] if text else LONG)
        for n, (who, emotion, *text) in enumerate(lines, 1)
    ]


def drawing(number, emotion=E.ANGRY, character="Mia", used=0):
    return Picture(
        image_id=number,
        character=character,
        emotion=emotion,
        path=f"library/{number}.png",
        sha256=f"{number:064}",
        usage_count=used,
        source="model",
    )


def places(lines):
    return [(moment.line_index, moment.character) for moment in moments(lines)]


def test_the_one_who_listens_reacts_and_never_in_the_hook_or_the_punch_line():
    lines = script(("Rex", E.HAPPY), ("Mia", E.SAD), ("Rex", E.ANGRY))
    assert places(lines) == [(2, "Rex")]


def test_short_lines_have_no_time_for_a_reaction():
    lines = script(("Rex", E.HAPPY), ("Mia", E.SAD, "Oh no."), ("Rex", E.ANGRY, "Oh yes, my dear."))
    assert places(lines) == []


def test_the_longest_lines_are_chosen_but_not_two_in_a_row():
    lines = script(
        *(
            ("Rex" if n % 2 else "Mia", E.HAPPY, LONG + "!" * more)
            for n, more in enumerate((0, 1, 9, 8, 2, 7, 3, 4, 5))
        )
    )
    assert [place for place, _ in places(lines)] == [3, 6, 8]


def test_somebody_who_talks_alone_is_not_reacted_to():
    assert places(script(("Rex", E.HAPPY), ("Rex", E.SAD), ("rex", E.ANGRY))) == []


def test_of_a_run_of_lines_the_one_who_spoke_before_reacts():
    lines = script(("Mia", E.HAPPY), ("Rex", E.SAD, "No."), ("Rex", E.ANGRY), ("Rex", E.SAD))
    assert places(lines) == [(3, "Mia")]


def test_what_they_say_next_is_how_they_look_now():
    lines = script(("Mia", E.HAPPY), ("Rex", E.SAD), ("Mia", E.EXCITED, "Yes!"))
    (moment,) = moments(lines)
    assert moment.emotions == (E.EXCITED, *ANSWERS[E.SAD])


def test_a_neutral_answer_says_nothing_about_a_face():
    lines = script(("Mia", E.HAPPY), ("Rex", E.SAD), ("Mia", E.NEUTRAL, "Yes."))
    (moment,) = moments(lines)
    assert moment.emotions == ANSWERS[E.SAD]


@pytest.mark.parametrize("emotion", Emotion)
def test_every_emotion_has_three_answers(emotion):
    assert len(set(ANSWERS[emotion])) == 3


WANTED = Moment(3, "Mia", (E.ANGRY, E.SAD))


def shown(*pictures, wanted=(WANTED,)):
    return [cutaway.image_id for cutaway in from_library(wanted, pictures)]


def test_the_least_used_of_the_fitting_drawings_is_taken():
    assert shown(drawing(1, used=2), drawing(2, E.SAD, used=1), drawing(3, E.HAPPY)) == [2]


def test_of_equally_used_ones_the_likelier_emotion_is_taken():
    assert shown(drawing(1, E.SAD), drawing(2, E.ANGRY)) == [2]


def test_no_face_contradicts_the_next_line_while_there_is_a_fitting_one():
    lines = script(("Mia", E.HAPPY), ("Rex", E.SAD), ("Mia", E.EXCITED, "Yes!"))
    pictures = (drawing(1, E.EXCITED, used=9), drawing(2, E.SAD))
    assert shown(*pictures, wanted=moments(lines)) == [1]
    assert shown(*pictures[1:], wanted=moments(lines)) == [2]


def test_a_drawing_of_another_character_or_emotion_is_not_shown():
    assert shown(drawing(1, character="Rex"), drawing(2, E.HAPPY)) == []


def test_no_drawing_is_shown_twice():
    again = Moment(5, "mia", (E.ANGRY,))
    assert shown(drawing(1), wanted=(WANTED, again)) == [1]
    assert shown(drawing(1), drawing(2), wanted=(WANTED, again)) == [1, 2]
