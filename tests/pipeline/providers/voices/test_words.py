"""Captions show the script's own words, whatever the reader makes of them."""

import numpy as np
import pytest

from pipeline.providers.base import Speech
from pipeline.providers.voices.engine import Recipe, Utterance
from pipeline.providers.voices.offline import OfflineVoice
from pipeline.providers.voices.phonemes import Phonemiser
from pipeline.sections import Emotion
from pipeline.shows import Character, VoiceStyle

TRICKY = [
    "It's 9:30am, y'all — don't panic!",
    "On 10/12/2019 it was rock-and-roll, 5 km away.",
    "May 5, 2024 cost $3.2 billion (more or less).",
    "50% off & more!!! #1 #monday @you",
    "It is 20°C… really… no?",
    "rock 'n' roll, rock'n'roll, rock’n’roll",
    "***wow*** [Pip](/xx/) said *nothing*",
    "{\\an8}hello {\\b1}world\\N again",
    "See http://example.com/a?b=1&c=2 or me@example.com now",
    "3-2 win, 7/11 open, 1/2 off, ½ price",
    "naïve café Zoë Straße jalapeño",
    "1234567890123456 reasons",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaargh",
    "- well - no -",
    '"Quote," he said. “And again,” she said.',
    "No. 5 is Dr. Smith's, e.g. St. Paul",
    "I’m ﬁne, 𝐇𝐞𝐥𝐥𝐨 ｆｕｌｌｗｉｄｔｈ",
    "Henry VIII and World War II",
    "call 555-1234 or 1-800-555-1234",
    "A.I. and AI and U.S.A. and NASA",
    "1 000 000 or 1,000,000 or 1.000.000",
    "😂 laughing 😂😂 all 👩‍👩‍👧 day 🏳️‍🌈",
    "wait... what?! no—yes",
    "-5 degrees, +3, 7-eleven, 24/7",
    "z\u0351\u036ba\u0363l\u0368g\u0321o cafe\u0301",
    "a \u200b b \u200d c",
    "two\u00a0words and\ttabs\nand lines",
    "¥500 £3.50 €5 5¢ $1.2m 4K iPhone 16",
    "x=5, y<3, 2+2=4",
    "O'Clock's y'all've shouldn't've 'tis",
    "The the the the the",
    "II II II III the 2nd of the 2nd",
    "007 0 00 1. 2. 3.",
    "™ © • ok ™",
    "WHAT ARE YOU DOING",
    "(parentheses) [brackets] {braces} <tags>",
    "'single' ''double'' `ticks`",
    "5km 5 km 20kg 20 kg 3hrs 3 hrs",
    "snake_case camelCase kebab-case",
    "٣ cats and ３ dogs",
]


class Ticking:
    """An engine whose every symbol lasts one to four units, after the models' long first pad."""

    name = "ticking"
    fingerprint = "1"

    def recipe(self, style: VoiceStyle) -> Recipe:
        return Recipe(style.speed, style.tape, style.accent)

    def synthesise(self, ids: list[int], style: VoiceStyle, speed: float) -> Utterance:
        units = (13, *(1 + 7 * n % 4 for n in ids[1:]))
        noise = np.random.default_rng(1).standard_normal(sum(units) * 600) * 0.1
        noise[: 11 * 600] = 0
        return Utterance(noise.astype(np.float32), units)


@pytest.fixture(scope="module")
def ticking(phonemiser: Phonemiser) -> OfflineVoice:
    return OfflineVoice(Ticking(), phonemiser)


def assert_words_fit(speech: Speech, text: str) -> None:
    assert " ".join(word.text for word in speech.words) == " ".join(text.split())
    edges = [edge for word in speech.words for edge in (word.start, word.end)]
    assert all(word.end - word.start > 0.002 for word in speech.words)
    assert np.all(np.diff(edges) > -1e-9)
    assert edges[0] >= 0
    assert edges[-1] <= speech.samples.size / speech.sample_rate


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_words_keep_their_spelling_and_get_times(
    ticking: OfflineVoice, high: Character, text: str
) -> None:
    assert_words_fit(ticking.speak(text, high, Emotion.NEUTRAL), text)


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_words_keeps_its_spelling(
    ticking: OfflineVoice, deep: Character, seed: int
) -> None:
    atoms = [word for text in TRICKY for word in text.split()]
    rng = np.random.default_rng(seed)
    for _ in range(10):
        text = "Ok " + " ".join(rng.choice(atoms, size=8))
        assert_words_fit(ticking.speak(text, deep, Emotion.HAPPY), text)


def test_no_gap_is_left_between_words(ticking: OfflineVoice, deep: Character) -> None:
    words = ticking.speak("Wait. I paid $5 😂 for 3 km.", deep, Emotion.SAD).words
    assert [word.start for word in words[1:]] == pytest.approx([w.end for w in words[:-1]])


def test_a_text_beyond_the_models_limit_is_said_in_parts(
    ticking: OfflineVoice, high: Character
) -> None:
    text = " ".join(["1234567"] * 34)
    assert_words_fit(ticking.speak(text, high, Emotion.NEUTRAL), text)


def test_the_accent_spares_the_characters_own_name(ticking: OfflineVoice, deep: Character) -> None:
    sounds = "".join(
        p.symbol for p in ticking.speak("bruno the brother", deep, Emotion.NEUTRAL).phonemes
    )
    assert sounds.startswith("bɹ")
    assert "ð" not in sounds
