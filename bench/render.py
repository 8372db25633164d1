"""Our reel against its limit (the same frames encoded from memory) and moviepy's layers."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.reel import captions, encoder, ffmpeg, pictures
from pipeline.reel.scene import Scene, Shot
from pipeline.reel.sprites import HEIGHT, WIDTH, Frame
from pipeline.sections import Emotion, SpokenLine, Word
from pipeline.shows import Show, load_show

SECONDS, FPS = 6, 30
WORDS = ("How", "fast", "can", "a", "talking", "cartoon", "be", "painted")


async def measure() -> dict[str, float]:
    """`cold_over_limit` and `moviepy_over_cold` are times over times of one run."""
    show = load_show("butcher_and_nutsy")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures.paint_library(show, folder)
        sound = folder / "sound.m4a"
        ffmpeg.call(
            "making the sound",
            ["-f", "lavfi", "-i", "sine=220:sample_rate=48000", "-t", str(SECONDS), str(sound)],
        )
        painted = _scene(show, folder)
        raw = b"".join(_yuv420p(painted.paint(n)) for n in range(SECONDS * FPS))
        limit = _timed(lambda: _encode_only(raw, folder / "limit.mp4"))
        cold = _timed(lambda: _ours(_scene(show, folder), sound, folder / "ours.mp4"))
        layers = _timed(lambda: _moviepy(show, folder, folder / "layers.mp4"))
    return {
        "cold_over_limit": cold / limit,
        "moviepy_over_cold": layers / cold,
        "cold_s_per_video_s": cold / SECONDS,
    }


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _scene(show: Show, folder: Path) -> Scene:
    every = SECONDS / len(WORDS)
    words = tuple(Word(text=w, start=n * every, end=(n + 1) * every) for n, w in enumerate(WORDS))
    speaker, listener = show.characters
    line = SpokenLine(
        index=1,
        character=speaker.name,
        text=" ".join(WORDS),
        emotion=Emotion.HAPPY,
        audio_file="audio/001.wav",
        start_time=0,
        duration=SECONDS,
        end_time=SECONDS,
        words=words,
        sha256="0" * 64,
        sample_rate=48000,
    )
    shot = Shot(
        index=1,
        picture=folder / speaker.name.lower() / "happy" / "1.png",
        side=-1,
        listener=folder / listener.name.lower() / "neutral" / "1.png",
        first=0,
        end=SECONDS * FPS,
        cards=tuple(
            captions.cards(line, first=0, end=SECONDS * FPS, fps=FPS, colour=speaker.colour)
        ),
    )
    levels = (1 + np.sin(np.arange(SECONDS * FPS) / 3)) / 2
    return Scene(
        shots=[shot],
        backdrop=pictures.background(show, next(iter(show.backgrounds))),
        levels=levels,
    )


def _ours(scene: Scene, sound: Path, path: Path) -> None:
    encoder.encode(scene.paint, frames=SECONDS * FPS, fps=FPS, sound=sound, path=path)


def _encode_only(raw: bytes, path: Path) -> None:
    size = ["-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS)]
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", *size, "-i", "-"]
    command = ["-c:v", "libx264", "-preset", "veryfast", *encoder.PICTURE[2:], *encoder.FILE]
    subprocess.run(
        [ffmpeg.binary(), "-y", *source, *command, str(path)],
        input=raw,
        check=True,
        capture_output=True,
    )


def _yuv420p(frame: Frame) -> bytes:
    planes = Image.fromarray(frame).convert("YCbCr")
    y, cb, cr = planes.split()
    half = (WIDTH // 2, HEIGHT // 2)
    return y.tobytes() + cb.resize(half).tobytes() + cr.resize(half).tobytes()


def _moviepy(show: Show, folder: Path, path: Path) -> None:
    """The same content as moviepy's documentation composes it: layers and text clips."""
    from moviepy import CompositeVideoClip, ImageClip, TextClip

    backdrop = ImageClip(pictures.background(show, next(iter(show.backgrounds))))
    figure = ImageClip(str(folder / show.characters[0].name.lower() / "happy" / "1.png"))
    font = str(Path(captions.__file__).parent / "fonts" / "LuckiestGuy.ttf")
    every = SECONDS / len(WORDS)
    texts = [
        TextClip(font, text=word, font_size=90, color="white", stroke_color="black", stroke_width=6)
        .with_start(n * every)
        .with_duration(every)
        .with_position(("center", 400))
        for n, word in enumerate(WORDS)
    ]
    moving = figure.with_position(lambda t: (40, 500 + 10 * np.sin(10 * t)))
    clip = CompositeVideoClip([backdrop, moving, *texts], size=(WIDTH, HEIGHT))
    clip.with_duration(SECONDS).write_videofile(
        str(path), fps=FPS, codec="libx264", preset="veryfast", logger=None
    )
