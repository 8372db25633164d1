"""What a finished reel really is, read from the file; needs neither moviepy nor the stages."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av

from pipeline.errors import UserError
from pipeline.reel import ffmpeg, sound
from pipeline.reel.sprites import HEIGHT, WIDTH

CONTAINERS = {b"moov", b"trak", b"edts"}
SHORTEST_S, LONGEST_S = 3.0, 90.0  # what the Reels tab shows
LARGEST_BYTES = 100 * 1024 * 1024
LONGEST_SILENCE_S = 1.5


@dataclass(frozen=True)
class ReelFacts:
    """The facts of one MP4; audio fields are empty or -inf when there is no sound."""

    size_bytes: int
    duration_s: float
    width: int
    height: int
    fps: float
    frames: int
    video_codec: str
    pixel_format: str
    audio_codec: str
    sample_rate: int
    channels: int
    moov_first: bool
    edit_list: bool
    loudness_lufs: float
    peak_dbtp: float
    longest_silence_s: float


@dataclass(frozen=True)
class Playback:
    """What decoding every frame showed."""

    frames: int
    black_frames: int
    complaints: tuple[str, ...]


def probe(path: Path) -> ReelFacts:
    """Read the facts of an MP4 file; UserError when it is not one. Takes well under a second."""
    try:
        return _facts(path)
    except (av.FFmpegError, struct.error, IndexError, OSError) as error:
        raise UserError(f"{path.name} is not a video that can be read. Make it again.") from error


def _facts(path: Path) -> ReelFacts:
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        audio = container.streams.audio[0] if container.streams.audio else None
        rate = float(picture.base_rate or 0)
        duration = float((picture.duration or 0) * (picture.time_base or 0))
        heard = sound.measure(path) if audio else sound.Loudness(-math.inf, -math.inf, duration)
        boxes = list(_boxes(path))
        return ReelFacts(
            size_bytes=path.stat().st_size,
            duration_s=duration,
            width=picture.width,
            height=picture.height,
            fps=rate,
            frames=picture.frames,
            video_codec=picture.codec_context.name,
            pixel_format=picture.pix_fmt or "",
            audio_codec=audio.codec_context.name if audio else "",
            sample_rate=audio.sample_rate if audio else 0,
            channels=audio.channels if audio else 0,
            moov_first=boxes.index("moov") < boxes.index("mdat") if "mdat" in boxes else False,
            edit_list="elst" in boxes,
            loudness_lufs=heard.lufs,
            peak_dbtp=heard.peak_dbtp,
            longest_silence_s=heard.longest_silence_s,
        )


def _boxes(path: Path) -> Iterator[str]:
    """Names of the MP4 boxes in the order of the file, those inside moov included."""
    with path.open("rb") as file:
        yield from _boxes_until(file, path.stat().st_size)


def _boxes_until(file: BinaryIO, end: int) -> Iterator[str]:
    # ISO/IEC 14496-12: 32 bits of size, 4 letters; size 1: 64 bits follow, size 0: to the end.
    while file.tell() + 8 <= end:
        start = file.tell()
        size, name = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        stop = end if size == 0 else start + size
        if stop <= start:
            return
        yield name.decode("latin-1")
        if name in CONTAINERS:
            yield from _boxes_until(file, stop)
        file.seek(stop)


def play(path: Path) -> Playback:
    """Decode everything: black frames, and whatever the decoder complains about."""
    log = ffmpeg.call(
        "decoding the reel",
        [
            *("-loglevel", "repeat+level+info", "-i", str(path)),
            *("-vf", "scale=108:192:flags=area,blackframe=amount=98:threshold=28"),
            *("-progress", "pipe:2", "-f", "null", "-"),
        ],
    )
    complaints = re.findall(r"^.*\[(?:warning|error|fatal)\].*$", log, re.MULTILINE)
    frames = re.findall(r"^frame=\s*(\d+)", log, re.MULTILINE)
    return Playback(
        frames=int(frames[-1]) if frames else 0,
        black_frames=len(re.findall(r"\] frame:\d+ pblack:", log)),
        complaints=tuple(complaints),
    )


def faults(facts: ReelFacts) -> tuple[str, ...]:
    """Sentences about every rule that the file breaks; empty when it may go out."""
    rules = {
        f"The picture is {facts.width}x{facts.height}, not {WIDTH}x{HEIGHT}.": (
            (facts.width, facts.height) == (WIDTH, HEIGHT)
        ),
        f"It lasts {facts.duration_s:.1f} s; a reel lasts {SHORTEST_S:.0f} to {LONGEST_S:.0f} s.": (
            SHORTEST_S <= facts.duration_s <= LONGEST_S
        ),
        f"It has {facts.size_bytes / 1e6:.0f} MB; at most 100 go out.": (
            facts.size_bytes <= LARGEST_BYTES
        ),
        f"It shows {facts.fps:.1f} frames a second, not 23 to 60.": 23 <= facts.fps <= 60,
        f"The picture is {facts.video_codec} {facts.pixel_format}, not h264 yuv420p.": (
            (facts.video_codec, facts.pixel_format) == ("h264", "yuv420p")
        ),
        "The index of the file is not at its beginning.": facts.moov_first,
        "The file has an edit list.": not facts.edit_list,
    }
    return (*(text for text, kept in rules.items() if not kept), *_sound_faults(facts))


def _sound_faults(facts: ReelFacts) -> Iterator[str]:
    if not facts.audio_codec:
        yield "It has no sound."
        return
    if facts.audio_codec != "aac" or facts.sample_rate > 48_000 or facts.channels > 2:
        yield f"The sound is {facts.audio_codec} at {facts.sample_rate} Hz, not AAC at 48000."
    if abs(facts.loudness_lufs - sound.TARGET_LUFS) > 1:
        yield f"It is {facts.loudness_lufs:.1f} LUFS loud, not {sound.TARGET_LUFS:.0f} within 1."
    if facts.peak_dbtp > sound.HIGHEST_PEAK_DBTP:
        yield f"Its sound peaks at {facts.peak_dbtp:.1f} dBTP, above {sound.HIGHEST_PEAK_DBTP:.0f}."
    if facts.longest_silence_s > LONGEST_SILENCE_S:
        yield f"It is silent for {facts.longest_silence_s:.1f} s; at most {LONGEST_SILENCE_S} s."
