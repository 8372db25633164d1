"""What the doctor learns from the services, and that it neither pays nor tells a key."""

from datetime import date

import pytest
from standins.anthropic import KEY as ANTHROPIC_KEY
from standins.anthropic import Anthropic
from standins.elevenlabs import DEEP_VOICE, HIGH_VOICE, KEY, Elevenlabs
from standins.openai import KEY as OPENAI_KEY
from standins.openai import OpenAI
from standins.server import HTML, Drop, Garbled, Half, Reply, redirect

from bot.doctor import machine, services
from bot.doctor.findings import Level
from bot.settings import load_settings
from pipeline.errors import ProviderError
from pipeline.providers import factory
from pipeline.sections import TrendItem

VOICES = {"elevenlabs_voice_butcher": DEEP_VOICE, "elevenlabs_voice_nutsy": HIGH_VOICE}
KEYS = (OPENAI_KEY, ANTHROPIC_KEY, KEY)


@pytest.fixture
def look(tmp_path):
    """Findings as (level, text) pairs; no finding holds a key."""

    async def ask(check, **values):
        found = await check(load_settings(None, data_dir=tmp_path, **values))
        assert not any(key in finding.text for finding in found for key in KEYS)
        assert all("\n" not in finding.text for finding in found)
        return [(finding.level, finding.text) for finding in found]

    return ask


@pytest.fixture
def openai():
    with OpenAI(models=("gpt-x",)) as service:
        yield service


@pytest.fixture
def anthropic():
    with Anthropic(models=("claude-x",)) as service:
        yield service


@pytest.fixture
def elevenlabs():
    with Elevenlabs(used=1_000, quota=99_000) as service:
        yield service


def writing_with(service, key=OPENAI_KEY, model="gpt-x"):
    base = f"{service.url}/v1"
    return {"openai_api_key": key, "openai_base_url": base, "llm_model": model}


def asking(service, key=ANTHROPIC_KEY, model="claude-x"):
    return {
        "anthropic_api_key": key,
        "anthropic_base_url": service.url,
        "llm_model": model,
    }


def speaking_with(service, key=KEY, **more):
    return {"elevenlabs_api_key": key, "elevenlabs_base_url": service.url, **VOICES, **more}


async def test_offline_nobody_is_asked(look):
    assert await look(services.writer) == [(Level.OK, "writer offline")]
    assert await look(services.voices) == []
    assert await look(services.money) == [(Level.OK, "nothing that costs money is used")]
    assert await look(services.trends, trends="offline") == []


async def test_a_good_key_and_model_are_fine(look, openai, anthropic):
    (found,) = await look(services.writer, **writing_with(openai))
    assert found == (Level.OK, "writer openai: gpt-x can be used")
    (found,) = await look(services.writer, **asking(anthropic))
    assert found == (Level.OK, "writer anthropic: claude-x can be used")


async def test_a_wrong_key_is_an_error_that_names_it(look, openai, anthropic, elevenlabs):
    ((level, text),) = await look(services.writer, **writing_with(openai, key="sk-wrong-canary"))
    assert (level, "OPENAI_API_KEY" in text, "canary" in text) == (Level.ERROR, True, False)
    ((level, text),) = await look(services.writer, **asking(anthropic, key="wrong-canary"))
    assert (level, "ANTHROPIC_API_KEY" in text, "canary" in text) == (Level.ERROR, True, False)
    ((level, text),) = await look(services.voices, **speaking_with(elevenlabs, key="a-canary"))
    assert (level, "ELEVENLABS_API_KEY" in text, "canary" in text) == (Level.ERROR, True, False)


async def test_an_unknown_model_is_an_error(look, openai, anthropic):
    ((level, text),) = await look(services.writer, **writing_with(openai, model="gpt-y"))
    assert level is Level.ERROR
    assert "does not list the model gpt-y; set LLM_MODEL to one that it has (gpt-x)." in text
    ((level, text),) = await look(services.writer, **asking(anthropic, model="claude-y"))
    assert (level, "claude-y" in text, "LLM_MODEL" in text) == (Level.ERROR, True, True)


async def test_a_server_of_ones_own_needs_no_key(look):
    with OpenAI(key=None, models=("llama3.2:latest",)) as ollama:
        values = writing_with(ollama, key=None, model="llama3.2") | {"writer": "openai"}
        ((level, _),) = await look(services.writer, **values)
        assert level is Level.OK
        assert "authorization" not in ollama.requests[0].headers


async def test_a_model_that_only_its_own_server_knows_may_work(look):
    with OpenAI(key=None, models=("llama.gguf",)) as server:
        values = writing_with(server, key=None, model="any") | {"writer": "openai"}
        ((level, text),) = await look(services.writer, **values)
        assert (level, "(llama.gguf)" in text) == (Level.WARNING, True)


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        (Drop(), Level.WARNING),
        (Half(), Level.WARNING),
        (Reply(500), Level.WARNING),
        (Reply(503, "<html>"), Level.WARNING),
        (Reply(429, '{"error": {"message": "slow down", "code": "rate_limit"}}'), Level.WARNING),
        (Reply(429, '{"error": {"code": "insufficient_quota", "message": ""}}'), Level.ERROR),
        (HTML, Level.WARNING),
        (Garbled(), Level.WARNING),
    ],
)
async def test_trouble_at_a_service_is_one_finding(
    look, openai, anthropic, elevenlabs, fault, level
):
    openai.fail("models", fault)
    anthropic.fail("model", fault)
    found = await look(services.writer, **writing_with(openai))
    found += await look(services.writer, **asking(anthropic))
    assert [each[0] for each in found] == [level, level]
    elevenlabs.fail("subscription", fault)
    assert len(await look(services.voices, **speaking_with(elevenlabs))) == 1


async def test_a_redirect_is_not_followed_and_no_key_leaves(look, openai, anthropic, elevenlabs):
    with OpenAI(models=("gpt-x",)) as foreign:
        target = redirect(f"{foreign.url}/v1/models")
        openai.fail("models", target)
        anthropic.fail("model", target)
        elevenlabs.fail("subscription", target)
        await look(services.writer, **writing_with(openai))
        await look(services.writer, **asking(anthropic))
        ((level, text),) = await look(services.voices, **speaking_with(elevenlabs))
        assert foreign.requests == []
    assert (level, "redirect" in text) == (Level.ERROR, True)


async def test_plan_and_voices_of_elevenlabs_are_told_and_nothing_is_spoken(look, elevenlabs):
    found = await look(services.voices, **speaking_with(elevenlabs))
    assert found == [
        (
            Level.OK,
            "ElevenLabs, plan pro: 99,000 of 100,000 characters are left until 15 January",
        ),
        (Level.OK, "ElevenLabs: Butcher speaks as Voice 120"),
        (Level.OK, "ElevenLabs: Nutsy speaks as Voice 300"),
    ]
    assert elevenlabs.spoken == []
    assert {request.method for request in elevenlabs.requests} == {"GET"}


async def test_a_free_plan_and_its_limits_are_warned_of(look):
    with Elevenlabs(plan="free", used=9_500, quota=500) as service:
        found = await look(services.voices, **speaking_with(service))
    warnings = " ".join(text for level, text in found if level is Level.WARNING)
    assert "only 500 of 10,000 characters are left" in warnings
    assert "audio of the free plan is never published" in warnings
    assert "VOICE_CONCURRENCY=4 is more than the plan's 2 calls at once" in warnings


async def test_a_voice_that_is_missing_or_unknown_is_an_error(look, elevenlabs):
    values = speaking_with(elevenlabs, elevenlabs_voice_butcher="", elevenlabs_voice_nutsy="gone")
    _, (one, butcher), (two, nutsy) = await look(services.voices, **values)
    assert (one, two) == (Level.ERROR, Level.ERROR)
    assert butcher.startswith("ELEVENLABS_VOICE_BUTCHER is empty; choose a voice")
    assert "ELEVENLABS_VOICE_NUTSY" in nutsy


async def test_a_key_without_a_permission_says_which(look):
    with Elevenlabs(permissions=frozenset({"text_to_speech"})) as service:
        ((level, text),) = await look(services.voices, **speaking_with(service))
    assert (level, "`user_read`" in text) == (Level.ERROR, True)


class Source:
    def __init__(self, name, answer):
        self.name, self._answer = name, answer

    def fetch(self, limit):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer[:limit]


async def test_each_trend_source_is_asked_once_and_a_failing_one_is_a_warning(
    look, monkeypatch, tmp_path
):
    topic = TrendItem.model_construct(name="tea")
    sources = [
        Source("google", [topic]),
        Source("wikipedia", ProviderError("wikipedia", "it cannot be reached", True)),
        Source("feed:a.example", []),
    ]
    monkeypatch.setattr(factory, "trend_sources", lambda config, folder: sources)
    assert await look(services.trends) == [
        (Level.OK, "trends from google: there are some"),
        (Level.WARNING, "trends: wikipedia: it cannot be reached"),
        (Level.OK, "trends from feed:a.example: none just now"),
    ]
    assert list(tmp_path.iterdir()) == []


async def test_spending_without_a_budget_is_a_warning(look):
    paid = {"openai_api_key": OPENAI_KEY}
    ((level, text),) = await look(services.money, **paid)
    assert (level, "No budget is set" in text) == (Level.WARNING, True)
    ((level, _),) = await look(services.money, **paid, daily_budget_usd=1)
    assert level is Level.OK


async def test_old_prices_are_a_warning(look, tmp_path):
    (tmp_path / "prices.yaml").write_text("dated: 2025-01-31\n")
    values = {"openai_api_key": OPENAI_KEY, "daily_budget_usd": 1}
    ((level, text),) = await look(services.money, **values)
    assert (level, "The prices are of 31 January 2025" in text) == (Level.WARNING, True)
    (tmp_path / "prices.yaml").write_text(f"dated: {date.today()}\n")  # noqa: DTZ011
    ((level, _),) = await look(services.money, **values)
    assert level is Level.OK


async def test_files_with_keys_that_others_can_read_are_a_warning(look, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    token = tmp_path / "secrets" / "instagram.json"
    token.parent.mkdir()
    for path in (tmp_path / ".env", token):
        path.touch(mode=0o600)
    assert {level for level, _ in await look(machine.private_files)} == {Level.OK}
    (tmp_path / ".env").chmod(0o640)
    token.chmod(0o604)
    (one, env), (two, kept) = await look(machine.private_files)
    assert (one, two) == (Level.WARNING, Level.WARNING)
    assert env == ".env can be read by others; run `chmod 600 .env`."
    assert kept.endswith(f"run `chmod 600 {token}`.")
