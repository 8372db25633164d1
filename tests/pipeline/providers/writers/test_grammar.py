import itertools
import random
import re
from collections import Counter

import pytest

from pipeline.checks import check_script, ends_on_punch_word
from pipeline.providers.writers.grammar import Slots, slots_for
from pipeline.providers.writers.grammar_data import Sketch, load_grammar
from pipeline.providers.writers.topics import derived_slots
from pipeline.sections import Line, Script

GRAMMAR = load_grammar()
TOPICS = {
    "sport": "Girona vs Real Betis",
    "outage": "Is Reddit Down",
    "film": "Ransom Canyon Season 2",
    "unknown": "How to Watch Ryder Cup in Canada",
    "celebrity": "X",
}


def rendered(sketch, show, topic, family, seed):
    rng = random.Random(seed)
    slots = slots_for(show, family, {"subject": "Reddit", **derived_slots(topic)}, GRAMMAR, rng)
    names = {character.role: character.name for character in show.characters}
    return Script(
        lines=[
            Line(
                index=number,
                character=names[beat.role],
                text=slots.fill(rng.choice(beat.says)),
                emotion=beat.emotion,
            )
            for number, beat in enumerate(sketch.beats, 1)
        ],
        caption=slots.fill(sketch.ask[0]),
        hashtags=("x",),
    )


def test_there_are_many_sketches_and_each_has_its_own_name():
    ids = Counter(sketch.id for sketch in GRAMMAR.sketches)
    assert len(ids) >= 48
    assert max(ids.values()) == 1


def test_any_topic_has_three_dozen_sketches():
    assert sum(not sketch.families for sketch in GRAMMAR.sketches) >= 36


def test_every_family_a_sketch_names_exists():
    named = {name for s in GRAMMAR.sketches for name in (*s.families, *s.not_families)}
    assert named <= set(GRAMMAR.families)


@pytest.mark.parametrize("sketch", GRAMMAR.sketches, ids=lambda sketch: sketch.id)
def test_a_sketch_is_a_conversation(sketch):
    roles = [beat.role for beat in sketch.beats]
    assert all(one != other for one, other in itertools.pairwise(roles))
    assert len({beat.emotion for beat in sketch.beats}) >= 3
    naming = re.compile(r"\{(?:topic|subject|a)\}")
    assert any(all(naming.search(say) for say in beat.says) for beat in sketch.beats[:3])


@pytest.mark.parametrize("sketch", GRAMMAR.sketches, ids=lambda sketch: sketch.id)
@pytest.mark.parametrize("family", TOPICS)
def test_a_sketch_has_no_open_slot_and_passes_the_checks(sketch, family, show, tiny_show):
    topic = TOPICS["sport" if "a" in sketch.needs else family]
    topic = TOPICS["outage"] if "subject" in sketch.needs else topic
    for seed in range(4):
        for a_show in (show, tiny_show):
            script = rendered(sketch, a_show, topic, family, seed)
            named = topic if topic in script.lines[0].text else None
            assert check_script(script, a_show, topic=named) == []


@pytest.mark.parametrize("sketch", GRAMMAR.sketches, ids=lambda sketch: sketch.id)
def test_every_phrasing_of_the_last_beat_ends_on_the_joke(sketch, show):
    slots = slots_for(show, "unknown", derived_slots("A vs B"), GRAMMAR, random.Random(1))
    assert all(ends_on_punch_word(slots.fill(say), show) for say in sketch.beats[-1].says)


@pytest.mark.parametrize("sketch", GRAMMAR.sketches, ids=lambda sketch: sketch.id)
def test_the_longest_telling_of_a_sketch_is_not_too_long(sketch):
    words = sum(max(len(say.split()) for say in beat.says) for beat in sketch.beats)
    assert words <= 105


def test_a_slot_keeps_its_words_through_a_script():
    slots = Slots({}, {"snack": ("brie", "butter")}, random.Random(0))
    assert slots.fill("{snack}") == slots.fill("{snack}")


def test_slots_take_articles_and_singulars():
    slots = Slots({"hoard": "acorns", "gear": "whistle"}, {}, random.Random(0))
    assert slots.fill("{a:one:hoard}, {a:gear}. {one:hoard}?") == "An acorn, a whistle. Acorn?"


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("acorns", "An acorn"),
        ("pine cones", "A pine cone"),
        ("berries", "A berry"),
        ("boxes", "A box"),
        ("peaches", "A peach"),
        ("unicorns", "A unicorn"),
        ("hours", "An hour"),
        ("glass", "A glass"),
        ("fish", "A fish"),
    ],
)
def test_regular_nouns_are_inflected(plural, one):
    assert Slots({"hoard": plural}, {}, random.Random(0)).fill("{a:one:hoard}") == one


def test_what_a_slot_brings_is_not_filled_again():
    slots = Slots({"topic": "{snack}"}, {"snack": ("brie",)}, random.Random(0))
    assert slots.fill("{topic}") == "{snack}"


def test_a_slot_that_nobody_knows_is_an_error():
    with pytest.raises(KeyError, match="nothing"):
        Slots({}, {}, random.Random(0)).fill("{nothing}")


def test_a_beat_with_two_heads_is_an_error():
    beat = {"dry sad": ["No."], "wild sad": ["Yes."]}
    with pytest.raises(ValueError, match="a beat is one"):
        Sketch(id="x", pattern="p", ask=("Why?",), beats=(beat,) * 6)
