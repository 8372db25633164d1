"""Hostile answers of both services: kept clean or refused in a sentence, and nothing leaks."""

import itertools
import json
import re

import pytest
from hostile.texts import CANARY, SAMPLE, SINGLE, alive, hidden
from standins.anthropic import KEY as ANTHROPIC_KEY
from standins.anthropic import Anthropic
from standins.comedian import Said, data_of
from standins.nonsense import Nonsense, pitch_about, script_about
from standins.openai import KEY, OpenAI

from pipeline.checks import check_script
from pipeline.config import WriterConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError, UserError
from pipeline.facts import Memory, Topic, Topics
from pipeline.ledger import Ledger
from pipeline.sections import Brief
from pipeline.stages import pitches as pitches_stage
from pipeline.stages import script as script_stage
from storage.pitches import BoardState
from storage.states import JobState

SERVICES = {"openai": (OpenAI, KEY), "anthropic": (Anthropic, ANTHROPIC_KEY)}
FIRST = {"openai": 0, "anthropic": 1}
"""Each gets other texts, two hundred in all."""
NOT_SAID = re.compile(r"(?i)@\w|evil|https?:|www\.|[<>{}|]|\d{3}\D?555|555\D?01|\.рф|mail")
BRIEF = Brief(episode=1, topic="Wordle", created_at="2026-05-04T09:00:00Z")
TOPICS = Topics(topics=(Topic(name="Chess", source="x"), Topic(name="Yoga", source="x")), count=2)


def with_text(place, text):
    answer = script_about("Wordle", 1)
    if place in ("caption", "hashtags"):
        return {**answer, place: text if place == "caption" else [text]}
    answer["lines"][2][place] = text
    return answer


def with_words_around(place, text):
    return with_text(place, f"My sofa {text} cheese.")


SCRIPT_ANSWERS = [
    lambda text: text,
    lambda text: Said(text, "refusal"),
    lambda text: with_text("character", text),
    lambda text: with_text("emotion", text),
    *(lambda text, place=p: with_text(place, text) for p in ("text", "caption", "hashtags")),
    *(lambda text, place=p: with_words_around(place, text) for p in ("text", "caption")),
]
PITCH_ANSWERS = [
    lambda text, place=p: {"pitches": [pitch_about(1, 5) | {place: text}, pitch_about(2, 10**6)]}
    for p in ("hook", "last_line", "why")
]


class Once:
    """Gives a hostile answer first, and a good one when it is asked again."""

    def __init__(self):
        self.first = None
        self.asked = []
        self._usual = Nonsense()

    def __call__(self, system, user, schema):
        self.asked.append(data_of(user))
        answer, self.first = self.first, None
        if answer is None:
            return self._usual(system, user, schema)
        return answer if isinstance(answer, str | Said) else json.dumps(answer)


@pytest.fixture(params=SERVICES)
def service(request):
    kind, key = SERVICES[request.param]
    with kind(answers=Once()) as service:
        service.config = WriterConfig(
            provider=request.param, api_key=key, base_url=service.base_url
        )
        yield service


@pytest.fixture
def ask(service, tmp_path, canary_show):
    """A stage in a job of its own; the answer, or the sentence that says why there is none."""
    jobs = itertools.count(1)

    def run(stage, *given, first):
        job = next(jobs)
        folder = tmp_path / "attempts" / str(job)
        folder.mkdir(parents=True)
        service.answers.first = first
        ctx = StageContext(
            episode=1, revision=1, folder=folder, revision_folder=folder, data_dir=tmp_path,
            show=canary_show, config=service.config, job=job, ledger=Ledger(folder / "receipts"),
        )  # fmt: skip
        try:
            return stage.run(*given, Memory(), ctx=ctx)
        except (UserError, ProviderError) as error:
            return str(error)

    return run


def expect_clean(texts):
    for text in texts:
        assert alive(f"“{text}”") == [], ascii(text)
        assert hidden(text) == []
        assert not NOT_SAID.search(text), ascii(text)
        assert "\n" not in text


def expect_a_sentence(said):
    assert said.isprintable()
    assert len(said) < 400
    assert not NOT_SAID.search(said), said


def test_a_hostile_script_is_asked_for_again_or_was_none(ask, service, canary_show):
    again = 0
    kinds = itertools.cycle(SCRIPT_ANSWERS)
    for text in SINGLE[FIRST[service.config.provider] :: 3]:
        before = len(service.answers.asked)
        script = ask(script_stage, BRIEF, first=next(kinds)(text))
        asked = service.answers.asked[before:]
        assert {one["topic"] for one in asked} == {"Wordle"}
        again += len(asked) > 1
        if isinstance(script, str):
            expect_a_sentence(script)
            continue
        assert check_script(script, canary_show, topic="Wordle") == []
        expect_clean([script.caption, *script.hashtags, *(line.text for line in script.lines)])
    assert again > 60


def test_a_hostile_pitch_is_left_out(ask, service):
    kinds = itertools.cycle(PITCH_ANSWERS)
    for text in SINGLE[FIRST[service.config.provider] :: 5]:
        made = ask(pitches_stage, TOPICS, first=next(kinds)(text))
        assert {pitch.topic for pitch in made.pitches} == {"Chess", "Yoga"}
        for pitch in made.pitches:
            expect_clean([pitch.hook, pitch.last_line, pitch.why])


# Through the whole studio: rows, log and files


def leaks(place):
    """Answers that repeat the bible, each in another disguise."""
    disguised = (CANARY, CANARY.upper(), CANARY.replace(" ", "  "), CANARY.replace("e", "é"))
    usual = script_about("Wordle", 3)
    for text in disguised:
        if place == "text":
            half = len(text) // 2
            lines = [dict(line) for line in usual["lines"]]
            lines[2]["text"], lines[3]["text"] = text[:half], text[half:]
            yield {**usual, "lines": lines}
        else:
            letters = "".join(filter(str.isalnum, text))
            yield {**usual, "hashtags": [letters[:40], letters[40:]], "caption": "Why?"}
            yield {**usual, "caption": f"{text}."}


class Always:
    """The same answer to whatever is asked."""

    def __init__(self):
        self.answer = ""

    def __call__(self, system, user, schema):
        data_of(user)
        return self.answer if isinstance(self.answer, str | Said) else json.dumps(self.answer)


@pytest.fixture
async def failures(studio, model, log):
    """Makes an episode of a model that always answers so; the sentence that people read."""
    model.answers = Always()
    await studio.engine.start()

    async def error(answer):
        model.answers.answer = answer
        episode = await studio.episodes.make("Wordle", "Margot", until="script")
        await studio.engine.finished()
        (job,) = await studio.episodes.jobs_of(episode.id)
        assert job.state is JobState.FAILED
        assert (await studio.episodes.view(episode.id)).script is None
        return job.error

    return error


def everything_kept(data_dir):
    """All bytes below DATA_DIR but the show itself, as one text."""
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    kept = [path for path in files if "shows" not in path.relative_to(data_dir).parts]
    assert any(path.suffix == ".db" for path in kept)
    return b"\n".join(path.read_bytes() for path in kept).decode(errors="replace")


def letters(text):
    return "".join(char for char in text.casefold() if char.isalnum())


async def test_the_canary_of_the_bible_never_leaves(failures, studio, model, log, data_dir):
    for answer in [*leaks("text"), *leaks("caption")]:
        said = await failures(answer)
        assert "It repeats its instructions." in said
        expect_a_sentence(said)
    model.answers.answer = {
        "pitches": [pitch_about(1, 1) | {"why": CANARY}, pitch_about(2, 2) | {"hook": CANARY}]
    }
    board = await studio.pitching.ask(2, "Margot")
    await studio.engine.finished()
    await studio.pitching.advance()
    await studio.engine.finished()
    await studio.pitching.advance()
    board = await studio.pitching.board(board.id)
    assert board.state is BoardState.FAILED
    sent = [request.body["messages"][0]["content"] for request in model.requests]
    assert all(CANARY in system for system in sent)
    for kept in (everything_kept(data_dir), log.getvalue(), board.ended):
        assert letters(CANARY)[:48] not in letters(kept)
        assert "canary of this" not in kept


async def test_an_answer_that_stays_hostile_ends_in_one_clean_sentence(
    failures, log, data_dir, studio
):
    for text, kind in zip(SAMPLE[::3], itertools.cycle(SCRIPT_ANSWERS[2:7]), strict=False):
        expect_a_sentence(await failures(kind(text * 2)))
    records = [json.loads(line) for line in log.getvalue().splitlines()]
    assert all(record["level"] != "ERROR" for record in records)
    # The messages alone: a time may well hold the digits of a phone number.
    assert not any(NOT_SAID.search(record["message"]) for record in records)
    for path in data_dir.rglob("*"):
        assert re.fullmatch(r"[\w.-]{1,60}", path.name), path
