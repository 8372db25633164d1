"""Sound files in memory to samples."""

from __future__ import annotations

import io

import av
import numpy as np

from pipeline.providers.voices.sound import Samples


def decoded(data: bytes, rate: int) -> Samples:
    """Mono samples at `rate`; ValueError when the bytes are no sound."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    try:
        with av.open(io.BytesIO(data), "r", format="mp3") as container:
            frames = [part for f in container.decode(audio=0) for part in resampler.resample(f)]
        frames += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError("these bytes are no MP3") from error
    parts = [frame.to_ndarray()[0] for frame in frames]
    if not sum(part.size for part in parts):
        raise ValueError("there is no sound in it")
    return np.concatenate(parts).astype(np.float32)
