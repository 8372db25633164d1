import hashlib

from toy_play import play

from pipeline.context import StageContext
from pipeline.sections import Images, Script, Video, Voices


def run(script: Script, voices: Voices, images: Images, *, ctx: StageContext) -> Video:
    play("video", ctx)
    reel = (ctx.revision_folder / "voices.txt").read_bytes()
    (ctx.folder / "reel.mp4").write_bytes(reel)
    digest = hashlib.sha256(reel).hexdigest()
    return Video(
        episode=ctx.episode,
        sha256=digest,
        cover_sha256=digest,
        size_bytes=len(reel),
        duration_s=20.0,
        width=1080,
        height=1920,
        fps=30.0,
        frames=600,
        loudness_lufs=-14.0,
        peak_dbtp=-1.5,
        longest_silence_s=0.5,
    )
