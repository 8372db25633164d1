"""The parts about writing, speaking, Instagram and money."""

import wave

import pytest
from standins.anthropic import KEY as ANTHROPIC_KEY
from standins.elevenlabs import DEEP_VOICE, HIGH_VOICE, KEY, Elevenlabs
from standins.openai import KEY as OPENAI_KEY
from standins.openai import OpenAI
from standins.server import Reply

from bot.settings import load_settings


@pytest.fixture
def given(env_file):
    def write(**values):
        env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    return write


def test_openai_writes_once_its_key_and_model_are_checked(sit, given, written, openai):
    given(OPENAI_BASE_URL=f"{openai.url}/v1")
    ending = sit(
        writer=["OpenAI", "n", "sk-wrong", OPENAI_KEY, "gpt-nine", "gpt-5-mini"],
        budgets=["much", "$2", "30"],
    )
    assert "OpenAI takes the key; it may use 2 models." in ending.out
    assert "does not list the model gpt-nine" in ending.out
    assert "A script with gpt-5-mini costs about $0.00" in ending.out
    assert "Write an amount like 2 or 2.50." in ending.out
    values = written()
    assert values["LLM_MODEL"] == "gpt-5-mini"
    assert (values["OPENAI_API_KEY"], values["DAILY_BUDGET_USD"]) == (OPENAI_KEY, "2")
    assert values["MONTHLY_BUDGET_USD"] == "30"
    assert {request.method for request in openai.requests} == {"GET"}


def test_anthropic_writes_once_its_key_and_model_are_checked(
    sit, given, written, anthropic, env_file
):
    given(ANTHROPIC_BASE_URL=anthropic.url, LLM_MODEL="gpt-5-mini")
    sit(writer=["anthropic", ANTHROPIC_KEY, "claude-haiku-4-5"], budgets=["", ""])
    assert written()["LLM_MODEL"] == "claude-haiku-4-5"
    assert load_settings(env_file).writer_choice() == "anthropic"


def test_a_server_of_ones_own_needs_a_model_and_no_key(sit, written):
    with OpenAI(key=None, models=("llama3.2:latest",)) as ollama:
        ending = sit(writer=["4", "http://api.example/v1", f"{ollama.url}/v1", "llama3.2"])
    assert "plain http only to this machine or a private network" in ending.out
    assert "It has llama3.2:latest." in ending.out
    values = written()
    assert (values["WRITER"], values["LLM_MODEL"]) == ("openai", "llama3.2")
    assert "OPENAI_API_KEY" not in values


def test_openais_key_goes_to_another_server_only_after_a_yes(sit, given, written):
    given(OPENAI_API_KEY=OPENAI_KEY)
    with OpenAI(key=None, models=("m",)) as server:
        sit(writer=["4", "n", f"{server.url}/v1", "m"])
        assert all("authorization" not in request.headers for request in server.requests)
    assert "OPENAI_API_KEY" not in written()


def test_a_key_is_not_sent_in_the_clear(sit, given, written):
    given(OPENAI_API_KEY=OPENAI_KEY)
    ending = sit(writer=["4", "y", "http://nas.local:1/v1", "", ""], budgets=["", ""])
    assert "The key would travel unencrypted" in ending.out
    assert written() == {"OPENAI_API_KEY": OPENAI_KEY}


def test_without_a_key_the_writer_stays(sit, given, written):
    given(WRITER="openai", OPENAI_BASE_URL="http://127.0.0.1:9/v1", LLM_MODEL="llama3.2")
    before = written()
    ending = sit(writer=["anthropic", ""])
    assert "Without a key Anthropic cannot write" in ending.out
    assert written() == before


def test_a_service_that_auto_takes_is_not_fixed_by_name(sit, given, written, openai):
    given(OPENAI_BASE_URL=f"{openai.url}/v1")
    sit(writer=["openai", "n", OPENAI_KEY, "gpt-x"], budgets=["", ""])
    assert "WRITER" not in written()


def test_offline_is_written_by_name(sit, given, written):
    given(OPENAI_API_KEY=OPENAI_KEY)
    sit(writer=["1"], budgets=["", ""])
    assert written()["WRITER"] == "offline"


def test_a_service_out_of_order_does_not_lose_the_key(sit, given, written, openai):
    given(OPENAI_BASE_URL=f"{openai.url}/v1")
    openai.fail("models", Reply(503))
    ending = sit(writer=["openai", "n", OPENAI_KEY, "y", "gpt-x"], budgets=["", ""])
    assert "It could not be checked. Keep it all the same?" in ending.out
    assert written()["OPENAI_API_KEY"] == OPENAI_KEY


def test_voices_are_chosen_from_the_account_and_nothing_is_spoken_unasked(
    sit, given, written, elevenlabs, tmp_path, env_file
):
    given(ELEVENLABS_BASE_URL=elevenlabs.url)
    ending = sit(
        voices=["ElevenLabs", "wrong", KEY, "1", "", "Voice 300 (premade)", "n"], budgets=["", ""]
    )
    assert "Plan creator, 99,000 characters are left." in ending.out
    values = written()
    assert load_settings(env_file).voice_choice() == "elevenlabs"
    assert values["ELEVENLABS_VOICE_BUTCHER"] == DEEP_VOICE
    assert values["ELEVENLABS_VOICE_NUTSY"] == HIGH_VOICE
    assert elevenlabs.spoken == []
    assert not (tmp_path / "data").exists()


def test_a_sample_is_spoken_after_a_yes_with_its_price_and_never_twice(
    sit, given, elevenlabs, tmp_path
):
    given(ELEVENLABS_BASE_URL=elevenlabs.url)
    ending = sit(voices=["2", KEY, "1", "y", "2", "y"], budgets=["", ""])
    assert "It costs 66 characters, about $0.020. [y/N]" in ending.out
    assert [(spoken.voice, len(spoken.text)) for spoken in elevenlabs.spoken] == [
        (DEEP_VOICE, 66),
        (HIGH_VOICE, 66),
    ]
    samples = sorted((tmp_path / "data" / "samples").iterdir())
    for path in samples:
        assert f"data/samples/{path.name}" in ending.out
        with wave.open(str(path)) as file:
            assert file.getnframes() / file.getframerate() > 1
    sit(voices=["2", "", "1", "y", "2", "y"], budgets=["", ""])
    assert len(elevenlabs.spoken) == 2
    assert len(samples) == 2


def test_the_free_plan_is_told_before_it_matters(sit, given):
    with Elevenlabs(plan="free", quota=10_000) as service:
        given(ELEVENLABS_BASE_URL=service.url)
        ending = sit(voices=["2", KEY, "1", "", "2", ""], budgets=["", ""])
    assert "Audio of the free plan is never published" in ending.out


def test_a_sample_that_fails_is_one_sentence_and_asks_again(sit, given, written, elevenlabs):
    given(ELEVENLABS_BASE_URL=elevenlabs.url)
    elevenlabs.fail("speak", Reply(500))
    ending = sit(voices=["2", KEY, "1", "y", "1", "n", "2", "n"], budgets=["", ""])
    assert "internal error" in ending.out
    assert written()["ELEVENLABS_VOICE_BUTCHER"] == DEEP_VOICE
    assert elevenlabs.called("speak") == 1


def test_the_account_on_instagram_is_found_with_the_token(sit, given, written, instagram, env_file):
    given(INSTAGRAM_GRAPH_URL=instagram.graph_url, INSTAGRAM_UPLOAD_URL=instagram.upload_url)
    ending = sit(instagram=["2", "my app", "", "", "EAAwrong", instagram.token, "1"])
    assert f"@{instagram.username} (Page {instagram.page})" in ending.out
    assert "The id of an app is a number" in ending.out
    assert "A token of the kind" in ending.out
    assert "expire" in ending.out
    values = written()
    assert values["INSTAGRAM_USER_ID"] == instagram.user_id
    assert values["META_ACCESS_TOKEN"] == instagram.token
    assert load_settings(env_file).publisher_choice() == "instagram"
    assert instagram.posts == []


def test_a_wrong_token_of_instagram_leaves_the_folder(sit, given, written, instagram):
    given(INSTAGRAM_GRAPH_URL=instagram.graph_url, INSTAGRAM_UPLOAD_URL=instagram.upload_url)
    ending = sit(instagram=["2", "", "", "EAAa", "EAAb", "EAAc"])
    assert "This stays as it was" in ending.out
    assert "PUBLISHER" not in written()
    assert "META_ACCESS_TOKEN" not in written()
