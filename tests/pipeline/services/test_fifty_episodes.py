"""Fifty episodes over seventeen days, of feeds and of a model that repeat themselves."""

import itertools
import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from standins.comedian import data_of
from standins.feeds import Feeds
from standins.nonsense import WORDS, script_about
from standins.openai import KEY, OpenAI

from bot.app import open_studio
from bot.settings import load_settings
from pipeline.config import WriterConfig
from pipeline.executors import InlineExecutor
from pipeline.providers.writers.novelty import MOST_OVERLAP, grams, overlap
from pipeline.providers.writers.prompt import REASONS
from pipeline.script_files import read_script
from pipeline.sections import Script
from pipeline.services.bookkeeping import MEMORY_OF_REJECTIONS, MOST_REJECTIONS
from pipeline.services.topics import TOPIC_WINDOW
from pipeline.topics import same_topic
from pipeline.workflow import Lane
from storage.episodes import Episodes
from storage.states import EpisodeState

EPISODES, A_DAY = 50, 3
START = datetime.now(UTC)
SUBJECTS = (
    "Chess", "Ballet", "Karaoke", "Mushrooms", "Yoga", "Bowling", "Sushi", "Lego", "Opera",
    "Camping", "Pancakes", "Tango", "Bicycles", "Umbrellas", "Magicians", "Violins", "Penguins",
    "Tractors", "Marathons", "Pottery", "Dominoes", "Juggling", "Lanterns", "Harmonicas",
    "Telescopes", "Waffles", "Canoes", "Puppets", "Origami", "Hammocks", "Crosswords", "Pogo",
    "Scarecrows", "Accordions", "Lighthouses", "Sandcastles", "Windmills", "Beekeeping", "Fencing",
    "Snorkels", "Toasters", "Kites", "Wigs", "Moustaches", "Sundials", "Gondolas", "Tubas", "Yodel",
    "Zeppelins", "Quilts", "Bagpipes", "Carousels", "Doorbells", "Escalators", "Falafel", "Gazebos",
)  # fmt: skip
SPELLINGS = ("{}", "{} today", "{} 2026", "the {}", "{} live", "{} results", "{} news")


def spelled(subject, day):
    """The same topic in another spelling each day."""
    name = SPELLINGS[day % len(SPELLINGS)].format(subject)
    return (str.upper, str.title, str.lower)[day % 3](name)


class Repeater:
    """Says its oldest joke, then its newest with a word changed, and only then a new one."""

    def __init__(self):
        self.said = []
        self.asked = []
        self._rounds = itertools.cycle((self._oldest, self._nearly_the_newest, self._new))

    def __call__(self, system, user, schema):
        self.asked.append(data_of(user))
        speak = next(self._rounds) if self.said else self._new
        return json.dumps(speak(self.asked[-1]["topic"]))

    def _new(self, topic):
        self.said.append(script_about(topic, len(self.said)))
        return self.said[-1]

    def _oldest(self, topic):
        return self._about(topic, self.said[0])

    def _nearly_the_newest(self, topic):
        script = self._about(topic, self.said[-1])
        for line in script["lines"]:
            line["text"] = re.sub(r"\w+\.$", f"{WORDS[len(self.said) % len(WORDS)]}.", line["text"])
        return script

    @staticmethod
    def _about(topic, script):
        lines = [dict(line) for line in script["lines"]]
        lines[0]["text"] = f"{topic}! {lines[0]['text'].partition('! ')[2]}"
        return {**script, "lines": lines}


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("bot.app.utc_now", clock)
    return clock


@pytest.fixture
def model():
    with OpenAI(answers=Repeater()) as service:
        yield service


@pytest.fixture
def feeds():
    with Feeds(now=START) as service:
        yield service


@pytest.fixture
async def studio(tmp_path, model, feeds, clock, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # no power fails here
    settings = load_settings(
        None,
        data_dir=tmp_path,
        writer="openai",
        openai_api_key=KEY,
        openai_base_url=model.base_url,
        trends_rss_url=feeds.rss_url,
        trends_wikipedia_url="",
        trends_hackernews_url="",
    )
    executors = {lane: InlineExecutor() for lane in Lane}
    async with open_studio(settings, "a test", executors=executors) as opened:
        await opened.engine.start()
        yield opened


async def make(studio):
    """An episode up to its script, of the best topic of the day."""
    episode = await studio.episodes.make(None, "Margot", until="script")
    await studio.engine.finished()
    return await studio.episodes.view(episode.id)


async def reject(studio, view, user, reason, words, clock):
    """As people do once they have seen the draft."""
    rows = Episodes(studio.db)
    about = view.episode.id
    await rows.set_fingerprint(about, view.episode.revision, "f" * 64)
    if (await rows.get(about)).state is EpisodeState.DRAFT:
        await rows.move(about, EpisodeState.IN_REVIEW, who="a test", now=clock.now)
    await studio.reviews.reject(about, user, reason=reason, words=words)


def trending(day):
    """What everybody talks about: much of yesterday again, in other letters."""
    start = day * A_DAY
    shown = [*SUBJECTS[max(start - 6, 0) : start + A_DAY + 1]]
    return [(spelled(subject, day), f"{len(shown) - n}00K+", []) for n, subject in enumerate(shown)]


def expected(given, now):
    """The rejections that a prompt must hold, the newest first."""
    young = [one for one in given if now - one[2] <= MEMORY_OF_REJECTIONS]
    return [
        {"reason": reason, "words": words} for reason, words, _ in young[::-1][:MOST_REJECTIONS]
    ]


def told(data):
    return [{"reason": one["reason"], "words": one["words"]} for one in data.get("rejections", ())]


async def test_fifty_episodes_of_feeds_and_a_model_that_repeat_themselves(
    studio, model, feeds, clock
):
    reasons = itertools.cycle(REASONS)
    made, given, sources = [], [], set()
    for number in range(EPISODES):
        day, nth = divmod(number, A_DAY)
        if nth == 0:
            clock.now = START + timedelta(days=day)
            feeds.searches = trending(day)
            await studio.trends.fetch(insist=True)
            await studio.engine.finished()
        asked = len(model.answers.asked)
        view = await make(studio)
        assert view.script is not None, (await studio.episodes.jobs_of(view.episode.id))[-1].error
        sources.add(view.episode.source)
        made.append((view.episode.topic, clock.now, view.script))

        # Every round of this script was told all the reasons given so far that are young.
        assert len(model.answers.asked) > asked
        for data in model.answers.asked[asked:]:
            assert told(data) == expected(given, clock.now)
        if number % 2 == 0:
            reason, words = next(reasons), f"reason no. {number}"
            await reject(studio, view, 7, reason, words, clock)
            given.append((reason, words, clock.now))
        clock.now += timedelta(minutes=5)

    assert len(made) == EPISODES
    assert sources == {"google"}
    for (topic, at, _), (other, later, _) in itertools.combinations(made, 2):
        assert later - at > TOPIC_WINDOW or not same_topic(topic, other), (topic, other)
    runs = [grams(" ".join(line.text for line in script.lines)) for _, _, script in made]
    assert max(overlap(a, b) for a, b in itertools.combinations(runs, 2)) <= MOST_OVERLAP
    assert model.called("chat") > EPISODES * 2  # most answers were refused first
    rows = Episodes(studio.db)
    kept = [Script.model_validate_json(text) for text in await rows.latest_sections("script", 99)]
    assert [script.lines for script in kept[::-1]] == [script.lines for _, _, script in made]


async def test_a_reason_reaches_the_next_prompt_and_ages_out(studio, model, feeds, clock):
    feeds.searches = trending(0)
    first = await make(studio)
    for user, reason in enumerate(REASONS, 1):
        await reject(studio, first, user, reason, f"because {reason}", clock)
        clock.now += timedelta(seconds=1)
    rules = {reason: f"- {reason}: {rule}." for reason, rule in REASONS.items()}
    await make(studio)
    user = model.requests[-1].body["messages"][1]["content"]
    assert [one["reason"] for one in told(data_of(user))] == [*REASONS][::-1]
    assert all(rule in user for rule in rules.values())

    clock.now += MEMORY_OF_REJECTIONS
    feeds.searches = trending(3)
    await make(studio)
    user = model.requests[-1].body["messages"][1]["content"]
    assert told(data_of(user)) == []
    assert not [rule for rule in rules.values() if rule in user]


async def test_twelve_newer_reasons_push_an_older_one_out(studio, model, feeds, clock):
    feeds.searches = trending(0)
    view = await make(studio)
    for number in range(MOST_REJECTIONS + 1):
        await reject(studio, view, number + 1, "words", f"no. {number}", clock)
        clock.now += timedelta(seconds=1)
    await make(studio)
    words = [one["words"] for one in told(model.answers.asked[-1])]
    assert words == [f"no. {number}" for number in range(MOST_REJECTIONS, 0, -1)]


async def test_a_topic_comes_again_after_its_window_only(studio, feeds, clock):
    feeds.searches = [("Chess", "900K+", []), ("Ballet", "800K+", [])]
    assert (await make(studio)).episode.topic == "Chess"
    clock.now += TOPIC_WINDOW - timedelta(days=1)
    feeds.searches = [("CHESS today", "900K+", []), ("Opera", "800K+", [])]
    assert (await make(studio)).episode.topic == "Opera"
    clock.now += timedelta(days=3)
    feeds.searches = [("the chess", "900K+", []), ("Sushi", "800K+", [])]
    assert (await make(studio)).episode.topic == "the chess"


async def test_a_script_by_hand_whose_date_names_no_zone_is_remembered(studio, model, clock):
    when = clock.now.replace(tzinfo=None).isoformat()
    answer = script_about("Chess", 99)
    text = json.dumps({
        "lines": answer["lines"],
        "metadata": {"trends": ["Chess"], "created_at": when},
    })  # fmt: skip
    by_hand = read_script(text, studio.show, WriterConfig())
    await studio.episodes.from_script(by_hand, "Margot")
    episode = await studio.episodes.make("Ballet", "Margot", until="script")
    await studio.engine.finished()
    assert (await studio.episodes.view(episode.id)).script is not None
    (earlier,) = model.answers.asked[-1]["earlier_reels"]
    assert earlier.startswith(answer["lines"][0]["text"])
