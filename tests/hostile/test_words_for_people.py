"""What Discord and the log are given of hostile words, by every function that makes it."""

import io
import json
import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hostile.texts import FAMILIES, SAMPLE, SINGLE, TEXTS, alive, hidden

from bot.client import sentence_for_command
from bot.logs import OneLine
from cogs import _costs, _embeds, _pitches, _progress, publishing
from cogs.trends import list_text
from pipeline.errors import ProviderError, UserError
from pipeline.sections import Line, Script
from storage.pitches import BoardState
from storage.records import Trend, TrendSource
from storage.spend import Total
from storage.states import EpisodeState, JobState, PostState

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
EPISODE = {"id": 1, "state": EpisodeState.IN_REVIEW, "source": "hand", "best_before": None}
VIDEO = SimpleNamespace(duration_s=20, width=1080, height=1920, size_bytes=9, loudness_lufs=-14)


def trends(text):
    found = [
        Trend(1, text, 0.5, NOW, text, "US", "2026-05-04", (), None, None),
        Trend(2, "Chess", 0.5, NOW, "google", "US", "2026-05-04", (), f"No reel: {text}.", None),
    ]
    return [list_text(found, [TrendSource(text, 2, NOW, False, text, None)])]


def board(text):
    state = SimpleNamespace(id=1, state=BoardState.OPEN, reason=text, ended=text, created_at=NOW)
    closed = SimpleNamespace(**{**vars(state), "state": BoardState.CLOSED})
    pitch = SimpleNamespace(
        number=1, topic=text, hook=text, last_line=text, why=text, episode_id=None
    )
    embed = _pitches._embed(state, [pitch] * 5)
    assert len(embed) <= 6000
    fields = [shown for field in embed.fields for shown in (field.name, field.value)]
    return [_pitches._headline(state), _pitches._headline(closed), *fields]


def view_of(text):
    line = Line.model_construct(index=1, character=text, text=text, emotion="sad")
    written_by = SimpleNamespace(provider=text)
    script = Script.model_construct(
        lines=(line,), caption=text, hashtags=("Tag",), metadata=written_by
    )
    return SimpleNamespace(
        episode=SimpleNamespace(**EPISODE, topic=text),
        revision=SimpleNamespace(number=1, fingerprint="f" * 40),
        script=script,
        video=VIDEO,
        voices=None,
        images=SimpleNamespace(notes=(text, text)),
    )


def embeds(text):
    made = [_embeds.script_embed(view_of(text)), *_embeds.draft_embeds(view_of(text), text, "free")]
    assert sum(map(len, made[1:])) <= 6000
    for embed in made:
        assert len(embed.title) <= 256
        assert len(embed.description) <= 4096
        assert all(len(field.value) <= 1024 for field in embed.fields)
    texts = [(embed.title, embed.description) for embed in made]
    fields = [(field.name, field.value) for embed in made for field in embed.fields]
    return [shown for pair in [*texts, *fields] for shown in pair]


def jobs(text):
    episode = SimpleNamespace(**EPISODE, topic=text)
    job = SimpleNamespace(
        id=1, episode_id=1, stage="script", state=JobState.RUNNING, fraction=0.5, note=text,
        error=text, error_kind="provider", until_stage="preview",
    )  # fmt: skip
    waits = SimpleNamespace(**{**vars(job), "state": JobState.QUEUED, "error_kind": "budget"})
    failed = SimpleNamespace(**{**vars(job), "state": JobState.FAILED})
    return [
        _embeds.progress_text(episode, job, 0, 5),
        _embeds.progress_text(episode, waits, 0, 5),
        _progress._last_words(failed),
        _costs._waits(waits),
    ]


def money(text):
    total = Total(usd=0.1, calls=1, lost=1)
    call = SimpleNamespace(what=text, provider=text, episode_id=1)
    spent = SimpleNamespace(total=total, limit_usd=None)
    overview = SimpleNamespace(
        today=spent, month=spent, left_usd=None, by_stage={text: total}, by_provider={text: total},
        by_episode={1: total}, lost=[call], waiting=[],
    )  # fmt: skip
    return _costs.spent_lines(overview)


def posts(text):
    address = f"{text} "  # a plain address would be one to click on
    post = SimpleNamespace(episode_id=1, error=text, permalink=address, media_id=None)
    states = (PostState.PUBLISHED, PostState.FAILED, PostState.UNKNOWN)
    event = SimpleNamespace(text=text, permalink=address)
    shown = [publishing._post_text(SimpleNamespace(**vars(post), state=one)) for one in states]
    return [*shown, publishing._event_text(event)]


def sentences(text):
    about = text[:300]
    errors = (UserError(f"No reel about “{about}”: `/make` with another topic."),
              ProviderError("OpenAI", about, True))  # fmt: skip
    return [sentence_for_command(SimpleNamespace(original=error)) for error in errors]


@pytest.mark.parametrize("shown", [trends, board, embeds, jobs, money, posts, sentences])
def test_hostile_words_change_nothing_but_the_words(shown):
    usual = [alive(one) for one in shown("Wordle")]
    for text in TEXTS:
        made = shown(text)
        assert [alive(one) for one in made] == usual, ascii(text[:80])
        assert not [found for one in made for found in hidden(one)], ascii(text[:80])
        assert all(len(one) <= 4096 for one in made)


def test_there_are_more_than_two_hundred_of_them_in_every_family():
    assert len(set(SINGLE)) == len(SINGLE) >= 200
    assert min(len(family) for family in FAMILIES.values()) >= 4
    assert len(SAMPLE) >= 40


def test_a_reader_that_honours_everything_finds_each_kind():
    for text in ("@here", "<@1>", "<#1>", "[a](b)", "`x`", "# x", "1. x", "https://a.b", "||x||"):
        assert alive(text), text
    assert alive("\\[a\\]") == []
    assert alive("\\\\[a\\]") == ["["]


def test_a_link_that_is_one_stays_one():
    address = "https://www.instagram.com/reel/AbC_d-1/?igsh=a&b=c"
    assert _embeds.link(address) == address


def test_commands_in_a_sentence_stay_code():
    said = _embeds.told("Nothing about `x`; try `/publish dry-run`, or `/script pitch` again.")
    assert said == "Nothing about \\`x\\`; try `/publish dry-run`, or `/script pitch` again."


@pytest.mark.parametrize("structured", [False, True])
def test_each_record_is_one_line_whatever_it_quotes(structured):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine(["canary-secret"], structured=structured))
    for text in TEXTS:
        for message, values in (("topic %s", (text,)), (text, ()), ("%s", (ValueError(text),))):
            trouble = (ValueError, ValueError(text), None)
            handler.handle(logging.LogRecord("x", 30, "", 1, message, values, trouble))
    stream.flush()
    lines = stream.buffer.getvalue().decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 3 * len(TEXTS)
    assert not [found for line in lines for found in hidden(line)]
    assert len("\n".join(lines).splitlines()) == len(lines)
    if structured:
        told = [json.loads(line)["message"] for line in lines]
        assert told[::3] == [f"topic {text}" for text in TEXTS]
    else:
        assert all(" WARNING x: " in line for line in lines)
