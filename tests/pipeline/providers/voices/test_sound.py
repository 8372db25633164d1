import numpy as np
import pytest

from pipeline.providers.voices import sound


def tone(hertz: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> sound.Samples:
    return (level * np.sin(2 * np.pi * hertz * np.arange(rate * seconds) / rate)).astype(np.float32)


@pytest.mark.parametrize("tape", [0.62, 0.84, 1.0, 1.45, 1.508])
def test_tape_moves_a_tone_and_adds_nothing_else(tape: float) -> None:
    played = sound.resample(tone(1000, 24_000), 48_000 / (24_000 * tape))
    middle = played[4800:-4800] * np.hanning(played.size - 9600)
    spectrum = np.abs(np.fft.rfft(middle)) ** 2
    peak = int(spectrum.argmax())
    assert peak * 48_000 / middle.size == pytest.approx(1000 * tape, rel=0.005)
    assert spectrum[: peak - 30].sum() + spectrum[peak + 30 :].sum() < 1e-6 * spectrum.sum()


def test_resampling_down_removes_what_would_fold_back() -> None:
    assert np.abs(sound.resample(tone(9000, 24_000), 0.5)[1200:-1200]).max() < 1e-3


def test_resampling_keeps_the_duration() -> None:
    assert sound.resample(np.zeros(24_000, np.float32), 2 / 1.45).size == round(48_000 / 1.45)


def test_a_full_scale_sine_at_997_hz_measures_minus_3_lufs() -> None:
    # The calibration signal of BS.1770: -3.01 LKFS for one channel.
    loudness = sound.loudness(tone(997, 48_000, 3, level=1.0), 48_000)
    assert loudness == pytest.approx(-3.01, abs=0.05)


def test_low_rumble_counts_less_than_the_middle() -> None:
    low, middle = (sound.loudness(tone(hertz, 48_000), 48_000) for hertz in (40, 1000))
    assert low < middle - 5


def test_silence_between_words_does_not_make_a_line_quieter() -> None:
    speech = tone(500, 48_000)
    gap = np.zeros(48_000, np.float32)
    with_gap = sound.loudness(np.concatenate([speech, gap, speech]), 48_000)
    assert with_gap == pytest.approx(sound.loudness(speech, 48_000), abs=1.0)


def test_silence_has_no_loudness_and_no_span() -> None:
    silence = np.zeros(48_000, np.float32)
    assert sound.loudness(silence, 48_000) == -np.inf
    assert sound.span(sound.is_sound(silence, 48_000)) is None


def test_the_span_of_a_tone_is_found_to_a_frame() -> None:
    quiet = np.zeros(4800, np.float32)
    heard = sound.is_sound(np.concatenate([quiet, tone(500, 48_000), quiet]), 48_000)
    assert sound.span(heard) == pytest.approx((0.1, 1.1), abs=0.011)
    assert sound.last_sound(heard, 0.5, 1.2) == pytest.approx(1.1, abs=0.011)
    assert sound.last_sound(heard, 1.15, 1.2) == 1.15


def test_fades_start_and_end_at_zero_and_leave_the_middle() -> None:
    ones = np.ones(4800, np.float32)
    faded = sound.faded(ones, 48_000, 0.005, 0.02)
    assert faded[0] == faded[-1] == 0
    assert np.array_equal(faded[240:3840], ones[240:3840])
    assert np.array_equal(ones, np.ones(4800))
