import hashlib

from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.sections import Images, Script, Video, Voices


def run(script: Script, voices: Voices, images: Images, *, ctx: StageContext) -> Video:
    if (ctx.data_dir / "video fails").exists():
        raise UserError("The *pencil* broke.")
    reel = f"reel of episode {ctx.episode}, revision {ctx.revision}".encode()
    cover = b"\xff\xd8\xff cover"
    (ctx.folder / "reel.mp4").write_bytes(reel)
    (ctx.folder / "cover.jpg").write_bytes(cover)
    (ctx.folder / "storyboard.png").write_bytes(b"storyboard")
    return Video(
        episode=ctx.episode,
        sha256=hashlib.sha256(reel).hexdigest(),
        cover_sha256=hashlib.sha256(cover).hexdigest(),
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
