from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from standins.elevenlabs import DEEP_VOICE, HIGH_VOICE, Elevenlabs

from pipeline.config import VoicesConfig
from pipeline.providers.base import Voice
from pipeline.providers.voices.elevenlabs import ElevenLabsVoice
from pipeline.providers.voices.hibari import Hibari
from pipeline.providers.voices.kokoro import Kokoro
from pipeline.providers.voices.offline import OfflineVoice
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.sections import Emotion
from pipeline.shows import Character, ElevenLabsSettings, ElevenLabsStyle, VoiceStyle

DEEP = VoiceStyle(
    blend={"am_onyx": 0.5, "ff_siwis": 0.5},
    speed=1.08,
    tape=0.84,
    accent="french",
    fallback_speed=1.15,
    fallback_tape=0.62,
)
HIGH = VoiceStyle(blend={"af_nova": 1.0}, speed=0.84, tape=1.45, fallback_tape=1.35)


MakeVoice = Callable[..., ElevenLabsVoice]

EMOTIONS = {
    Emotion.EXCITED: ElevenLabsSettings(speed=1.15),
    Emotion.ANGRY: ElevenLabsSettings(stability=0.2, use_speaker_boost=False),
}


def character(name: str, style: VoiceStyle, voice: str) -> Character:
    return Character(
        name=name,
        role="dry",
        species="cat",
        persona="Says little.",
        colour="#336699",
        rig="cat.svg",
        voice=style,
        elevenlabs=ElevenLabsStyle(voice=voice, emotions=EMOTIONS),
    )


@pytest.fixture(scope="session")
def deep() -> Character:
    return character("Bruno", DEEP, DEEP_VOICE)


@pytest.fixture(scope="session")
def high() -> Character:
    return character("Pip", HIGH, HIGH_VOICE)


@pytest.fixture(scope="session")
def phonemiser() -> Phonemiser:
    return Phonemiser()


@pytest.fixture(scope="session", params=["kokoro", "hibari", "elevenlabs"])
def voice(request: pytest.FixtureRequest, phonemiser: Phonemiser) -> Iterator[Voice]:
    """Every provider in turn."""
    match request.param:
        case "kokoro":
            yield OfflineVoice(Kokoro(), phonemiser)
        case "hibari":
            yield OfflineVoice(Hibari(), phonemiser)
        case _:
            with Elevenlabs() as service:
                voice = ElevenLabsVoice(config_for(service), phonemiser)
                yield voice
                voice.close()


def config_for(service: Elevenlabs, **changes: object) -> VoicesConfig:
    config = VoicesConfig(
        provider="elevenlabs", api_key=SecretStr(service.key), base_url=service.url
    )
    return config.model_copy(update=changes)


@pytest.fixture
def service() -> Iterator[Elevenlabs]:
    with Elevenlabs() as service:
        yield service


@pytest.fixture
def elevenlabs(service: Elevenlabs, phonemiser: Phonemiser) -> Iterator[ElevenLabsVoice]:
    voice = ElevenLabsVoice(config_for(service), phonemiser)
    yield voice
    voice.close()


@pytest.fixture
def elevenlabs_with(service: Elevenlabs, phonemiser: Phonemiser) -> Iterator[MakeVoice]:
    """Makes voices with other settings."""
    with ExitStack() as stack:

        def make(*, timeout_s: float = 10.0, **changes: object) -> ElevenLabsVoice:
            config = config_for(service, **changes)
            voice = ElevenLabsVoice(config, phonemiser, timeout_s=timeout_s)
            stack.callback(voice.close)
            return voice

        yield make


@pytest.fixture
def empty_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that is installed but holds the wrong weights."""
    (tmp_path / "damaged_weights").mkdir()
    (tmp_path / "damaged_weights" / "part.bin").write_bytes(b"not a model")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "damaged_weights"
