"""Holds for every provider; kept short, because Kokoro needs half a second per second."""

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.providers.base import Speech, Voice
from pipeline.providers.voices import sound
from pipeline.sections import Emotion
from pipeline.shows import Character

TEXT = "No. It cost $9.99, my friend 😂!"


@pytest.fixture(scope="module")
def speech(voice: Voice, deep: Character) -> Speech:
    return voice.speak(TEXT, deep, Emotion.NEUTRAL)


@pytest.fixture(scope="module")
def high_speech(voice: Voice, high: Character) -> Speech:
    return voice.speak(TEXT, high, Emotion.NEUTRAL)


def median_pitch(speech: Speech) -> float:
    """In Hz, by the first strong peak of the autocorrelation of 40 ms frames."""
    samples, rate = speech.samples[::3], speech.sample_rate // 3
    size, hop, low, high = rate // 25, rate // 100, rate // 500, rate // 60
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    frames = frames[frames.std(axis=1) > samples.std() / 2]
    power = np.abs(np.fft.rfft(frames - frames.mean(axis=1, keepdims=True), 2 * size)) ** 2
    similar = np.fft.irfft(power)[:, :size] / (1.001 - np.arange(size) / size)
    similar = (similar / similar[:, :1])[:, low:high]
    strong = similar > 0.9 * similar.max(axis=1, keepdims=True)
    voiced = similar.max(axis=1) > 0.6
    return float(np.median(rate / (low + strong.argmax(axis=1)[voiced])))


def test_the_sound_is_finite_and_never_clips(speech: Speech) -> None:
    assert speech.samples.dtype == np.float32
    assert np.isfinite(speech.samples).all()
    assert 0.05 < float(np.abs(speech.samples).max()) < 1.0
    assert speech.sample_rate == 48_000


def test_the_words_give_the_line_back_with_times_that_rise_inside_it(speech: Speech) -> None:
    assert " ".join(word.text for word in speech.words) == TEXT
    times = [time for word in speech.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(word.end > word.start for word in speech.words)
    assert times[0] >= 0
    assert times[-1] <= speech.samples.size / speech.sample_rate


def test_a_price_is_one_word_that_takes_its_time(speech: Speech) -> None:
    price = next(word for word in speech.words if word.text == "$9.99,")
    assert price.end - price.start > 0.8


def test_the_phonemes_rise_and_stand_on_sound(speech: Speech) -> None:
    times = [time for p in speech.phonemes for time in (p.start, p.end)]
    assert times == sorted(times)
    heard = sound.is_sound(speech.samples, speech.sample_rate)
    middles = [round((p.start + p.end) / 2 / sound.FRAME_S) for p in speech.phonemes]
    assert np.mean([heard[min(n, heard.size - 1)] for n in middles]) > 0.85


def test_a_full_stop_is_heard_as_a_pause_but_never_as_a_hole(speech: Speech) -> None:
    heard = sound.is_sound(speech.samples, speech.sample_rate)
    edges = np.flatnonzero(np.diff(np.r_[True, heard, True].astype(int)))
    longest = max(np.diff(edges)[::2], default=0) * sound.FRAME_S
    assert 0.25 < longest < 1.0


def test_the_next_word_starts_after_the_pause(speech: Speech) -> None:
    heard = sound.is_sound(speech.samples, speech.sample_rate)
    start = speech.words[1].start
    assert not heard[round((start - 0.15) / sound.FRAME_S)]


def test_the_two_characters_are_far_apart(speech: Speech, high_speech: Speech) -> None:
    assert median_pitch(high_speech) / median_pitch(speech) > 1.7


def test_the_same_line_gives_the_same_samples(
    voice: Voice, speech: Speech, deep: Character
) -> None:
    again = voice.speak(TEXT, deep, Emotion.NEUTRAL)
    assert np.array_equal(again.samples, speech.samples)
    assert again.words == speech.words


def test_an_excited_line_is_said_faster(voice: Voice, speech: Speech, deep: Character) -> None:
    excited = voice.speak(TEXT, deep, Emotion.EXCITED)
    assert excited.samples.size < speech.samples.size


def test_the_key_is_a_hash_that_ignores_spacing(voice: Voice, deep: Character) -> None:
    key = voice.key("Good  evening. ", deep, Emotion.NEUTRAL)
    assert len(key) == 64
    assert key == voice.key("Good evening.", deep, Emotion.NEUTRAL)


@pytest.mark.parametrize(
    ("text", "who", "emotion"),
    [
        ("Good morning.", "deep", Emotion.NEUTRAL),
        ("Good evening.", "high", Emotion.NEUTRAL),
        ("Good evening.", "deep", Emotion.ANGRY),
    ],
)
def test_the_key_follows_what_is_heard(
    voice: Voice, request: pytest.FixtureRequest, text: str, who: str, emotion: Emotion
) -> None:
    plain = voice.key("Good evening.", request.getfixturevalue("deep"), Emotion.NEUTRAL)
    assert voice.key(text, request.getfixturevalue(who), emotion) != plain


@pytest.mark.parametrize("text", ["😂 ... !", "\u200b", "<>"])
def test_what_has_nothing_to_say_is_a_sentence(voice: Voice, deep: Character, text: str) -> None:
    with pytest.raises(UserError, match="nothing to say"):
        voice.speak(text, deep, Emotion.NEUTRAL)
