"""Hostile titles, from a feed to the list people read and to the prompt."""

import json
import re

import pytest
from hostile.texts import CANARY, SINGLE, TEXTS, alive, hidden
from standins.comedian import data_of

from cogs.trends import list_text
from pipeline.config import WriterConfig
from pipeline.facts import Memory, Rejection, Topic, Topics
from pipeline.providers.writers.prompt import (
    pitch_prompt,
    repaired,
    script_prompt,
    shortened,
    usable_topics,
)
from pipeline.providers.writers.topics import spoken_topic
from pipeline.sections import Brief, Premise
from storage.trends import Trends

CONFIG = WriterConfig(provider="openai")
MOST = 10_000
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@pytest.fixture
async def stored(studio, feeds):
    """What became of all texts as titles: of a feed where XML can say them, and of JSON."""
    in_xml = [text for text in TEXTS if len(text) < 3000 and not _NO_XML.search(text)]
    feeds.searches = [(text, "2000+", [text]) for text in in_xml]
    for day in feeds.views:
        feeds.views[day] = [(text, "en.wikipedia", 5000 + n) for n, text in enumerate(TEXTS)]
    await studio.engine.start()
    await studio.trends.fetch(insist=True)
    await studio.engine.finished()
    assert await studio.trends.failing() == []
    return await Trends(studio.db).newest(MOST)


async def test_a_title_is_stored_as_one_line_of_what_can_be_seen(stored):
    assert {trend.source for trend in stored} >= {"google", "wikipedia"}
    assert len(stored) > 200
    assert sum(trend.refused_because is None for trend in stored) > 50
    for trend in stored:
        for text in (trend.name, *trend.headlines, trend.refused_because or ""):
            assert hidden(text) == []
            assert "\n" not in text
        assert 0 < len(trend.name) <= 120


async def test_the_list_of_topics_pings_nobody_and_links_nowhere(stored):
    for trend in stored:
        ours = ["`", "`"] if trend.refused_because is None else [*"~~``~~"]
        assert alive(list_text([trend], [])) == ours, ascii(trend.name)
    for start in range(0, len(stored), 25):
        text = list_text(stored[start : start + 25], [])
        assert len(text) <= 2000
        assert hidden(text) == []


async def test_every_usable_title_is_quoted_in_the_prompt_and_changes_nothing_else(studio, stored):
    usual = script_prompt(CONFIG, brief_of("Wordle"), Memory(), studio.show)
    assert CANARY in usual.system
    for trend in stored:
        if trend.refused_because is None:
            made = brief_of(trend.name, headlines=trend.headlines)
            prompt = script_prompt(CONFIG, made, Memory(), studio.show)
            expect_only_data(prompt, usual, {"topic": spoken_topic(trend.name)})


async def test_titles_on_a_board_stay_in_the_data(studio, stored):
    found = [Topic(name=t.name, source=t.source, headlines=t.headlines) for t in stored]
    usable = usable_topics(Topics(topics=tuple(found)), Memory())
    assert len(usable) > 50
    plain = [Topic(name=f"Wordle {n}", source="x") for n in range(len(usable))]
    usual = pitch_prompt(plain, 5, Memory(), studio.show)
    spoken = {str(n): spoken_topic(topic.name) for n, topic in enumerate(usable, 1)}
    prompt = pitch_prompt(usable, 5, Memory(), studio.show)
    expect_only_data(prompt, usual, {"count": 5, "topics": spoken})


async def test_a_usable_title_becomes_a_script_or_a_sentence(studio, stored, model, log, data_dir):
    topics = [t for t in await studio.trends.fresh(limit=MOST) if t.source != "evergreen"]
    for topic in topics[::10]:
        await studio.episodes.make(topic.name, "Margot", until="script")
        await studio.engine.finished()
    assert len(await studio.episodes.newest(limit=MOST)) == len(topics[::10]) > 10
    for request in model.requests:
        system, user = (message["content"] for message in request.body["messages"])
        assert CANARY in system
        assert "topic" in data_of(user)
    for line in log.getvalue().splitlines():
        assert json.loads(line)["level"] != "ERROR"
    for path in data_dir.rglob("*"):
        assert re.fullmatch(r"[\w.-]{1,60}", path.name), path


def brief_of(topic, **values):
    return Brief(episode=1, topic=topic, created_at="2026-05-04T09:00:00Z", **values)


def expect_only_data(prompt, usual, data):
    """The data is what was given, and all the rest what it always is."""
    assert prompt.system == usual.system
    assert data_of(prompt.user) == data
    assert outside(prompt.user) == outside(usual.user)
    assert prompt.user.isascii()


def outside(user):
    return re.sub(r"(?<=<data>\n).*(?=\n</data>$)", "", user)


def memory_of(text):
    rejected = Rejection(reason="words", words=text, topic=text[:120])
    return Memory(texts=(text, "Old."), rejections=(rejected,) * 12)


def test_what_was_said_before_stays_in_the_data_too(canary_show):
    def all_of(text):
        hook = text.encode(errors="replace").decode()[:280]
        asked = brief_of("Wordle", premise=Premise(hook=hook, last_line=f"{hook[:270]} zebra"))
        prompt = script_prompt(CONFIG, asked, memory_of(text), canary_show)
        return [prompt, repaired(prompt, [text] * 20, text), shortened(prompt)]

    usual = all_of("Fine.")
    for text in SINGLE:
        for prompt, harmless in zip(all_of(text), usual, strict=True):
            data = data_of(prompt.user)
            assert data["earlier_reels"][0] == text[:600]
            assert {one.get("words", "") for one in data["rejections"]} == {text[:200]}
            assert prompt.system == harmless.system
            assert outside(prompt.user) == outside(harmless.user)
            assert prompt.user.isascii()
        last = data_of(all_of(text)[1].user)["last_answer"]
        assert text.startswith(last)
        assert len(last) >= min(len(text), 300)
