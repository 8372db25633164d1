"""Which provider does the work, and what `auto` may and may not do by itself."""

import pytest

from bot.choices import remember_choices, said_at_start
from bot.settings import load_settings
from pipeline.config import StudioConfig
from pipeline.errors import UserError
from pipeline.providers.writers.chat import DEFAULT_MODELS
from storage.database import Database
from storage.notes import Notes

META = {"meta_access_token": "meta.canary", "instagram_user_id": "17841400000000000"}
OPENAI = {"openai_api_key": "sk-canary-openai"}
ANTHROPIC = {"anthropic_api_key": "sk-canary-anthropic"}
ELEVENLABS = {"elevenlabs_api_key": "sk-canary-elevenlabs"}
LOCAL = {"openai_base_url": "http://127.0.0.1:11434/v1"}


@pytest.fixture
def settings(tmp_path):
    def make(**values):
        return load_settings(None, data_dir=tmp_path, **values)

    return make


@pytest.mark.parametrize(
    ("values", "provider"),
    [
        ({}, "offline"),
        (OPENAI, "openai"),
        (ANTHROPIC, "anthropic"),
        (OPENAI | ANTHROPIC, "openai"),
        (OPENAI | ANTHROPIC | {"writer": "anthropic"}, "anthropic"),
        (OPENAI | {"writer": "offline"}, "offline"),
        (LOCAL, "offline"),
        (LOCAL | {"writer": "openai", "llm_model": "llama3.2"}, "openai"),
        (
            {"openai_base_url": "http://nas.local:1/v1", "writer": "openai", "llm_model": "x"},
            "openai",
        ),
    ],
)
def test_auto_writes_with_the_provider_whose_key_is_set(settings, values, provider):
    config = settings(**values).studio_config()
    assert config.script.provider == provider
    assert config.pitches == config.script


@pytest.mark.parametrize(
    ("values", "provider"),
    [
        ({}, "offline"),
        (ELEVENLABS, "elevenlabs"),
        (ELEVENLABS | {"voice": "offline"}, "offline"),
    ],
)
def test_auto_speaks_with_elevenlabs_once_its_key_is_set(settings, values, provider):
    assert settings(**values).studio_config().voices.provider == provider


@pytest.mark.parametrize(
    ("values", "publisher"),
    [({}, "folder"), (META, "instagram"), (META | {"publisher": "folder"}, "folder")],
)
def test_auto_publishes_to_instagram_once_its_token_is_set(settings, values, publisher):
    assert settings(**values).publisher_choice() == publisher


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"writer": "openai"}, "WRITER=openai needs OPENAI_API_KEY; set it, or WRITER=offline"),
        ({"writer": "anthropic"}, "WRITER=anthropic needs ANTHROPIC_API_KEY; set it, or WRITER="),
        ({"voice": "elevenlabs"}, "VOICE=elevenlabs needs ELEVENLABS_API_KEY; set it, or VOICE="),
        (LOCAL | {"writer": "openai"}, "LLM_MODEL is empty; .* or WRITER=offline"),
        (
            OPENAI | {"openai_base_url": "http://nas.local:11434/v1"},
            "OPENAI_API_KEY would travel unencrypted .* empty the key, or use",
        ),
    ],
)
def test_a_provider_asked_for_by_name_needs_its_key(settings, values, words):
    with pytest.raises(UserError, match=words):
        settings(**values).studio_config()


def test_everything_a_provider_needs_is_handed_on(settings):
    config = settings(
        **ANTHROPIC,
        **ELEVENLABS,
        llm_model="claude-haiku-4-5",
        anthropic_base_url="https://proxy.example/anthropic/",
        elevenlabs_base_url="http://127.0.0.1:99",
        elevenlabs_voice_nutsy="v-nutsy",
        elevenlabs_model="eleven_v3",
        voice_concurrency=3,
        trends_feeds="https://a.example/rss  http://127.0.0.1:8/atom",
        trends_wikipedia_url="https://w.example",
        trends_hackernews_url="https://h.example",
    ).studio_config()
    writer, voices, trends = config.script, config.voices, config.trends
    assert (writer.model, writer.base_url) == (
        "claude-haiku-4-5",
        "https://proxy.example/anthropic",
    )
    assert writer.api_key.get_secret_value() == "sk-canary-anthropic"
    assert (voices.model, voices.base_url) == ("eleven_v3", "http://127.0.0.1:99")
    assert (voices.voices, voices.concurrency) == ({"Nutsy": "v-nutsy"}, 3)
    assert trends.feeds == ("https://a.example/rss", "http://127.0.0.1:8/atom")
    assert trends.wikipedia_url == "https://w.example"
    assert trends.hackernews_url == "https://h.example"


def test_no_stage_gets_a_key_it_does_not_use(settings):
    config = settings(**OPENAI, **ANTHROPIC, **ELEVENLABS, **META).studio_config()
    keys = {
        stage: [
            value.get_secret_value()
            for name, value in config.for_stage(stage)
            if name == "api_key" and value
        ]
        for stage in StudioConfig.model_fields
    }
    assert {stage: found for stage, found in keys.items() if found} == {
        "pitches": ["sk-canary-openai"],
        "script": ["sk-canary-openai"],
        "voices": ["sk-canary-elevenlabs"],
    }


REAL = [
    pytest.param(OPENAI, "writer", "offline", "OPENAI_API_KEY", id="openai"),
    pytest.param(ANTHROPIC, "writer", "offline", "ANTHROPIC_API_KEY", id="anthropic"),
    pytest.param(ELEVENLABS, "voice", "offline", "ELEVENLABS_API_KEY", id="elevenlabs"),
    pytest.param(META, "publisher", "folder", "META_ACCESS_TOKEN", id="instagram"),
]


@pytest.fixture
async def remember(tmp_path, settings):
    async with await Database.open(tmp_path / "notes.db") as database:

        async def start(**values):
            await remember_choices(Notes(database), settings(**values))

        yield start


@pytest.mark.parametrize(("real", "setting", "offline", "key"), REAL)
async def test_a_channel_never_falls_back_by_itself(remember, real, setting, offline, key):
    await remember()
    await remember(**real)
    with pytest.raises(
        UserError, match=f"{key} is empty now; .*or {setting.upper()}={offline} to go on without"
    ):
        await remember()
    await remember(**real)


@pytest.mark.parametrize(("real", "setting", "offline", "key"), REAL)
async def test_asked_for_by_name_it_may_and_stays(remember, real, setting, offline, key):
    await remember(**real)
    await remember(**{setting: offline})
    await remember()


async def test_a_refused_fallback_changes_no_other_memory(remember):
    await remember(**OPENAI, **ELEVENLABS)
    with pytest.raises(UserError, match="OPENAI_API_KEY is empty now"):
        await remember(voice="offline")
    with pytest.raises(UserError, match="ELEVENLABS_API_KEY is empty now"):
        await remember(**OPENAI)


async def test_another_real_writer_is_no_fallback(remember):
    await remember(**OPENAI)
    await remember(**ANTHROPIC)
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY is empty now"):
        await remember()


async def test_the_server_of_ones_own_is_offered_again(remember):
    own = LOCAL | {"llm_model": "llama3.2"}
    await remember(**own, writer="openai")
    with pytest.raises(UserError, match="or WRITER=openai for the server of OPENAI_BASE_URL"):
        await remember(**own)


def said(settings):
    return " ".join(said_at_start(settings))


def test_what_was_chosen_is_said_without_secrets(settings):
    text = said(settings(**META, **OPENAI, **ELEVENLABS, daily_budget_usd=2, monthly_budget_usd=30))
    assert f"Writer openai ({DEFAULT_MODELS['openai']}), " in text
    assert "voice elevenlabs (eleven_multilingual_v2)" in text
    assert "posts to instagram" in text
    assert "Budget: $2.00 a day and $30.00 a month." in text
    assert "canary" not in text
    assert "no listed price" not in text


def test_offline_nothing_is_said_about_money(settings):
    text = said(settings())
    assert "Writer offline, voice offline" in text
    assert "udget" not in text


def test_spending_without_a_budget_is_said(settings):
    assert "No budget is set: DAILY_BUDGET_USD" in said(settings(**OPENAI))


@pytest.mark.parametrize(
    "values", [OPENAI | {"llm_model": "gpt-9"}, ELEVENLABS | {"elevenlabs_model": "eleven_v9"}]
)
def test_a_model_without_a_price_is_said(settings, values, tmp_path):
    model = values.get("llm_model") or values["elevenlabs_model"]
    assert f"{model} has no listed price" in said(settings(**values))
    (tmp_path / "prices.yaml").write_text(
        "openai: {gpt-9: {tokens_in: 1, tokens_out: 2}}\nvoices: {eleven_v9: 0.1}\n"
    )
    assert "no listed price" not in said(settings(**values))


def test_a_server_of_ones_own_costs_nothing(settings):
    text = said(settings(**LOCAL, writer="openai", llm_model="llama3.2"))
    assert "Writer openai (llama3.2)" in text
    assert "price" not in text
    assert "udget" not in text


def test_a_server_that_auto_does_not_use_is_said(settings):
    assert "set WRITER=openai to write with it" in said(settings(**LOCAL))
