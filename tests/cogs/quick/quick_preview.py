from pipeline.context import StageContext
from pipeline.facts import PreviewLimit
from pipeline.sections import Preview, Video


def run(video: Video, limit: PreviewLimit, *, ctx: StageContext) -> Preview:
    """As large as allowed, up to a megabyte."""
    size_bytes = min(limit.bytes, 1_000_000)
    (ctx.folder / "preview.mp4").write_bytes(b"p" * size_bytes)
    return Preview(episode=ctx.episode, path="preview.mp4", size_bytes=size_bytes, is_reel=False)
