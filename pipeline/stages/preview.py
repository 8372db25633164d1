"""From the reel to a file small enough for the server's upload limit."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.context import StageContext
from pipeline.errors import ProviderError
from pipeline.facts import PreviewLimit
from pipeline.reel import ffmpeg, probe
from pipeline.sections import Preview, Video

MARGIN = 0.97  # the message around the file counts as well
TRIES = 5


@dataclass(frozen=True)
class Rung:
    """A quality to try: it is taken when at least `least` bits a second are there in all."""

    least: int
    width: int
    height: int
    fps: int
    audio: int
    """Bits a second; below 32 kbit/s the sound becomes mono at a low rate."""


LADDER = (
    Rung(2_500_000, 1080, 1920, 30, 128_000),
    Rung(1_000_000, 720, 1280, 30, 96_000),
    Rung(500_000, 540, 960, 30, 64_000),
    Rung(200_000, 360, 640, 24, 32_000),
    Rung(70_000, 270, 480, 12, 16_000),
    Rung(0, 108, 192, 5, 8_000),
)


def run(video: Video, limit: PreviewLimit, *, ctx: StageContext) -> Preview:
    """The reel itself when it fits, else a copy made to fit, named after its limit."""
    reel = ctx.revision_folder / video.reel
    facts = probe.probe(reel)
    room = int(limit.bytes * MARGIN)
    if facts.size_bytes <= room:
        ctx.report(1.0, "the reel fits as it is")
        return _section(video, video.reel, facts.size_bytes, is_reel=True)
    small = ctx.folder / f"preview-{limit.bytes}.mp4"
    _shrink(reel, small, room=room, duration_s=facts.duration_s, ctx=ctx)
    ctx.report(1.0, "preview finished")
    return _section(video, small.name, small.stat().st_size, is_reel=False)


def _shrink(reel: Path, small: Path, *, room: int, duration_s: float, ctx: StageContext) -> None:
    """Encode at the computed rate, measure, and lower the rate until the file fits."""
    draft = ctx.folder / f"unchecked-{small.name}"
    rate = room * 8 / duration_s * 0.97
    try:
        for number in range(TRIES):
            ctx.report(number / TRIES, "encoding a preview that fits")
            _encode(reel, draft, rate=rate, ctx=ctx)
            size = draft.stat().st_size
            if size <= room:
                probe.probe(draft)
                draft.replace(small)
                return
            rate *= room / size * 0.96
    finally:
        draft.unlink(missing_ok=True)
    raise ProviderError("preview", f"no preview of {duration_s:.0f} s fits into {room} bytes")


def rung(rate: float) -> Rung:
    """The best quality for a total of `rate` bits a second."""
    return next(rung for rung in LADDER if rate >= rung.least)


def _encode(reel: Path, path: Path, *, rate: float, ctx: StageContext) -> None:
    chosen = rung(rate)
    picture = max(round(rate - chosen.audio), 3_000)
    with tempfile.TemporaryDirectory(dir=ctx.folder, prefix="passes-") as passes:
        common = [
            *("-i", str(reel), "-vf", f"scale={chosen.width}:{chosen.height}:flags=lanczos"),
            *("-r", str(chosen.fps), "-c:v", "libx264", "-preset", "veryfast", "-g", "300"),
            *("-b:v", str(picture), "-passlogfile", str(Path(passes) / "x264")),
        ]
        ctx.check_cancelled()
        ffmpeg.call("measuring the preview", [*common, "-pass", "1", "-an", "-f", "null", "-"])
        ctx.check_cancelled()
        sound = ["-c:a", "aac", "-b:a", str(chosen.audio), *_sound_rate(chosen.audio)]
        finish = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
        ffmpeg.call("encoding the preview", [*common, "-pass", "2", *sound, *finish])


def _sound_rate(audio: int) -> tuple[str, ...]:
    # AAC sounds better with fewer samples than with too few bits for each.
    if audio >= 64_000:
        return ()
    return ("-ac", "1", "-ar", "24000" if audio >= 32_000 else "8000")


def _section(video: Video, path: str, size_bytes: int, *, is_reel: bool) -> Preview:
    return Preview(episode=video.episode, path=path, size_bytes=size_bytes, is_reel=is_reel)
