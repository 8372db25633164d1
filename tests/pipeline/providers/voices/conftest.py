from pathlib import Path

import pytest

from pipeline.providers.voices.hibari import Hibari
from pipeline.providers.voices.kokoro import Kokoro
from pipeline.providers.voices.offline import OfflineVoice
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.shows import Character, VoiceStyle

DEEP = VoiceStyle(
    blend={"am_onyx": 0.5, "ff_siwis": 0.5},
    speed=1.08,
    tape=0.84,
    accent="french",
    fallback_speed=1.15,
    fallback_tape=0.62,
)
HIGH = VoiceStyle(blend={"af_nova": 1.0}, speed=0.84, tape=1.45, fallback_tape=1.35)


def character(name: str, style: VoiceStyle) -> Character:
    return Character(
        name=name,
        role="dry",
        species="cat",
        persona="Says little.",
        colour="#336699",
        rig="cat.svg",
        voice=style,
    )


@pytest.fixture(scope="session")
def deep() -> Character:
    return character("Bruno", DEEP)


@pytest.fixture(scope="session")
def high() -> Character:
    return character("Pip", HIGH)


@pytest.fixture(scope="session")
def phonemiser() -> Phonemiser:
    return Phonemiser()


@pytest.fixture(scope="session", params=[Kokoro, Hibari], ids=["kokoro", "hibari"])
def voice(request: pytest.FixtureRequest, phonemiser: Phonemiser) -> OfflineVoice:
    return OfflineVoice(request.param(), phonemiser)


@pytest.fixture
def empty_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that is installed but holds the wrong weights."""
    (tmp_path / "damaged_weights").mkdir()
    (tmp_path / "damaged_weights" / "part.bin").write_bytes(b"not a model")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "damaged_weights"
