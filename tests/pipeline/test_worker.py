import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from pipeline.attempts import ErrorKind, OutcomeState, ProgressTail, Request, read_outcome
from pipeline.config import Config, VoicesConfig, WriterConfig
from pipeline.facts import Memory
from pipeline.ledger import read_receipts
from pipeline.sections import Brief, Script
from pipeline.worker import run_stage, without_secrets

BRIEF = Brief(episode=1, topic="pigeons", created_at=datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def attempt(tmp_path):
    folder = tmp_path / "jobs" / "7" / "1"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def request_for(toys, tmp_path, attempt):
    def request_for(plan="work", **changes):
        (tmp_path / "plan.json").write_text(json.dumps({"script": [plan]}))
        request = Request(
            job=7,
            attempt=1,
            stage="script",
            module="toy_script",
            episode=1,
            revision=1,
            show="butcher_and_nutsy",
            data_dir=str(tmp_path),
            folder=str(attempt),
            revision_folder=str(tmp_path / "episodes" / "1" / "v1"),
            inputs={
                "brief": BRIEF.model_dump(mode="json"),
                "memory": Memory().model_dump(mode="json"),
            },
        )
        return request.model_copy(update=changes).model_dump_json()

    return request_for


@pytest.fixture
def run(request_for, attempt):
    def run(*plan, config=WriterConfig(), **changes):  # noqa: B008 - it is frozen
        answer = run_stage(request_for(*plan, **changes), config)
        outcome = read_outcome(attempt)
        assert outcome is not None
        assert answer == outcome.model_dump_json()
        return outcome

    return run


def test_a_stage_that_works_gives_its_section(run):
    outcome = run("work")
    assert outcome.state is OutcomeState.SUCCEEDED
    assert Script.model_validate_json(outcome.result).lines[0].text == "pigeons"


def test_time_and_memory_are_measured(run):
    outcome = run("work")
    assert 0 <= outcome.seconds < 10
    assert 10 < outcome.peak_rss_mb < 10_000


def test_artefacts_and_progress_stay_in_the_attempts_folder(run, attempt):
    run("work")
    assert sorted(path.name for path in attempt.iterdir()) == [
        "outcome.json",
        "progress.jsonl",
        "script.txt",
    ]


@pytest.mark.parametrize(
    ("plan", "kind", "retryable", "wait", "error"),
    [
        ("user_error", ErrorKind.USER, False, None, "The topic is too sad; choose another."),
        ("provider_error", ErrorKind.PROVIDER, True, None, "openai: is overloaded."),
        ("asked_to_wait", ErrorKind.PROVIDER, True, 120.0, "openai: wants a pause."),
        ("refused", ErrorKind.PROVIDER, False, None, "openai: does not know this key."),
    ],
)
def test_an_error_says_whether_waiting_helps(run, plan, kind, retryable, wait, error):
    outcome = run(plan)
    assert (outcome.state, outcome.error) == (OutcomeState.FAILED, error)
    assert (outcome.error_kind, outcome.retryable, outcome.retry_after_s) == (kind, retryable, wait)


def test_a_bug_is_a_short_sentence_with_the_traceback_apart(run):
    outcome = run("bug")
    assert (outcome.error_kind, outcome.retryable) == (ErrorKind.BUG, True)
    assert "job 7" in outcome.error
    assert "secret detail" not in outcome.error
    assert "KeyError: 'secret detail'" in outcome.trace


def test_a_cancelled_stage_says_so(run, attempt):
    (attempt / "cancel").touch()
    assert run("until_cancelled").state is OutcomeState.CANCELLED


def test_an_input_that_does_not_fit_is_a_sentence(run, tmp_path):
    outcome = run(inputs={"brief": {"episode": 1, "topic": ""}, "memory": {}})
    assert outcome.error.startswith("The brief is not usable: topic: ")
    assert not (tmp_path / "runs.txt").exists()


def test_an_unknown_show_is_a_sentence(run):
    assert "There is no show 'none'" in run(show="none").error


def test_a_stage_that_returns_another_section_is_a_bug(run):
    outcome = run(stage="voices")
    assert "the voices stage returned Script" in outcome.trace


def test_there_is_no_outcome_before_the_end(attempt):
    assert read_outcome(attempt) is None


@pytest.mark.parametrize("text", ["", '{"state": "succ'])
def test_a_damaged_outcome_counts_as_none(attempt, text):
    (attempt / "outcome.json").write_text(text)
    assert read_outcome(attempt) is None


def test_progress_is_read_from_where_the_last_look_ended(attempt):
    tail = ProgressTail(attempt)
    assert tail.latest() is None
    with (attempt / "progress.jsonl").open("a") as file:
        file.write('{"fraction": 0.1, "note": "a"}\n{"fraction": 0.2, "note": "b"}\n{"frac')
        file.flush()
        assert tail.latest() == (0.2, "b")
        assert tail.latest() is None
        file.write('tion": 0.3, "note": "c"}\n')
    assert tail.latest() == (0.3, "c")


CANARY = "sk-canary/0123+456="


@pytest.mark.parametrize("plan", ["tells_the_key", "breaks_over_the_key"])
def test_a_key_never_leaves_in_what_a_stage_raises(run, attempt, plan):
    outcome = run(plan, config=WriterConfig(api_key=SecretStr(CANARY)))
    assert "***" in outcome.error + outcome.trace
    written = b"".join(path.read_bytes() for path in attempt.iterdir())
    for form in (CANARY, "sk-canary%2F0123%2B456%3D"):
        assert form not in outcome.error + outcome.trace
        assert form.encode() not in written


class Nested(Config):
    inner: VoicesConfig
    keys: tuple[SecretStr, ...] = ()
    named: dict[str, SecretStr]


def test_keys_are_found_wherever_a_config_keeps_them():
    config = Nested(
        inner=VoicesConfig(api_key=SecretStr("key-one")),
        keys=(SecretStr("key-one-longer"), SecretStr("")),
        named={"a": SecretStr("key-three")},
    )
    told = without_secrets("key-one, key-one-longer and key-three", config)
    assert told == "***, *** and ***"


def test_a_stage_without_keys_says_what_it_says():
    assert without_secrets("None and '' stay", WriterConfig()) == "None and '' stay"


def test_what_a_stage_may_spend_comes_with_its_request(run, tmp_path):
    outcome = run("work", allowance_usd=0.1)
    assert (outcome.error_kind, outcome.retryable) == (ErrorKind.BUDGET, True)
    assert outcome.error.startswith("Script may cost $0.5000 and $0.1000 of the budget is left")
    assert not (tmp_path / "paid").exists()


def test_receipts_lie_outside_the_attempts_folder(run, tmp_path):
    run("work", allowance_usd=0.5)
    (receipt,) = read_receipts(tmp_path / "paid" / "7" / "receipts-1.jsonl")
    assert (receipt.cost.usd, receipt.is_certain) == (0.5, True)
