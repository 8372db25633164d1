"""The sound of a reel: lines placed on the timeline, mastered to the loudness platforms expect."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ProviderError, UserError
from pipeline.reel import ffmpeg
from pipeline.sections import SpokenLine, Voices

RATE = 48_000
TARGET_LUFS = -14.0
HIGHEST_PEAK_DBTP = -1.0
SILENCE_DB = -50.0
FADE_S = 0.006  # a cut inside a wave would click
TRIES = 5
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Loudness:
    """What a listener measures: integrated loudness, true peak, longest silence."""

    lufs: float
    peak_dbtp: float
    longest_silence_s: float


def read(path: Path) -> Samples:
    """Decode any audio file to mono samples at RATE."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    frames += resampler.resample(None)
    parts = [frame.to_ndarray()[0] for frame in frames]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def mix(voices: Voices, folder: Path) -> Samples:
    """Place every line at its start time; lines are brought to one level first."""
    mixed = np.zeros(round(voices.total_duration * RATE), np.float32)
    for line in voices.lines:
        samples = _faded(_levelled(_spoken(line, folder)))
        start = round(line.start_time * RATE)
        end = min(start + samples.size, mixed.size)
        mixed[start:end] += samples[: max(end - start, 0)]
    return mixed


def _spoken(line: SpokenLine, folder: Path) -> Samples:
    """The samples of a line; UserError when its file is missing, broken, empty or silent."""
    path = folder / line.audio_file
    again = "Make the voices of this episode again."
    if not path.is_file():
        raise UserError(f"The audio of line {line.index}, {line.audio_file}, is missing. {again}")
    try:
        samples = read(path)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UserError(
            f"The audio of line {line.index}, {line.audio_file}, cannot be read. {again}"
        ) from error
    if samples.size < RATE // 20 or float(np.abs(samples).max()) < 0.001:
        raise UserError(f"The audio of line {line.index}, {line.audio_file}, is silent. {again}")
    return samples


def _levelled(samples: Samples) -> Samples:
    """Scale so that the loud half of the line has the same level in every line."""
    blocks = samples[: samples.size // 960 * 960].reshape(-1, 960)
    power = np.sort(np.square(blocks).mean(axis=1))
    level = math.sqrt(float(power[power.size // 2 :].mean()))
    return samples * np.float32(0.1 / max(level, 1e-4))


def _faded(samples: Samples) -> Samples:
    count = min(round(FADE_S * RATE), samples.size // 2)
    ramp = np.linspace(0, 1, count, dtype=np.float32)
    faded = samples.copy()
    faded[:count] *= ramp
    faded[samples.size - count :] *= ramp[::-1]
    return faded


def bounce(samples: Samples, *, frames: int, fps: int) -> NDArray[np.float64]:
    """How loud the voice is at each frame, 0 to 1: quick to rise, slow to fall."""
    edges = np.linspace(0, frames * RATE / fps, frames + 1).astype(int)
    padded = np.pad(samples, (0, max(0, int(edges[-1]) - samples.size)))
    power = np.add.reduceat(np.square(padded, dtype=np.float64), edges[:-1]) / np.diff(edges)
    level = np.clip(np.sqrt(power) / 0.16, 0, 1)
    for frame in range(1, frames):
        level[frame] = max(level[frame], level[frame - 1] * 0.72)
    return level


def master(samples: Samples, path: Path) -> Loudness:
    """Encode as AAC at TARGET_LUFS; measured on the encoded file, as the codec moves peaks.

    The gain is linear; a limiter at four times the rate holds the true peaks that remain.
    """
    gain, ceiling = TARGET_LUFS - _measure_samples(samples).lufs, HIGHEST_PEAK_DBTP - 1.0
    for _ in range(TRIES):
        _encode(samples, path, gain_db=gain, ceiling_db=ceiling)
        heard = measure(path)
        too_high = heard.peak_dbtp - HIGHEST_PEAK_DBTP
        off = TARGET_LUFS - heard.lufs
        if too_high <= 0 and abs(off) <= 0.3:
            return heard
        gain += off
        ceiling -= max(0.0, too_high + 0.1)
    raise ProviderError(
        "sound",
        f"the mix came out at {heard.lufs:.1f} LUFS with a peak of {heard.peak_dbtp:.1f} dBTP "
        f"instead of {TARGET_LUFS:.0f} and at most {HIGHEST_PEAK_DBTP:.0f}",
    )


RAW = ("-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-")
BOTH_SIDES = "pan=stereo|c0=c0|c1=c0"  # ffmpeg's own way to stereo takes 3 dB off
METER = f"silencedetect=noise={SILENCE_DB}dB:duration=0.1,ebur128=peak=true:framelog=quiet"


def _encode(samples: Samples, path: Path, *, gain_db: float, ceiling_db: float) -> None:
    limiter = f"alimiter=limit={ceiling_db:.2f}dB:attack=4:release=60:level=0:latency=1"
    chain = f"{BOTH_SIDES},volume={gain_db:.2f}dB,aresample={4 * RATE},{limiter},aresample={RATE}"
    ffmpeg.call(
        "mastering the sound",
        [
            *RAW,
            "-af",
            chain,
            "-ac",
            "2",
            "-c:a",
            "aac",
            "-b:a",
            "128k",
            "-ar",
            str(RATE),
            str(path),
        ],
        feed=samples.tobytes(),
    )


def _measure_samples(samples: Samples) -> Loudness:
    arguments = [*RAW, "-af", f"{BOTH_SIDES},{METER}", "-f", "null", "-"]
    return _read_meter(ffmpeg.call("measuring the sound", arguments, feed=samples.tobytes()))


def measure(path: Path) -> Loudness:
    """Measure the sound of a file (EBU R 128); a file without sound raises ProviderError."""
    arguments = ["-i", str(path), "-map", "0:a:0", "-af", METER, "-f", "null", "-"]
    return _read_meter(ffmpeg.call("measuring the sound", arguments))


def _read_meter(log: str) -> Loudness:
    summary = log[log.rfind("Summary:") :]
    numbers = {
        name: re.search(rf"{name}:\s+(-?[\d.]+|-inf|nan)", summary) for name in ("I", "Peak")
    }
    lufs, peak = (float(found[1]) if found else -math.inf for found in numbers.values())
    silences = re.findall(r"silence_duration: ([\d.]+)", log)
    return Loudness(lufs, peak, max(map(float, silences), default=0.0))
