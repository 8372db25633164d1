from pathlib import Path

import pytest

from pipeline.checks import check_script, ends_on_punch_word, estimated_seconds, names_topic
from pipeline.sections import Line, Script
from pipeline.shows import load_show, read_show

SHOW = load_show("butcher_and_nutsy")
TINY = read_show(Path(__file__).parents[1] / "fixtures" / "tiny_show")
TEXTS = (
    "Everybody is talking about Real Betis today, boss!",
    "Everybody should lie down and eat something instead.",
    "But I bought nine flags and a very loud trumpet!",
    "Then you can wave goodbye to your afternoon nap.",
    "I never sleep! I have not slept since last Tuesday!",
    "That explains the noise inside my favourite lamp.",
)


def script(*texts, caption="A caption. Agree?", hashtags=("Comedy",), **changes):
    speakers = ("Nutsy", "Butcher")
    lines = [
        Line(index=n + 1, character=speakers[n % 2], text=text, emotion="happy")
        for n, text in enumerate(texts or TEXTS)
    ]
    return Script(lines=lines, caption=caption, hashtags=hashtags, **changes)


def problems(what, *, topic="real betis", **limits):
    return check_script(what, SHOW, topic=topic, **limits)


def with_line(text, **line):
    changed = Line(index=2, character="Butcher", text=text, emotion="happy")
    lines = list(script().lines)
    lines[1] = changed.model_copy(update=line)
    return script().model_copy(update={"lines": tuple(lines)})


def test_a_good_script_has_no_problems():
    assert problems(script()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Ask @somebody about this one.", "Line 2 mentions somebody with @."),
        ("Look at https://example.com now.", "Line 2 contains a link."),
        ("Look at example.com now.", "Line 2 contains a link."),
        ("Call me on +44 20 7946 0958 tonight.", "Line 2 contains a phone number."),
        ("This is **loud** indeed.", "Line 2 contains markup or an unfilled slot."),
        ("This is {snack} indeed.", "Line 2 contains markup or an unfilled slot."),
        ("This is <b>loud</b>.", "Line 2 contains markup or an unfilled slot."),
        ("This \u202eis turned\u202c.", "Line 2 contains control or direction characters."),
        ("This is\u0007 a bell.", "Line 2 contains control or direction characters."),
        ("You are an IDIOT, friend.", "Line 2 contains the blocked word 'idiot'."),
        ("Good morning, Nutsy.", "Line 2 says 'Nutsy', which no voice of this show may say; "
         "use a nickname."),
        ("...", "Line 2 is empty; every line needs words."),
        ("word " * 40 + "end.", "Line 2 has 204 characters; at most 140 can be said."),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(text, sentence):
    assert problems(with_line(text)) == [sentence]


@pytest.mark.parametrize("text", ["We met in 2025 at 10.30.", "It costs 3.50, e.g. on Monday."])
def test_numbers_and_dots_are_neither_links_nor_phone_numbers(text):
    assert problems(with_line(text)) == []


def test_a_word_inside_a_word_is_not_blocked():
    assert problems(with_line("Hello, shell of a skilled fatherly shield.")) == []


@pytest.mark.parametrize(("low", "high"), [(7, 12), (1, 5)])
def test_the_number_of_lines_is_limited(low, high):
    found = problems(script(), lines_min=low, lines_max=high)
    assert found == [f"It has 6 lines; {low} to {high} are allowed."]


def test_both_characters_must_speak():
    lines = tuple(line.model_copy(update={"character": "Nutsy"}) for line in script().lines)
    found = problems(script().model_copy(update={"lines": lines}))
    assert "Butcher says nothing; both characters must speak." in found


@pytest.mark.parametrize("name", ["Bruno", "nutsy"])
def test_only_characters_of_the_show_in_their_spelling(name):
    found = problems(with_line("I am new here, hello everybody.", character=name))
    assert found[0].startswith(f"There is no character '{name}'")


def test_the_index_counts_from_one():
    found = problems(with_line("I am out of order, I am afraid.", index=9))
    assert found == ["Line 2 has the index 9; count the lines from 1 without a gap."]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"caption": ""}, "The caption is missing."),
        ({"hashtags": ()}, "The hashtags are missing."),
        ({"hashtags": tuple("abcdef")}, "It has 6 hashtags; at most 5 are allowed."),
        ({"hashtags": ("Fun", "fun")}, "A hashtag is there twice."),
        ({"caption": "Look #here"}, "The caption has a hashtag inside; list it under `hashtags`."),
        ({"caption": "Write to @me"}, "The caption mentions somebody with @."),
    ],
)
def test_the_post_is_checked(changes, sentence):
    assert problems(script(**changes)) == [sentence]


def test_the_text_of_the_post_fits_instagram_with_the_template():
    long = script(caption="word " * 399, hashtags=tuple(f"{'x' * 55}{n}" for n in range(5)))
    assert problems(long) == ["The text of the post has 2314 characters; at most 2200 are allowed."]


def test_a_channel_may_do_without_hashtags():
    assert problems(script(hashtags=()), max_hashtags=0) == []


def test_no_setting_allows_more_than_instagrams_thirty():
    many = script(hashtags=tuple(f"tag{n}" for n in range(31)))
    assert problems(many, max_hashtags=99) == ["It has 31 hashtags; at most 30 are allowed."]


def test_the_topic_must_be_named():
    assert problems(script(), topic="wordle") == ["Nobody names the topic 'wordle'."]


def test_a_script_by_hand_may_have_any_topic_and_length():
    assert check_script(script(*["Yes."] * 6), SHOW, topic=None) == []


@pytest.mark.parametrize("texts", [("Real Betis. Yes.", "No.") * 3, [*TEXTS * 4, "A lamp."]])
def test_a_reel_that_is_too_short_or_too_long_is_noticed(texts):
    found = problems(script(*texts), lines_max=40)
    assert len(found) == 1
    assert found[0].startswith("It would last about")


def test_the_estimate_follows_the_voice_of_the_character():
    slow, fast = ([Line(index=1, character=name, text="one two three", emotion="sad")]
                  for name in ("Butcher", "Nutsy"))  # fmt: skip
    assert estimated_seconds(Script(lines=slow), SHOW) > estimated_seconds(Script(lines=fast), SHOW)


@pytest.mark.parametrize(
    "text",
    ["That is my tie.", "Goodbye, camembert!", "A career in marketing", "After you, dear boss."],
)
def test_a_punch_word_is_last(text):
    assert ends_on_punch_word(text, SHOW)


@pytest.mark.parametrize(
    "text",
    ["A tie, that is what it is.", "Marketing, haha!", "A lamp, I think so.", "A lamp. Boss!", "!"],
)
def test_a_filler_is_no_punch_word(text):
    assert not ends_on_punch_word(text, SHOW)


def test_the_last_line_must_end_on_the_joke():
    found = problems(script(*TEXTS[:-1], "My favourite lamp, I have heard the noise in it."))
    assert found == ["The last word of the last line is not the joke."]


@pytest.mark.parametrize(
    ("topic", "text", "named"),
    [
        ("girona vs real betis", "Girona vs. Real Betis is on!", True),
        ("stm grève", "It says STM Greve.", True),
        ("x", "X is here.", True),
        ("x", "Xylophones are here.", False),
        ("real betis", "Betis is real.", False),
        ("don't worry", "They say: Don't worry!", True),
    ],
)
def test_a_topic_is_named_by_its_words_in_order(topic, text, named):
    assert names_topic(topic, text) is named


def test_the_checks_know_no_character_by_name():
    lines = [
        Line(index=n, character=("Boxy", "Rolly")[n % 2], text=text, emotion="sad")
        for n, text in enumerate(TEXTS, 1)
    ]
    other = Script(lines=lines, caption="Square or round?", hashtags=("TwoShapes",))
    assert check_script(other, TINY, topic="real betis") == []
