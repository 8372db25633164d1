import hashlib
import wave

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.reel import sound
from pipeline.sections import Emotion, SpokenLine, Voices


def tone(seconds: float, *, pitch=220.0, level=0.2, rate=24_000) -> np.ndarray:
    """Syllables of a buzzing tone: loudness as uneven as a voice's."""
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in (1, 2, 3, 5))
    return (level * buzz * (0.35 + 0.65 * np.abs(np.sin(2 * np.pi * 2.2 * t)))).astype(np.float32)


def write_wav(path, samples, rate=24_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def spoken(index: int, start: float, seconds: float) -> SpokenLine:
    return SpokenLine(
        index=index,
        character="Rex",
        text="Hm.",
        emotion=Emotion.HAPPY,
        audio_file=f"audio/{index:03}.wav",
        start_time=start,
        duration=seconds,
        end_time=start + seconds,
        words=(),
        sha256=hashlib.sha256(b"").hexdigest(),
        sample_rate=24_000,
    )


def voices(*lines: SpokenLine, total: float) -> Voices:
    return Voices(episode=1, provider="offline", lines=lines, total_duration=total)


@pytest.fixture
def two_lines(tmp_path) -> Voices:
    write_wav(tmp_path / "audio/001.wav", tone(1.5, level=0.3))
    write_wav(tmp_path / "audio/002.wav", tone(1.5, pitch=420, level=0.02))
    return voices(spoken(1, 0.5, 1.5), spoken(2, 2.25, 1.5), total=4.0)


def heard(samples: np.ndarray, start: float, end: float) -> float:
    part = samples[round(start * sound.RATE) : round(end * sound.RATE)]
    return float(np.sqrt(np.mean(np.square(part))))


def test_lines_sound_from_their_start_time_on(two_lines, tmp_path):
    mixed = sound.mix(two_lines, tmp_path)

    assert mixed.size == 4 * sound.RATE
    assert heard(mixed, 0, 0.5) == 0
    assert heard(mixed, 0.5, 2.0) > 0.03
    assert heard(mixed, 2.01, 2.24) < 0.001
    assert heard(mixed, 2.25, 3.75) > 0.03


def test_a_quiet_line_is_as_loud_as_the_other_in_the_mix(two_lines, tmp_path):
    mixed = sound.mix(two_lines, tmp_path)

    assert heard(mixed, 0.5, 2.0) == pytest.approx(heard(mixed, 2.25, 3.75), rel=0.1)


def test_a_line_begins_and_ends_without_a_click(two_lines, tmp_path):
    mixed = sound.mix(two_lines, tmp_path)
    start, end = round(0.5 * sound.RATE), round(2.0 * sound.RATE)

    assert np.abs(mixed[start : start + 10]).max() < 0.01
    assert np.abs(mixed[end - 10 : end]).max() < 0.01


@pytest.mark.parametrize("level", [0.5, 0.05, 0.004])
def test_the_encoded_sound_has_the_loudness_and_peak_that_platforms_expect(level, tmp_path):
    samples = np.repeat(tone(4, level=level), 2)  # 24 kHz to 48 kHz, roughly

    measured = sound.master(samples, tmp_path / "sound.m4a")

    assert measured == sound.measure(tmp_path / "sound.m4a")
    assert measured.lufs == pytest.approx(-14, abs=0.5)
    assert measured.peak_dbtp <= -1


def test_spiky_sound_is_limited_and_not_clipped(tmp_path):
    samples = np.repeat(tone(4, level=0.05), 2)
    samples[::6000] = 0.95

    measured = sound.master(samples, tmp_path / "sound.m4a")

    assert measured.lufs == pytest.approx(-14, abs=0.5)
    assert measured.peak_dbtp <= -1


def test_the_longest_silence_is_measured(tmp_path):
    path = tmp_path / "gap.wav"
    write_wav(path, np.concatenate([tone(1), np.zeros(48_000), tone(1)]))

    assert sound.measure(path).longest_silence_s == pytest.approx(2.0, abs=0.15)


def test_any_sample_rate_is_read_at_ours(tmp_path):
    write_wav(tmp_path / "a.wav", tone(1, rate=16_000), rate=16_000)

    assert sound.read(tmp_path / "a.wav").size == pytest.approx(sound.RATE, abs=50)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "is missing"),
        (b"", "cannot be read"),
        (b"RIFFnonsense that is no wave file", "cannot be read"),
    ],
)
def test_a_line_without_good_audio_is_a_sentence(two_lines, tmp_path, content, complaint):
    path = tmp_path / "audio/002.wav"
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UserError, match=f"line 2, audio/002.wav, {complaint}"):
        sound.mix(two_lines, tmp_path)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(24_000), tone(0.02)])
def test_a_line_that_cannot_be_heard_is_a_sentence(two_lines, tmp_path, samples):
    write_wav(tmp_path / "audio/001.wav", samples)

    with pytest.raises(UserError, match=r"line 1.*(is silent|cannot be read)"):
        sound.mix(two_lines, tmp_path)


def test_the_bounce_follows_the_voice(two_lines, tmp_path):
    levels = sound.bounce(sound.mix(two_lines, tmp_path), frames=120, fps=30)

    assert levels.shape == (120,)
    assert levels[:15].max() == 0
    assert levels[16:58].max() > 0.3
    assert levels.max() <= 1


def test_the_bounce_falls_gently(two_lines, tmp_path):
    levels = sound.bounce(sound.mix(two_lines, tmp_path), frames=120, fps=30)

    assert (levels[1:] >= levels[:-1] * 0.71).all()
