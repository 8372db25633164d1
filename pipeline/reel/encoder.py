"""Frames and sound into one MP4 that the platforms take: moviepy in front, ffmpeg behind.

moviepy composes nothing here: it calls one frame function and hands the frames to ffmpeg.
"""

import os
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ProviderError
from pipeline.reel.sprites import Frame

Paint = Callable[[int], Frame]

PICTURE = [
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"),
    *("-profile:v", "high", "-level", "4.2", "-crf", "20", "-bf", "0", "-g", "60"),
    *("-maxrate", "12M", "-bufsize", "24M"),
    *("-flags", "+cgop"),  # Instagram wants closed groups of pictures
    *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
]
# moov first and no edit list (Instagram); without B-frames nothing starts late for it.
FILE = ["-movflags", "+faststart", "-use_editlist", "0"]


def encode(paint: Paint, *, frames: int, fps: int, sound: Path, path: Path) -> None:
    """Write `frames` painted frames and a finished AAC file; on any error no file is left.

    An exception of `paint` ends ffmpeg and is passed on as it is.
    """
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"  # else moviepy reads the nearest .env on import
    from moviepy import VideoClip

    clip = VideoClip(lambda t: paint(min(round(t * fps), frames - 1)))
    # moviepy truncates duration * fps, and that product may fall just below the whole number.
    clip = clip.with_duration((frames + 0.5) / fps)
    try:
        clip.write_videofile(
            str(path),
            fps=fps,
            codec="libx264",
            preset="veryfast",
            audio=str(sound),
            audio_codec="copy",
            ffmpeg_params=[*PICTURE, *FILE],
            logger=None,
        )
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ProviderError("ffmpeg", f"writing the reel failed: {error}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        clip.close()
