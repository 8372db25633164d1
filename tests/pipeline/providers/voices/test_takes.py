"""Lines spoken at once through a loopback ElevenLabs: what is asked, kept and paid."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from standins.elevenlabs import KEY, Elevenlabs
from standins.server import HTML, Drop, Garbled, Half, Reply, Silence, redirect

from pipeline.config import VoicesConfig
from pipeline.context import CANCEL_FILE, PROGRESS_FILE, StageContext
from pipeline.errors import BudgetSpent, ProviderError, StageCancelled, UserError
from pipeline.ledger import Ledger, Receipt, read_receipts
from pipeline.providers.base import Speech
from pipeline.providers.voices import plans
from pipeline.providers.voices.elevenlabs import ElevenLabsVoice
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.providers.voices.slots import CallSlots
from pipeline.providers.voices.takes import Takes
from pipeline.sections import Emotion, Line
from pipeline.shows import Character, Show, load_show

WORDS = ("one", "two", "six", "hot", "red", "big", "sad", "odd")
TEXTS = tuple(f"This is my line {word}." for word in WORDS)
"""Equally long, so that they cost the same."""
LINE_USD = len(TEXTS[0]) * 0.30 / 1000
WAIT_S = 20.0


@dataclass
class Studio:
    """One DATA_DIR; each run is an attempt of its own."""

    service: Elevenlabs
    phonemiser: Phonemiser
    folder: Path
    show: Show
    attempts: int = 0

    def context(self, *, allowance_usd: float | None = None) -> StageContext:
        self.attempts += 1
        folder = self.folder / f"attempt{self.attempts}"
        folder.mkdir(parents=True)
        return StageContext(
            episode=1,
            revision=1,
            folder=folder,
            revision_folder=folder,
            data_dir=self.folder / "data",
            show=self.show,
            config=self.config(),
            ledger=Ledger(self.receipts_file(self.attempts), allowance_usd=allowance_usd),
        )

    def receipts_file(self, attempt: int) -> Path:
        return self.folder / "data" / "paid" / f"{attempt}.jsonl"

    def receipts(self) -> list[Receipt]:
        """Of the last attempt."""
        return read_receipts(self.receipts_file(self.attempts))

    def config(self, concurrency: int = 4) -> VoicesConfig:
        return VoicesConfig(
            provider="elevenlabs",
            api_key=SecretStr(KEY),
            base_url=self.service.url,
            concurrency=concurrency,
        )

    def speak(
        self,
        texts: tuple[str, ...] = TEXTS,
        *,
        concurrency: int = 4,
        timeout_s: float = WAIT_S,
        ctx: StageContext | None = None,
    ):
        config = self.config(concurrency)
        voice = ElevenLabsVoice(config, self.phonemiser, timeout_s=timeout_s)
        try:
            return Takes(voice, config, ctx or self.context()).of(self.lines(texts))
        finally:
            voice.close()

    def lines(self, texts: tuple[str, ...]) -> list[Line]:
        return [
            Line(
                index=n + 1,
                character=self.show.characters[n % 2].name,
                text=text,
                emotion=Emotion.NEUTRAL,
            )
            for n, text in enumerate(texts)
        ]

    def kept(self) -> list[dict]:
        return [json.loads(p.read_text()) for p in (self.folder / "data/voices").rglob("*.json")]


@pytest.fixture(scope="module")
def show(deep: Character, high: Character) -> Show:
    characters = (deep, high.model_copy(update={"role": "wild"}))
    return load_show("butcher_and_nutsy").model_copy(update={"characters": characters})


@pytest.fixture
def studio(
    service: Elevenlabs,
    phonemiser: Phonemiser,
    tmp_path: Path,
    show: Show,
) -> Studio:
    return Studio(service, phonemiser, tmp_path, show)


class Gate:
    """Holds the calls of a service until it is opened; tells when so many have arrived."""

    def __init__(self, service: Elevenlabs, *, wanted: int) -> None:
        self._service, self._wanted = service, wanted
        self._is_full = threading.Event()
        service.open.clear()
        service.on_request = self._arrived

    def _arrived(self, request: object) -> None:
        if self._service.called("speak") >= self._wanted:
            self._is_full.set()

    def wait_until_full(self) -> None:
        assert self._is_full.wait(WAIT_S)

    def open(self) -> None:
        self._service.open.set()


@pytest.fixture
def gate(service: Elevenlabs) -> Iterator[Callable[[int], Gate]]:
    yield lambda wanted: Gate(service, wanted=wanted)
    service.open.set()


def test_every_line_is_asked_for_once_and_paid_for_what_it_cost(studio: Studio) -> None:
    takes = studio.speak()
    assert [take.line.text for take in takes] == list(TEXTS)
    assert sorted(studio.service.texts()) == sorted(TEXTS)
    receipts = studio.receipts()
    assert [receipt.intent.what for receipt in receipts] == [f"line {n}" for n in range(1, 9)]
    assert all(receipt.is_certain for receipt in receipts)
    assert sum(receipt.cost.usd for receipt in receipts) == pytest.approx(8 * LINE_USD)
    assert {receipt.request_id for receipt in receipts} == {f"request000{n}" for n in range(1, 9)}


def test_kept_lines_need_neither_the_service_nor_the_plan(studio: Studio) -> None:
    studio.speak()
    before = len(studio.service.requests)
    takes = studio.speak()
    assert all(take.reused for take in takes)
    assert len(studio.service.requests) == before
    assert studio.receipts() == []


def test_as_many_calls_as_allowed_are_under_way_and_never_more(studio: Studio, gate) -> None:
    full = gate(4)
    with ThreadPoolExecutor() as pool:
        speaking = pool.submit(studio.speak)
        full.wait_until_full()
        full.open()
        speaking.result(WAIT_S)
    assert studio.service.most_at_once("speak") == 4


def test_two_jobs_together_make_no_more_calls_than_one(studio: Studio, gate) -> None:
    full = gate(4)
    others = tuple(text.replace("line", "joke") for text in TEXTS)
    first, second = studio.context(), studio.context()
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(studio.speak, TEXTS, ctx=first),
            pool.submit(studio.speak, others, ctx=second),
        ]
        full.wait_until_full()
        full.open()
        for job in jobs:
            job.result(WAIT_S)
    assert studio.service.most_at_once("speak") <= 4
    assert sorted(studio.service.texts()) == sorted([*TEXTS, *others])


def test_a_plan_that_allows_fewer_calls_is_kept_within(studio: Studio) -> None:
    studio.service.plan = "starter"
    studio.speak()
    assert studio.service.most_at_once("speak") <= plans.CALLS_AT_ONCE["starter"]
    assert len(studio.service.spoken) == 8


def test_the_same_line_twice_is_paid_for_once(studio: Studio) -> None:
    texts = (TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[1])
    takes = studio.speak(texts)
    assert [take.reused for take in takes] == [False, False, True, True]
    assert len(studio.service.spoken) == 2


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_budget_for_three_lines_speaks_the_first_three_and_never_sends_the_fourth(
    studio: Studio, concurrency: int
) -> None:
    with pytest.raises(BudgetSpent, match="Line 4 may cost"):
        studio.speak(concurrency=concurrency, ctx=studio.context(allowance_usd=3 * LINE_USD))
    assert sorted(studio.service.texts()) == sorted(TEXTS[:3])
    assert len(studio.kept()) == 3
    assert sum(receipt.cost.usd for receipt in studio.receipts()) == pytest.approx(3 * LINE_USD)

    takes = studio.speak()  # the budget was raised
    assert [take.reused for take in takes] == [True] * 3 + [False] * 5
    assert len(studio.service.spoken) == 8


def test_after_a_failure_no_line_begins_and_those_under_way_are_kept(studio: Studio, gate) -> None:
    full = gate(4)
    studio.service.fail("speak", Reply(500))
    with ThreadPoolExecutor() as pool:
        speaking = pool.submit(studio.speak)
        full.wait_until_full()
        full.open()
        with pytest.raises(ProviderError, match="internal error"):
            speaking.result(WAIT_S)
    # A line that began before the failure was known is under way as well.
    called = studio.service.called("speak")
    assert 4 <= called < 8
    assert len(studio.kept()) == len(studio.service.spoken) == called - 1


@pytest.mark.parametrize(
    ("plan", "texts"),
    [
        pytest.param("pro", (TEXTS[0], TEXTS[1], TEXTS[0]), id="the same line"),
        pytest.param("free", TEXTS, id="a free call"),  # two at once
    ],
)
def test_a_line_that_had_to_wait_does_not_begin_after_a_failure(
    studio: Studio, gate, plan: str, texts: tuple[str, ...]
) -> None:
    full = gate(2)
    studio.service.plan = plan
    studio.service.fail("speak", Drop(after=True), times=2)
    with ThreadPoolExecutor() as pool:
        speaking = pool.submit(studio.speak, texts)
        full.wait_until_full()
        full.open()
        with pytest.raises(ProviderError, match="broke off"):
            speaking.result(WAIT_S)
    assert studio.service.called("speak") == 2


class FailingVoice:
    """All its lines fail, each with its own error, once all of them are under way."""

    name = "failing"
    plan = ""

    def __init__(self, errors: dict[str, Exception]) -> None:
        self.parallel = len(errors)
        self._errors = errors
        self._all_begun = threading.Barrier(len(errors), timeout=WAIT_S)

    def key(self, text: str, character: Character, emotion: Emotion) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def speak(self, text: str, character: Character, emotion: Emotion) -> Speech:
        self._all_begun.wait()
        raise self._errors[text]

    def close(self) -> None:
        pass


LATER = ProviderError("tone", "later", True)
NEVER = ProviderError("tone", "never")
MEND = UserError("mend it")
BUG = ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ((LATER, MEND), MEND),
        ((MEND, LATER), MEND),
        ((LATER, NEVER), NEVER),
        ((NEVER, MEND), MEND),
        ((MEND, BUG), BUG),
        ((BudgetSpent("spent"), LATER), LATER),
        ((LATER, ProviderError("tone", "much later", True)), LATER),
    ],
    ids=str,
)
def test_of_several_failures_the_weightiest_is_told_and_of_equal_ones_the_first(
    studio: Studio, errors: tuple[Exception, ...], told: Exception
) -> None:
    voice = FailingVoice(dict(zip(TEXTS, errors, strict=False)))
    with pytest.raises(type(told)) as failed:
        Takes(voice, VoicesConfig(), studio.context()).of(studio.lines(TEXTS[: len(errors)]))
    assert failed.value is told


def test_a_cancelled_job_begins_no_line_and_keeps_those_under_way(studio: Studio, gate) -> None:
    full = gate(2)
    ctx = studio.context()
    with ThreadPoolExecutor() as pool:
        speaking = pool.submit(studio.speak, concurrency=2, ctx=ctx)
        full.wait_until_full()
        (ctx.folder / CANCEL_FILE).touch()
        full.open()
        with pytest.raises(StageCancelled):
            speaking.result(WAIT_S)
    assert len(studio.service.spoken) == len(studio.kept()) == 2
    assert all(receipt.is_certain for receipt in studio.receipts())


def test_a_job_that_waits_for_a_free_call_can_be_cancelled(studio: Studio) -> None:
    ctx = studio.context()
    slots = CallSlots(ctx.data_dir / "run", "elevenlabs", 4)
    with ThreadPoolExecutor() as pool:
        stack = [slots.taken(lambda: None) for _ in range(4)]
        for slot in stack:
            slot.__enter__()
        speaking = pool.submit(studio.speak, ctx=ctx)
        while not (ctx.folder / PROGRESS_FILE).exists():
            threading.Event().wait(0.01)
        (ctx.folder / CANCEL_FILE).touch()
        with pytest.raises(StageCancelled):
            speaking.result(WAIT_S)
        for slot in stack:
            slot.__exit__(None, None, None)
    assert studio.service.called("speak") == 0


def test_progress_counts_the_lines_that_are_spoken(studio: Studio) -> None:
    ctx = studio.context()
    studio.speak(ctx=ctx)
    said = [json.loads(line) for line in (ctx.folder / PROGRESS_FILE).read_text().splitlines()]
    fractions = [entry["fraction"] for entry in said]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert [entry["note"] for entry in said[:8]] == [
        f"line {n + 1}: {studio.show.characters[n % 2].name}" for n in range(8)
    ]


def test_sound_that_is_of_no_use_is_paid_for_but_not_kept(studio: Studio) -> None:
    silent = Elevenlabs._answer

    def answer(self, request, text, rate, voice, settings):
        return silent(self, request, "," * len(text), rate, voice, settings)

    studio.service._answer = answer.__get__(studio.service)
    with pytest.raises(ProviderError, match="line 1 came back without sound"):
        studio.speak(TEXTS[:1])
    (receipt,) = studio.receipts()
    assert receipt.is_certain
    assert receipt.cost.usd == pytest.approx(LINE_USD)
    assert studio.kept() == []


def test_the_plan_is_kept_with_the_sound(studio: Studio) -> None:
    studio.service.plan = "creator"
    takes = studio.speak(TEXTS[:2])
    assert {take.speech.plan for take in takes} == {"creator"}
    assert {kept["plan"] for kept in studio.kept()} == {"creator"}
    assert {take.speech.plan for take in studio.speak(TEXTS[:2])} == {"creator"}


def test_audio_of_the_free_plan_is_used_while_the_plan_is_free_and_made_again_after_an_upgrade(
    studio: Studio,
) -> None:
    studio.service.plan = "free"
    studio.speak(TEXTS[:2])
    assert all(take.reused for take in studio.speak(TEXTS[:2]))
    studio.service.plan = "creator"
    takes = studio.speak(TEXTS[:2])
    assert [(take.reused, take.speech.plan) for take in takes] == [(False, "creator")] * 2
    assert len(studio.service.spoken) == 4


def test_speech_kept_before_plans_were_noted_is_still_used(studio: Studio) -> None:
    studio.speak(TEXTS[:1])
    (path,) = (studio.folder / "data/voices").rglob("*.json")
    old = {name: value for name, value in json.loads(path.read_text()).items() if name != "plan"}
    path.write_text(json.dumps(old))
    (take,) = studio.speak(TEXTS[:1])
    assert (take.reused, take.speech.plan) == (True, "")


def refusal(status: str, code: int = 401, **headers: str) -> Reply:
    body = {"detail": {"status": status, "message": f"No, {KEY}.\r\n\x1b[31m" + "x" * 5000}}
    return Reply(code, json.dumps(body), headers=tuple(headers.items()))


@dataclass(frozen=True)
class Row:
    """A fault, what people read, whether it is tried again, and what it cost (in lines)."""

    fault: object
    words: str
    again: bool
    lines_paid: int
    kind: type[Exception] = ProviderError
    wait_s: float | None = None


FULL, NOTHING = 1, 0
ROWS = {
    "refused: wrong key": Row(
        refusal("invalid_api_key"), "correct ELEVENLABS_API_KEY", False, NOTHING, UserError
    ),
    "refused: permission": Row(
        refusal("missing_permissions"), "`text_to_speech`", False, NOTHING, UserError
    ),
    "refused: 401 of another kind": Row(
        refusal("detected_unusual_activity"), "denies access", False, NOTHING, UserError
    ),
    "refused: quota spent": Row(refusal("quota_exceeded"), "used up", False, NOTHING),
    "refused: no such voice": Row(
        refusal("voice_not_found", 404), "ELEVENLABS_VOICE_BRUNO", False, NOTHING, UserError
    ),
    "refused: no such voice (400)": Row(
        refusal("voice_not_found", 400), "ELEVENLABS_VOICE_BRUNO", False, NOTHING, UserError
    ),
    "refused: line too long": Row(
        refusal("max_character_limit_exceeded", 400), "shorten it", False, NOTHING, UserError
    ),
    "refused: wrong field": Row(
        Reply(422, '{"detail": [{"loc": ["body"], "msg": "too wild"}]}'), "too wild", False, NOTHING
    ),
    "refused: wrong address": Row(
        Reply(404, '{"detail": "Not Found"}'), "ELEVENLABS_BASE_URL", False, NOTHING, UserError
    ),
    "refused: payment": Row(Reply(402, "{}"), "used up", False, NOTHING),
    "429 too many at once": Row(
        refusal("too_many_concurrent_requests", 429),
        "VOICE_CONCURRENCY",
        True,
        NOTHING,
        wait_s=10.0,
    ),
    "429 busy": Row(refusal("system_busy", 429), "busy", True, NOTHING, wait_s=10.0),
    "429 with a hint": Row(
        Reply(429, "{}", headers=(("Retry-After", "7"),)), "no more calls", True, NOTHING, wait_s=7
    ),
    "429 without a hint": Row(Reply(429, ""), "no more calls", True, NOTHING, wait_s=10.0),
    "500": Row(Reply(500, "{}"), "internal error (status 500)", True, FULL),
    "503 with a hint": Row(
        Reply(503, "", headers=(("Retry-After", "30"),)), "status 503", True, FULL, wait_s=30
    ),
    "dropped before": Row(Drop(), "broke off", True, FULL),
    "dropped after": Row(Drop(after=True), "broke off", True, FULL),
    "truncated": Row(Half(), "broke off", True, FULL),
    "timeout": Row(Silence(), "did not answer in time", True, FULL),
    "malformed": Row(Garbled(), "ELEVENLABS_BASE_URL", False, FULL),
    "malformed: a list": Row(Garbled("[1, 2]"), "ELEVENLABS_BASE_URL", False, FULL),
    "malformed: null": Row(Garbled("null"), "ELEVENLABS_BASE_URL", False, FULL),
    "malformed: no JSON": Row(Garbled("{"), "ELEVENLABS_BASE_URL", False, FULL),
    "malformed: no text": Row(Garbled('{"audio_base64": 7}'), "ELEVENLABS_BASE_URL", False, FULL),
    "malformed: no base64": Row(
        Garbled('{"audio_base64": "%%%"}'), "ELEVENLABS_BASE_URL", False, FULL
    ),
    "malformed: no sound": Row(
        Garbled('{"audio_base64": "aGVsbG8="}'), "ELEVENLABS_BASE_URL", False, FULL
    ),
    "HTML": Row(HTML, "ELEVENLABS_BASE_URL", False, FULL),
    "HTML error": Row(
        Reply(502, "<html>Bad gateway</html>", "text/html"), "status 502", True, FULL
    ),
    "redirect": Row(redirect("http://127.0.0.1:9/"), "redirect", False, NOTHING),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_failed_call_is_one_sentence_that_says_what_to_do_and_counts_what_it_may_have_cost(
    studio: Studio, name: str
) -> None:
    row = ROWS[name]
    studio.service.fail("speak", row.fault)
    with pytest.raises(row.kind) as failed:
        studio.speak(TEXTS[:1], timeout_s=1.0 if name == "timeout" else WAIT_S)
    sentence = str(failed.value)
    assert row.words in sentence
    assert sentence.isprintable()
    assert len(sentence) < 400
    assert KEY not in sentence
    assert getattr(failed.value, "retryable", False) == row.again
    assert getattr(failed.value, "retry_after_s", None) == row.wait_s
    (receipt,) = studio.receipts()
    assert receipt.cost.usd == pytest.approx(row.lines_paid * LINE_USD)
    assert studio.service.called("speak") == 1  # nobody but the engine tries again
    assert KEY not in "".join(
        path.read_text(errors="replace") for path in studio.folder.rglob("*") if path.is_file()
    )

    studio.speak(TEXTS[:1])
    assert studio.service.called("speak") == 2


def test_a_service_that_cannot_be_reached_is_not_paid(studio: Studio) -> None:
    with Elevenlabs() as gone:
        gone_url = gone.url
    studio.service.url = gone_url
    with pytest.raises(ProviderError, match="cannot be reached") as failed:
        studio.speak(TEXTS[:1])
    assert failed.value.retryable
    assert studio.receipts() == []  # the plan comes first
