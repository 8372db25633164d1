import itertools
import json
import random
from pathlib import Path

import pytest

from pipeline.checks import check_script, estimated_seconds
from pipeline.errors import UserError
from pipeline.facts import Memory, Topic, Topics
from pipeline.providers.trends.offline import evergreen_topics
from pipeline.providers.writers.novelty import grams, overlap
from pipeline.providers.writers.offline import OfflineWriter, dialogue
from pipeline.providers.writers.topics import spoken_topic
from pipeline.sections import Premise

DATA = Path(__file__).parents[3] / "data" / "real_trends.json"
SNAPSHOTS = json.loads(DATA.read_text(encoding="utf-8"))["snapshots"]
REAL = list(dict.fromkeys(name for snapshot in SNAPSHOTS for name in snapshot["names"]))
REFUSED = {
    "federal election 2025", "aec", "kanye west", "trump china trade war", "anzac day 2025",
    "kristi noem", "gypsy rose", "pope francis", "papa francesco", "রিকশা", "тигран кеосаян",
}  # fmt: skip


@pytest.fixture(scope="module")
def writer():
    return OfflineWriter()


def write_in_a_row(writer, show, brief, topics):
    """Scripts of one channel, each written with the memory of those before."""
    scripts = []
    for number, topic in enumerate(topics, 1):
        memory = Memory(
            skeletons=tuple(script.metadata.skeleton for script in reversed(scripts)),
            texts=tuple(dialogue(script) for script in reversed(scripts)),
        )
        scripts.append(writer.write(brief(topic, episode=number), memory, show))
    return scripts


def assert_fresh(scripts):
    used = [script.metadata.skeleton for script in scripts]
    for number, skeleton in enumerate(used):
        assert skeleton not in used[max(number - 10, 0) : number]
    runs = [grams(dialogue(script)) for script in scripts]
    assert max(overlap(one, other) for one, other in itertools.combinations(runs, 2)) <= 0.30


@pytest.mark.parametrize("topic", [name for name in REAL if name not in REFUSED])
def test_a_real_trend_becomes_a_script_that_passes_every_check(writer, show, brief, topic):
    script = writer.write(brief(topic), Memory(), show)
    assert check_script(script, show, topic=spoken_topic(topic)) == []
    assert 16 <= estimated_seconds(script, show) <= 40


@pytest.mark.parametrize("topic", sorted(REFUSED))
def test_a_sensitive_or_unsayable_trend_is_refused_with_a_reason(writer, show, brief, topic):
    with pytest.raises(UserError) as caught:
        writer.write(brief(topic), Memory(), show)
    assert topic in str(caught.value)


def test_a_name_is_refused_when_the_headlines_tell_of_a_death(writer, show, brief):
    news = ("Billy Vigar, former Arsenal forward, dies aged 21",)
    with pytest.raises(UserError, match="death"):
        writer.write(brief("billy vigar", headlines=news), Memory(), show)


def test_fifty_real_trends_in_a_row_stay_fresh(writer, show, brief):
    topics = [name for name in REAL if name not in REFUSED][:50]
    assert_fresh(write_in_a_row(writer, show, brief, topics))


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_evergreen_topics_in_a_row_stay_fresh(writer, show, brief, seed):
    topics = random.Random(seed).sample(evergreen_topics(), 50)
    assert_fresh(write_in_a_row(writer, show, brief, topics))


def test_fifty_topics_of_one_kind_in_a_row_stay_fresh(writer, show, brief):
    topics = [f"Team {chr(65 + n % 26)}{'xyz'[n // 26]}a vs Team Blue" for n in range(50)]
    assert_fresh(write_in_a_row(writer, show, brief, topics))


def test_another_show_is_written_without_a_change(writer, tiny_show, brief):
    for script in write_in_a_row(writer, tiny_show, brief, evergreen_topics()[:30]):
        assert {line.character for line in script.lines} == {"Boxy", "Rolly"}
        text = f"{dialogue(script)} {script.caption} {' '.join(script.hashtags)}".casefold()
        assert not any(word in text for word in ("butcher", "nutsy", "squirrel", "dog", "{"))


def test_the_same_brief_gives_the_same_script(writer, show, brief):
    one, other = (OfflineWriter().write(brief("wordle"), Memory(), show) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("changed", [{"episode": 2}, {"day": 5}, {"topic": "crossword"}])
def test_another_episode_day_or_topic_gives_another_script(writer, show, brief, changed):
    first = writer.write(brief(), Memory(), show)
    second = writer.write(brief(**changed), Memory(), show)
    assert dialogue(first) != dialogue(second)


def test_the_script_says_where_it_came_from(writer, show, tiny_show, brief):
    wanted = brief("is reddit down", episode=7)
    script = writer.write(wanted, Memory(), show)
    meta = script.metadata
    assert (script.episode, meta.provider, meta.model) == (7, "offline", "grammar-1")
    assert (meta.trends, meta.family) == (("is reddit down",), "outage")
    assert meta.created_at == wanted.created_at
    assert len(meta.prompt_hash) == 64
    assert meta.prompt_hash != writer.write(wanted, Memory(), tiny_show).metadata.prompt_hash


def test_the_caption_and_the_hashtags_are_about_the_topic(writer, show, brief):
    script = writer.write(brief("earth day"), Memory(), show)
    assert "Earth Day" in script.caption
    assert script.caption[-1] in "?.!"
    assert "EarthDay" in script.hashtags
    assert script.hashtags[0] == show.hashtags[0]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_the_number_of_hashtags_is_a_setting(show, brief, most):
    script = OfflineWriter(max_hashtags=most).write(brief(), Memory(), show)
    assert len(script.hashtags) == most


@pytest.mark.parametrize("limits", [{"lines_max": 5}, {"lines_min": 11}])
def test_limits_that_no_sketch_fits_are_named(show, brief, limits):
    with pytest.raises(UserError, match="SCRIPT_LINES_MIN and SCRIPT_LINES_MAX"):
        OfflineWriter(**limits).write(brief(), Memory(), show)


@pytest.mark.parametrize("count", [8, 9, 10])
def test_the_number_of_lines_is_a_setting(show, brief, count):
    writer = OfflineWriter(lines_min=count, lines_max=count)
    assert len(writer.write(brief(), Memory(), show).lines) == count


@pytest.mark.parametrize(
    ("topic", "spoken"),
    [
        ("**bold** _topic_ `code`", "Bold Topic Code"),
        ("{snack} {0.__class__} %s", "Snack 0. Class %s"),
        ("<b>wordle</b>", "Wordle"),
        ("🔥 wordle 🔥", "Wordle"),
        ("\u202eeldrow\u202c\u200b", "Eldrow"),
        ("wordle\nwordle\x00\x07", "Wordle Wordle"),
        ("; rm -rf / && echo", "RM -rf / && Echo"),
        ("what's the time?", "What's the Time"),
        ("x" * 60, "X" + "x" * 59),
    ],
)
def test_a_hostile_topic_comes_out_as_plain_words(writer, show, brief, topic, spoken):
    script = writer.write(brief(topic), Memory(), show)
    assert spoken in dialogue(script)
    assert check_script(script, show, topic=spoken) == []


@pytest.mark.parametrize(
    "topic",
    [
        "@everyone", "<@1234567890>", "https://example.com", "see example.com", "🔥🔥", "2025",
        "مرحبا", "שלום wordle", "x" * 61, "nutsy", "call +1 555 123 4567", "{}", "stupid hats",
    ],
)  # fmt: skip
def test_a_hopeless_topic_is_refused_with_a_sentence(writer, show, brief, topic):
    with pytest.raises(UserError) as caught:
        writer.write(brief(topic), Memory(), show)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


def test_a_topic_of_10_kb_never_becomes_a_brief(brief):
    with pytest.raises(ValueError, match="at most 120"):
        brief("x" * 10_000)


def test_nothing_that_is_too_like_an_earlier_reel_is_written(writer, show, brief):
    first = writer.write(brief(), Memory(), show)
    # Remembering the words but not the skeleton, as after a restart without the list.
    again = writer.write(brief(), Memory(texts=(dialogue(first),)), show)
    assert overlap(grams(dialogue(first)), grams(dialogue(again))) <= 0.30


def board(*names, count=5):
    return Topics(topics=tuple(Topic(name=name, source="google") for name in names), count=count)


def test_a_chosen_pitch_becomes_the_very_script_that_was_pitched(writer, show, brief):
    topics = board("wordle", "real betis", "tsla stock", "is reddit down", "coachella", "bitcoin")
    pitched = writer.pitch(topics, Memory(), show).pitches
    assert [pitch.topic for pitch in pitched] == [topic.name for topic in topics.topics[:5]]
    for number, pitch in enumerate(pitched, 3):
        premise = Premise(hook=pitch.hook, last_line=pitch.last_line)
        chosen = brief(pitch.topic, episode=number, day=9, premise=premise)
        script = writer.write(chosen, Memory(), show)
        assert (script.lines[0].text, script.lines[-1].text) == (pitch.hook, pitch.last_line)
        assert script.metadata.created_at == chosen.created_at


def test_pitches_of_one_board_come_from_different_sketches(writer, show):
    topics = board(*(f"Team {letter} vs Team Blue" for letter in "ABCDE"))
    pitched = writer.pitch(topics, Memory(), show).pitches
    assert len({pitch.last_line for pitch in pitched}) == 5
    assert all(pitch.why for pitch in pitched)


def test_only_topics_that_may_be_used_are_pitched(writer, show):
    topics = board("gypsy rose", "тигран кеосаян", "wordle", "Wordle", "bitcoin", "tea")
    made = writer.pitch(topics, Memory(topics=("BITCOIN",)), show)
    assert [pitch.topic for pitch in made.pitches] == ["wordle", "tea"]


def test_no_more_pitches_than_asked_for(writer, show):
    assert len(writer.pitch(board("wordle", "tea", count=1), Memory(), show).pitches) == 1


def test_nothing_to_pitch_is_a_sentence(writer, show):
    with pytest.raises(UserError, match="/trends fetch"):
        writer.pitch(board("gypsy rose"), Memory(), show)


def test_a_premise_that_no_sketch_gives_still_becomes_a_script(writer, show, brief):
    premise = Premise(hook="I am a premise of another writer.", last_line="So I end here.")
    script = writer.write(brief(premise=premise), Memory(), show)
    assert check_script(script, show, topic="Wordle") == []


def test_making_a_chosen_pitch_again_gives_another_script(writer, show, brief):
    pitch = writer.pitch(board("wordle"), Memory(), show).pitches[0]
    chosen = brief(premise=Premise(hook=pitch.hook, last_line=pitch.last_line))
    first = writer.write(chosen, Memory(), show)
    memory = Memory(skeletons=(first.metadata.skeleton,), texts=(dialogue(first),))
    assert dialogue(writer.write(chosen, memory, show)) != dialogue(first)
