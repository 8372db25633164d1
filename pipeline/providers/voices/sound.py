"""Samples: resampling, where the sound is, loudness, fades. Mono float32 throughout."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRAME_S = 0.01
QUIET_DB = -38.0
"""Relative to the loud parts of a line; below it lie breath and the model's noise floor."""


def resample(samples: Samples, factor: float) -> Samples:
    """Stretch to `factor` times as many samples, band-limited, so that nothing folds back.

    The spectrum is cut or padded as a whole: an ideal low-pass. Zeros at the end keep the
    transform's wrap-around away from the sound.
    """
    ratio = Fraction(factor).limit_denominator(1000)
    blocks = math.ceil((samples.size + 2048) / ratio.denominator)
    size, new_size = blocks * ratio.denominator, blocks * ratio.numerator
    spectrum = np.fft.rfft(samples.astype(np.float64), size)
    stretched = np.fft.irfft(spectrum[: new_size // 2 + 1], new_size) * (new_size / size)
    return stretched[: round(samples.size * ratio)].astype(np.float32)


def envelope(samples: Samples, rate: int) -> NDArray[np.float64]:
    """Root mean square of every frame of `FRAME_S`."""
    frame = round(rate * FRAME_S)
    padded = np.pad(samples.astype(np.float64), (0, -samples.size % frame))
    rms: NDArray[np.float64] = np.sqrt((padded.reshape(-1, frame) ** 2).mean(axis=1))
    return rms


def is_sound(samples: Samples, rate: int) -> NDArray[np.bool_]:
    """Per frame, whether it is louder than `QUIET_DB` below the loud parts."""
    rms = envelope(samples, rate)
    loud = float(np.percentile(rms, 95)) if rms.size else 0.0
    heard: NDArray[np.bool_] = rms > max(loud * 10 ** (QUIET_DB / 20), 1e-5)
    return heard


def last_sound(heard: NDArray[np.bool_], start: float, end: float) -> float:
    """Where the sound between two times ends; `start` when there is none."""
    first = int(start / FRAME_S)
    frames = np.flatnonzero(heard[first : math.ceil(end / FRAME_S)])
    return min((first + int(frames[-1]) + 1) * FRAME_S, end) if frames.size else start


def span(heard: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Where the sound starts and ends, in seconds; None for silence."""
    frames = np.flatnonzero(heard)
    if not frames.size:
        return None
    return int(frames[0]) * FRAME_S, (int(frames[-1]) + 1) * FRAME_S


def faded(samples: Samples, rate: int, fade_in_s: float, fade_out_s: float) -> Samples:
    """A copy whose ends rise from and fall to zero, so that a cut does not click."""
    out = samples.copy()
    first = min(round(rate * fade_in_s), out.size // 2)
    last = min(round(rate * fade_out_s), out.size // 2)
    out[:first] *= np.linspace(0, 1, first, endpoint=False, dtype=np.float32)
    out[out.size - last :] *= np.linspace(1, 0, last, dtype=np.float32)
    return out


def loudness(samples: Samples, rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-5: K-weighting, 400 ms blocks, both gates)."""
    block, hop = round(0.4 * rate), round(0.1 * rate)
    padded = np.pad(samples.astype(np.float64), (0, max(0, block - samples.size)))
    weighted = _k_weighted(padded, rate)
    squares = np.concatenate([[0.0], np.cumsum(weighted**2)])
    starts = np.arange(0, padded.size - block + 1, hop)
    power = (squares[starts + block] - squares[starts]) / block
    audible = power[_lufs(power) > -70]
    if not audible.size:
        return -math.inf
    gated = audible[_lufs(audible) > float(_lufs(audible.mean())) - 10]
    return float(_lufs(gated.mean()))


def _lufs(power: NDArray[np.float64] | np.floating) -> NDArray[np.float64]:
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(power, 1e-12)))


def _k_weighted(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Both filters of BS.1770 as one frequency response (its table's poles, warped to `rate`)."""
    size = samples.size + rate // 10  # room for the filters to ring out
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = _shelf(z, rate) * _high_pass(z, rate)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: samples.size]


def _shelf(z: NDArray[np.complex128], rate: int) -> NDArray[np.complex128]:
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    top = (
        high + band * k / q + k * k,
        2 * (k * k - high),
        high - band * k / q + k * k,
    )
    return _biquad(z, top, k, q)


def _high_pass(z: NDArray[np.complex128], rate: int) -> NDArray[np.complex128]:
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    gain = 1 + k / q + k * k  # the standard's numerator is 1, -2, 1 as it stands
    return _biquad(z, (gain, -2 * gain, gain), k, q)


def _biquad(
    z: NDArray[np.complex128], top: tuple[float, float, float], k: float, q: float
) -> NDArray[np.complex128]:
    bottom = (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)
    response: NDArray[np.complex128] = (top[0] + top[1] * z + top[2] * z * z) / (
        bottom[0] + bottom[1] * z + bottom[2] * z * z
    )
    return response
