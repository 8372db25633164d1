"""What a person types: topics, reasons of rejections, new words for a line."""

import re

import pytest
from hostile.texts import LONG, SAMPLE, SINGLE, TEXTS, alive, hidden
from standins.comedian import data_of
from standins.nonsense import script_about

from bot.client import sentence_for_command
from cogs._embeds import script_embed
from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.providers.writers.prompt import script_prompt
from pipeline.providers.writers.topics import spoken_topic
from pipeline.sections import Brief, Script
from pipeline.services.bookkeeping import MOST_REJECTIONS
from pipeline.services.episodes import speakable_topic
from pipeline.services.reviews import LONGEST_WORDS
from storage.episodes import Episodes
from storage.states import EpisodeState


class Wrapped(Exception):
    """As discord.py hands an error on."""

    def __init__(self, original):
        super().__init__(str(original))
        self.original = original


def expect_a_reply(error):
    said = sentence_for_command(Wrapped(error))
    assert alive(re.sub("`/[a-z ]+`", "", said)) == [], ascii(said)
    assert hidden(said) == []
    assert "\n" not in said
    assert len(said) <= 2000
    assert "went wrong" not in said


def test_a_topic_is_taken_as_it_looks_or_refused_in_a_sentence():
    taken = 0
    for text in TEXTS:
        try:
            topic = speakable_topic(text)
        except UserError as error:
            expect_a_reply(error)
            continue
        taken += 1
        assert hidden(topic) == []
        assert "\n" not in topic
        assert spoken_topic(topic)
    assert taken > 100


async def test_a_topic_by_hand_reaches_the_prompt_as_data(studio, model):
    await studio.engine.start()
    for text in SAMPLE:
        try:
            episode = await studio.episodes.make(text, "Margot", until="script")
        except UserError as error:
            expect_a_reply(error)
            continue
        await studio.engine.finished()
        view = await studio.episodes.view(episode.id)
        assert view.script is not None, ascii(text)
        data = data_of(model.requests[-1].body["messages"][1]["content"])
        assert data["topic"] == spoken_topic(text)
    assert len(await studio.episodes.newest(limit=99)) > 10


@pytest.fixture
async def under_review(studio):
    rows = Episodes(studio.db)
    script = Script.model_validate({"episode": 1, **without_gags(script_about("Wordle", 1))})
    episode = await studio.episodes.from_script(script, "Margot")
    await rows.set_fingerprint(episode.id, 1, "f" * 64)
    now = episode.created_at
    await rows.move(episode.id, EpisodeState.IN_REVIEW, who="a test", now=now)
    return episode


def without_gags(answer):
    return {name: value for name, value in answer.items() if name != "gags"}


async def test_words_of_a_rejection_are_quoted_in_the_next_prompt(studio, under_review):
    brief = Brief(episode=2, topic="Chess", created_at=under_review.created_at)
    asked = set()
    texts = [text for text in SINGLE if text.strip()]
    for number in range(0, len(texts), MOST_REJECTIONS):
        some = texts[number : number + MOST_REJECTIONS]
        for user, words in enumerate(some, number + 1):
            await studio.reviews.reject(under_review.id, user, reason="boring", words=words)
        job = await studio.engine.queue("script", episode_id=under_review.id, revision=1)
        memory = (await studio.engine._runner._hooks.facts(job, "script"))["memory"]
        prompt = script_prompt(WriterConfig(provider="openai"), brief, memory, studio.show)
        kept = [one.get("words", "") for one in data_of(prompt.user)["rejections"]]
        assert len(kept) == MOST_REJECTIONS
        for text, words in zip(some, kept[: len(some)][::-1], strict=True):
            assert hidden(words) == []
            assert len(words) <= LONGEST_WORDS
            assert " ".join(words.split()) == words.strip()
            if text.isprintable() and len(text) <= LONGEST_WORDS:
                assert words == " ".join(text.split())
        asked.add(re.sub(r"<data>\n.*\n</data>", "", prompt.user))
    assert len(asked) == 1


async def test_a_line_is_changed_to_what_is_shown_as_it_is_or_not_at_all(studio, under_review):
    changed = 0
    for text in SINGLE:
        try:
            await studio.episodes.edit_line(under_review.id, 2, text, None, "Margot")
        except UserError as error:
            expect_a_reply(error)
            continue
        changed += 1
        view = await studio.episodes.view(under_review.id)
        line = view.script.lines[1].text
        assert hidden(line) == []
        embed = script_embed(view)
        shown = embed.description.splitlines()[1]
        assert alive(shown) == [*"``****", "*", "*"], ascii(shown)
    assert changed > 20
    assert changed < len(SINGLE) - len(LONG)
