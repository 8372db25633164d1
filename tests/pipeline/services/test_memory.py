"""What the writers' room remembers, and fifty episodes of a model that repeats itself."""

import itertools
import json
import random
from datetime import timedelta

import pytest
from standins.comedian import Comedian, data_of
from standins.openai import KEY, OpenAI

from pipeline.config import WriterConfig
from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.providers.writers.novelty import MOST_OVERLAP, grams, overlap
from pipeline.providers.writers.offline import dialogue
from pipeline.providers.writers.prompt import REASONS
from pipeline.sections import Brief, Line, Script, ScriptMetadata
from pipeline.services.bookkeeping import MEMORY_OF_REJECTIONS, MOST_REJECTIONS
from pipeline.services.topics import TOPIC_WINDOW
from pipeline.shows import load_show
from pipeline.stages import script as script_stage
from storage.rejections import Rejections

DAY = timedelta(days=1)
SHOW = load_show("butcher_and_nutsy")
GAGS = SHOW.running_gags
# Some more than fit into the window, none near another; every one trends every day.
TOPICS = (
    "chess", "ballet", "karaoke", "mushrooms", "ikea", "yoga", "bowling", "sushi", "lego", "opera",
    "camping", "pancakes", "tango", "bicycles", "umbrellas", "magicians",
)  # fmt: skip


async def keep(desk, text, *, revision=1, episode=None, **metadata):
    """A script of a new episode, or of another revision of one."""
    made = episode or await desk.rows.create(topic="x", now=desk.now)
    line = Line(index=1, character="Butcher", text=text, emotion="sad")
    metadata = ScriptMetadata(created_at=desk.now, **metadata)
    written = Script(episode=made.id, metadata=metadata, lines=(line,), caption="c")
    await desk.rows.save_section(made.id, revision, "script", written.model_dump_json())
    return made


async def memory(desk):
    return (await desk.bookkeeping.facts(None, "script"))["memory"]


async def test_the_newest_reels_come_first(desk):
    await keep(desk, "One.", trends=("chess",), skeleton="a")
    await keep(desk, "Two.", trends=("tango",))
    remembered = await memory(desk)
    assert remembered.texts == ("Two.", "One.")
    assert remembered.topics == ("tango", "chess")
    assert remembered.skeletons == ("a",)
    assert (await desk.bookkeeping.facts(None, "pitches"))["memory"] == remembered


async def test_a_topic_may_come_again_after_its_window(desk):
    await keep(desk, "One.", trends=("chess",))
    desk.now += TOPIC_WINDOW - DAY
    assert (await memory(desk)).topics == ("chess",)
    desk.now += DAY
    assert (await memory(desk)).topics == ()


async def test_gags_count_the_reels_since_they_were_last_used(desk):
    await keep(desk, "One.", gags=(GAGS[0], GAGS[1]))
    await keep(desk, "Two.", gags=(GAGS[0],))
    await keep(desk, "Three.")
    assert (await memory(desk)).gags == {GAGS[0]: 1, GAGS[1]: 2}


async def test_a_reel_that_is_made_again_is_remembered_until_its_new_script_is_there(desk):
    episode = await keep(desk, "Old joke.")
    await desk.rows.new_revision(episode.id, who="Margot", now=desk.now)
    assert (await memory(desk)).texts == ("Old joke.",)
    await keep(desk, "New joke.", episode=episode, revision=2)
    assert (await memory(desk)).texts == ("New joke.",)


async def test_only_the_newest_rejections_are_rules_and_they_age_out(desk):
    rejections = Rejections(desk.db)
    for number in range(MOST_REJECTIONS + 3):
        episode = await desk.rows.create(topic=f"topic {number}", now=desk.now)
        await rejections.add(episode.id, 1, 7, "boring", f"no. {number}", now=desk.now)
        desk.now += DAY
    known = (await memory(desk)).rejections
    assert [one.words for one in known] == [f"no. {n}" for n in range(14, 2, -1)]
    assert (known[0].reason, known[0].topic) == ("boring", "topic 14")
    desk.now += MEMORY_OF_REJECTIONS - 5 * DAY
    assert [one.words for one in (await memory(desk)).rejections] == [
        "no. 14", "no. 13", "no. 12", "no. 11", "no. 10",
    ]  # fmt: skip


WORDS = (
    "acorn", "sofa", "trumpet", "lamp", "cheese", "bench", "nap", "cushion", "neighbour", "spoon",
    "umbrella", "window", "carpet", "hat", "postman", "kettle", "biscuit", "ladder", "garden",
    "piano", "basket", "button", "ticket", "candle", "drawer", "feather",
)  # fmt: skip


def new_script(topic, number):
    """Six lines without sense that no other number shares four words in a row with."""
    chance = random.Random(number)
    lines = [" ".join(chance.choices(WORDS, k=9)).capitalize() + "." for _ in range(6)]
    lines[0] = f"{topic}! {lines[0]}"
    names = itertools.cycle(("Nutsy", "Butcher"))
    return json.dumps(
        {
            "lines": [
                {"character": name, "text": text, "emotion": "happy"}
                for name, text in zip(names, lines, strict=False)
            ],
            "caption": f"{lines[1]} Agree?",
            "hashtags": ["Comedy"],
            "gags": [1 + number % len(GAGS)],
        }
    )


class Repeater:
    """Says the first thing it ever said, then the last thing, and only then something new."""

    def __init__(self):
        self.said = []
        self.asked = []
        self.rounds = itertools.cycle(("first", "last", "new"))

    def __call__(self, system, user, schema):
        self.asked.append(data_of(user))
        kind = next(self.rounds) if self.said else "new"
        if kind == "new":
            self.said.append(new_script(self.asked[-1]["topic"], len(self.said)))
            return self.said[-1]
        return self.said[0 if kind == "first" else -1]


@pytest.fixture
def write(desk, tmp_path):
    """The script stage of a job of its own, asked through a stand-in."""
    jobs = itertools.count(1)

    def ask(service, brief, remembered):
        job = next(jobs)
        folder = tmp_path / "attempts" / str(job)
        folder.mkdir(parents=True)
        config = WriterConfig(provider="openai", api_key=KEY, base_url=service.base_url)
        ctx = StageContext(
            episode=brief.episode,
            revision=1,
            folder=folder,
            revision_folder=folder,
            data_dir=tmp_path,
            show=SHOW,
            config=config,
            job=job,
        )
        return script_stage.run(brief, remembered, ctx=ctx)

    return ask


async def brief_of_a_new_episode(desk):
    """Of the best trend that may be used; every topic trends again every day."""
    for name in TOPICS:
        await desk.trend(name)
    episode = await desk.rows.create(now=desk.now)
    assert await desk.bookkeeping.choose_topic(episode)
    return Brief.model_validate_json(await desk.rows.section(episode.id, 1, "brief"))


async def test_fifty_episodes_of_a_model_that_repeats_itself(desk, write):
    reasons = itertools.cycle(REASONS)
    given, used, texts = [], [], []
    with OpenAI(answers=Repeater()) as service:
        for number in range(50):
            brief = await brief_of_a_new_episode(desk)
            script = write(service, brief, await memory(desk))
            await desk.rows.save_section(brief.episode, 1, "script", script.model_dump_json())
            texts.append(dialogue(script))
            used.append((brief.topic, desk.now))

            # The reasons given so far stood in the very next prompt, while they were recent.
            told = [one["words"] for one in service.answers.asked[-1].get("rejections", ())]
            young = [words for words, at in given if desk.now - at <= MEMORY_OF_REJECTIONS]
            assert told == young[::-1][:MOST_REJECTIONS]

            reason, words = next(reasons), f"reason no. {number}"
            await Rejections(desk.db).add(brief.episode, 1, 7, reason, words, now=desk.now)
            given.append((words, desk.now))
            desk.now += DAY

    runs = [grams(text) for text in texts]
    assert max(overlap(a, b) for a, b in itertools.combinations(runs, 2)) <= MOST_OVERLAP
    for (topic, at), (other, later) in itertools.combinations(used, 2):
        assert topic != other or later - at > TOPIC_WINDOW
    assert len({topic for topic, _ in used}) < len(used)
    assert service.called("chat") > 50 * 2  # most answers were refused first


async def test_every_reason_is_a_rule_of_the_next_prompt(desk, write):
    rejections = Rejections(desk.db)
    with OpenAI() as service:
        for user, reason in enumerate(REASONS):
            episode = await desk.rows.create(topic="chess", now=desk.now)
            await rejections.add(episode.id, 1, user, reason, "", now=desk.now)
        write(service, await brief_of_a_new_episode(desk), await memory(desk))
        with_rules = service.requests[-1].body["messages"][1]["content"]
        desk.now += MEMORY_OF_REJECTIONS + DAY
        write(service, await brief_of_a_new_episode(desk), await memory(desk))
        without = service.requests[-1].body["messages"][1]["content"]
    for reason, rule in REASONS.items():
        assert f"- {reason}: {rule}." in with_rules
        assert rule not in without


async def test_a_model_that_knows_one_joke_only_is_refused_in_a_sentence(desk, write):
    once = Comedian()
    with OpenAI() as service:
        brief = await brief_of_a_new_episode(desk)
        joke = once("", f'<data>\n{{"topic": "{brief.topic}"}}\n</data>', {"properties": {}})
        service.answers = lambda *_: joke
        first = write(service, brief, await memory(desk))
        await desk.rows.save_section(brief.episode, 1, "script", first.model_dump_json())
        remembered = await memory(desk)
        with pytest.raises(UserError, match=r"no usable script.*another topic"):
            write(service, brief, remembered)
    assert service.called("chat") == 4
