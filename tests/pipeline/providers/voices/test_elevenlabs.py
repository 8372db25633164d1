"""What is asked of ElevenLabs, and what is made of its answers."""

import os
import subprocess
import sys

import numpy as np
import pytest
from pydantic import SecretStr
from standins.elevenlabs import DEEP_VOICE, HIGH_VOICE, KEY, Elevenlabs
from standins.server import redirect

from pipeline.config import VoicesConfig
from pipeline.errors import ProviderError, UserError
from pipeline.prices import load_prices
from pipeline.providers import factory
from pipeline.providers.base import Speech
from pipeline.providers.voices import costs
from pipeline.providers.voices.elevenlabs import ElevenLabsVoice
from pipeline.sections import Emotion, Line, Script
from pipeline.shows import Character, ElevenLabsStyle

LINE = "It was nine in the morning."


def starts(speech: Speech) -> list[float]:
    return [word.start for word in speech.words]


def is_even(speech: Speech) -> bool:
    """Whether the words have times by their length alone."""
    letters = [len(word.text) for word in speech.words]
    took = [word.end - word.start for word in speech.words]
    return bool(np.allclose(np.array(took) / sum(took), np.array(letters) / sum(letters)))


def test_a_line_is_asked_for_with_the_settings_of_its_character_and_emotion(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character, high: Character
) -> None:
    elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    elevenlabs.speak(LINE, high, Emotion.ANGRY)
    calm, angry = (spoken.settings for spoken in service.spoken)
    assert [spoken.voice for spoken in service.spoken] == [DEEP_VOICE, HIGH_VOICE]
    assert calm == {
        "stability": 0.5,
        "similarity_boost": 0.75,
        "style": 0.0,
        "speed": 1.0,
        "use_speaker_boost": True,
    }
    assert angry == {**calm, "stability": 0.2, "use_speaker_boost": False}


def test_the_request_has_the_key_the_format_and_the_model(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    request = next(request for request in service.requests if request.call == "speak")
    assert request.headers["xi-api-key"] == KEY
    assert request.query == {"output_format": "mp3_44100_128"}
    assert request.body["model_id"] == "eleven_multilingual_v2"
    assert KEY not in request.path


def test_a_voice_of_the_settings_wins_over_the_shows(
    service: Elevenlabs, elevenlabs_with, deep: Character
) -> None:
    voice = elevenlabs_with(voices={"bruno": HIGH_VOICE}, model="eleven_flash_v2_5")
    voice.speak(LINE, deep, Emotion.NEUTRAL)
    assert service.spoken[0].voice == HIGH_VOICE
    assert service.spoken[0].model == "eleven_flash_v2_5"


@pytest.mark.parametrize(
    ("given", "words"),
    [("", "set ELEVENLABS_VOICE_BRUNO"), ("../../v1/user", "ELEVENLABS_VOICE_BRUNO is no voice")],
)
def test_a_character_without_a_usable_voice_is_a_sentence_before_anything_is_asked(
    service: Elevenlabs, elevenlabs_with, deep: Character, given: str, words: str
) -> None:
    mute = deep.model_copy(update={"elevenlabs": ElevenLabsStyle()})
    voice = elevenlabs_with(voices={"Bruno": given})
    with pytest.raises(UserError, match=words):
        voice.key(LINE, mute, Emotion.NEUTRAL)
    with pytest.raises(UserError, match=words):
        voice.speak(LINE, mute, Emotion.NEUTRAL)
    assert service.called("speak") == 0


def test_emoji_and_markup_are_not_sent_but_stay_in_the_caption(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    text = "😂 Wow… <break time='3s'/> [shouts] two*three 😂"
    speech = elevenlabs.speak(text, deep, Emotion.NEUTRAL)
    assert service.texts() == ["Wow... break time='3s'/ shouts twothree"]
    assert [word.text for word in speech.words] == text.split()
    assert all(word.end > word.start for word in speech.words)


def test_letters_of_other_scripts_are_spoken_with_times_but_without_mouths(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    speech = elevenlabs.speak("Привет, friend!", deep, Emotion.NEUTRAL)
    assert service.texts() == ["Привет, friend!"]
    assert [word.text for word in speech.words] == ["Привет,", "friend!"]
    assert all(phoneme.start >= speech.words[1].start for phoneme in speech.phonemes)


def test_the_times_are_those_of_the_characters_that_were_sent(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    given = {}
    service.change_answer = lambda answer: given.update(answer) or answer
    speech = elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    times = given["alignment"]["character_start_times_seconds"]
    assert starts(speech) == pytest.approx([times[n] for n in (0, 3, 7, 12, 15, 19)])
    assert not is_even(speech)


def garbled(**changes: object):
    def change(answer: dict) -> dict:
        return {**answer, "alignment": {**answer["alignment"], **changes}}

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: {**answer, "alignment": None},
        lambda answer: {k: v for k, v in answer.items() if k != "alignment"},
        lambda answer: {**answer, "alignment": {"characters": 7}},
        lambda answer: {**answer, "alignment": answer["normalized_alignment"]},
        garbled(characters=list("It was nine in the mornin")),
        garbled(characters=[]),
        garbled(character_end_times_seconds=[1.0]),
        garbled(character_start_times_seconds=[0.1] * 26 + [0.0]),
        garbled(character_start_times_seconds=[-1.0] + [0.1] * 26),
        garbled(character_end_times_seconds=["later"] * 27),
    ],
    ids=[
        *("null", "missing", "no lists", "as it was read out", "another text", "empty"),
        *("lengths differ", "falling", "before the start", "words"),
    ],
)
def test_without_usable_times_the_words_share_the_sound_by_their_length(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character, change
) -> None:
    service.change_answer = change
    speech = elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    assert is_even(speech)
    assert speech.phonemes
    assert 0 <= speech.words[0].start < speech.words[-1].end <= speech.samples.size / 48_000


@pytest.mark.parametrize(("factor", "even"), [(1.04, False), (0.96, False), (1.2, True)])
def test_times_that_do_not_end_with_the_sound_are_not_believed(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character, factor: float, even: bool
) -> None:
    def stretched(answer: dict) -> dict:
        alignment = dict(answer["alignment"])
        for name in ("character_start_times_seconds", "character_end_times_seconds"):
            alignment[name] = [factor * time for time in alignment[name]]
        return {**answer, "alignment": alignment}

    service.change_answer = stretched
    speech = elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    assert is_even(speech) == even
    assert speech.words[-1].end <= speech.samples.size / 48_000


def test_words_that_start_together_share_their_time(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    def together(answer: dict) -> dict:
        alignment = answer["alignment"]
        begin = alignment["character_start_times_seconds"]
        begin[3:11] = [begin[3]] * 8  # "was" and "nine"
        return answer

    service.change_answer = together
    speech = elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    assert not is_even(speech)
    assert starts(speech) == sorted(set(starts(speech)))


def test_what_was_billed_is_what_the_service_says(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    speech = elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    assert speech.chars_billed == len(LINE)
    assert speech.request_id == "request0001"
    assert speech.plan == "pro"


@pytest.mark.parametrize(
    ("said", "billed"),
    [("13", 13), ("0", 0), *((odd, len(LINE)) for odd in ("", "-4", "many", "9" * 400))],
)
def test_without_a_number_from_the_service_every_character_counts(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character, said: str, billed: int
) -> None:
    service.headers = {"character-cost": said}
    assert elevenlabs.speak(LINE, deep, Emotion.NEUTRAL).chars_billed == billed


def test_the_plan_is_asked_for_once(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    elevenlabs.speak("And again.", deep, Emotion.NEUTRAL)
    assert [request.call for request in service.requests] == ["subscription", "speak", "speak"]


def test_a_key_that_may_not_read_its_plan_is_refused_before_anything_is_paid(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    service.permissions = frozenset({"text_to_speech"})
    with pytest.raises(UserError, match="allow it `user_read`"):
        elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    assert service.called("speak") == 0


def test_an_answer_without_a_plan_is_not_taken_for_a_paid_one(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    service.plan = ""
    with pytest.raises(ProviderError, match="no answer of its own"):
        elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
    assert service.called("speak") == 0


def test_nothing_follows_a_redirect(
    service: Elevenlabs, elevenlabs: ElevenLabsVoice, deep: Character
) -> None:
    with Elevenlabs() as foreign:
        service.fail("speak", redirect(f"{foreign.url}/v1/text-to-speech"))
        with pytest.raises(ProviderError, match="redirect"):
            elevenlabs.speak(LINE, deep, Emotion.NEUTRAL)
        assert foreign.requests == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_key": None}, "Set ELEVENLABS_API_KEY, or VOICE=offline"),
        ({"api_key": SecretStr("  ")}, "Set ELEVENLABS_API_KEY"),
        ({"api_key": SecretStr("sk_a\nb")}, "ELEVENLABS_API_KEY holds a character"),
        ({"api_key": SecretStr("sk_é")}, "ELEVENLABS_API_KEY holds a character"),
        ({"base_url": "http://api.example.com"}, "must start with https://"),
        ({"base_url": "ftp://127.0.0.1"}, "must start with https://"),
    ],
)
def test_a_setting_that_cannot_work_is_a_sentence(
    elevenlabs_with, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        elevenlabs_with(**changes)


def test_no_variable_of_the_environment_replaces_the_key(
    service: Elevenlabs, elevenlabs_with, deep: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_another")
    elevenlabs_with().speak(LINE, deep, Emotion.NEUTRAL)
    assert {request.headers["xi-api-key"] for request in service.requests} == {KEY}


@pytest.mark.parametrize(
    "change",
    [
        {"voices": {"Bruno": HIGH_VOICE}},
        {"model": "eleven_v3"},
    ],
    ids=["voice", "model"],
)
def test_the_key_follows_voice_and_model_but_not_the_account(
    elevenlabs_with, deep: Character, change: dict[str, object]
) -> None:
    plain = elevenlabs_with().key(LINE, deep, Emotion.NEUTRAL)
    assert elevenlabs_with(**change).key(LINE, deep, Emotion.NEUTRAL) != plain
    other_account = elevenlabs_with(api_key=SecretStr("sk_other"), base_url="", concurrency=9)
    assert other_account.key(LINE, deep, Emotion.NEUTRAL) == plain


def test_the_greatest_cost_is_known_without_asking() -> None:
    config = VoicesConfig(provider="elevenlabs")
    lines = tuple(
        Line(index=n, character="Bruno", text=text, emotion=Emotion.NEUTRAL)
        for n, text in enumerate(("x" * 250, "y" * 150, "zz 😂 zz", "w" * 95), 1)
    )
    prices = load_prices()
    cost = costs.greatest_cost_of_voices(config, Script(lines=lines), prices)
    assert (cost.usd, cost.chars) == (pytest.approx(0.15), 500)
    assert costs.greatest_cost_of_voices(VoicesConfig(), Script(lines=lines), prices).usd == 0
    assert costs.DEFAULT_MODEL in prices.voices


def test_the_cost_of_an_answer_is_never_less_than_its_characters() -> None:
    config = VoicesConfig(provider="elevenlabs")
    speech = Speech(np.zeros(1, np.float32), 48_000, (), (), chars_billed=500)
    cost = costs.cost_of_speech(config, "x" * 1000, speech, load_prices())
    assert (cost.usd, cost.chars) == (pytest.approx(0.30), 500)


def test_only_the_provider_that_is_asked_for_is_loaded() -> None:
    code = (
        "import sys\n"
        "from pipeline.config import VoicesConfig\n"
        "from pipeline.providers import factory\n"
        "from pipeline.providers.voices import costs\n"
        "assert 'elevenlabs' not in sys.modules and 'httpx' not in sys.modules\n"
        "factory.voice(VoicesConfig())\n"
        "assert 'elevenlabs' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, env=os.environ).returncode == 0


def test_the_factory_makes_it(service: Elevenlabs) -> None:
    config = VoicesConfig(provider="elevenlabs", api_key=SecretStr(KEY), base_url=service.url)
    voice = factory.voice(config)
    assert (voice.name, voice.parallel) == ("elevenlabs", 4)
    voice.close()
