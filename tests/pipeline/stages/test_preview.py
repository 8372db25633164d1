import subprocess

import imageio_ffmpeg
import pytest

from pipeline.config import VideoConfig
from pipeline.context import CANCEL_FILE, PROGRESS_FILE, StageContext
from pipeline.errors import ProviderError, StageCancelled, UserError
from pipeline.facts import PreviewLimit
from pipeline.reel import probe
from pipeline.sections import Video
from pipeline.shows import Character, Show, VoiceStyle
from pipeline.stages import preview

SECONDS = 4


@pytest.fixture(scope="module")
def reel(tmp_path_factory):
    """Noise that is hard to encode, with sound: some 0.5 MB a second."""
    path = tmp_path_factory.mktemp("reel") / "reel.mp4"
    noise = f"testsrc2=s=360x640:r=30:d={SECONDS},noise=alls=19:allf=t"
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", noise),
            *("-f", "lavfi", "-i", f"sine=f=300:d={SECONDS}", "-c:v", "libx264", "-crf", "30"),
            *("-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)),
        ],
        check=True,
    )
    return path


@pytest.fixture
def ctx(tmp_path, reel) -> StageContext:
    (tmp_path / "rig.svg").write_text("<svg/>")
    folder = tmp_path / "attempt"
    folder.mkdir()
    pair = [
        Character(
            name=name,
            role=role,
            species="cat",
            persona="Naps.",
            colour="#22aa44",
            rig="rig.svg",
            voice=VoiceStyle(blend={"af_nova": 1}),
        )
        for name, role in (("Rex", "dry"), ("Mia", "wild"))
    ]
    tiny = Show(
        name="tiny",
        title="Tiny",
        premise="Two cats.",
        characters=pair,
        backgrounds={"rig.svg": ("default",)},
        folder=tmp_path,
    )
    return StageContext(
        episode=3,
        revision=1,
        folder=folder,
        revision_folder=reel.parent,
        data_dir=tmp_path,
        show=tiny,
        config=VideoConfig(),
    )


def video(reel: str = "reel.mp4") -> Video:
    return Video(
        episode=3,
        reel=reel,
        sha256="0" * 64,
        cover_sha256="0" * 64,
        size_bytes=1,
        duration_s=SECONDS,
        width=1080,
        height=1920,
        fps=30,
        frames=SECONDS * 30,
        loudness_lufs=-14,
        peak_dbtp=-1,
        longest_silence_s=0,
    )


def test_a_reel_that_fits_is_its_own_preview(ctx):
    made = preview.run(video(), PreviewLimit(bytes=50_000_000), ctx=ctx)

    assert made.is_reel
    assert made.path == "reel.mp4"
    assert {path.name for path in ctx.folder.iterdir()} == {PROGRESS_FILE}


def test_a_reel_that_fits_only_without_the_margin_is_made_smaller(ctx, reel, monkeypatch):
    monkeypatch.setattr(preview, "LADDER", preview.LADDER[-1:])  # the quickest to encode

    made = preview.run(video(), PreviewLimit(bytes=reel.stat().st_size + 10), ctx=ctx)

    assert not made.is_reel


@pytest.mark.parametrize("limit", [600_000, 350_000, 150_000, 100_000])
def test_a_preview_is_below_the_limit_and_plays_to_its_end(ctx, limit):
    made = preview.run(video(), PreviewLimit(bytes=limit), ctx=ctx)
    path = ctx.folder / made.path
    facts = probe.probe(path)

    assert made.size_bytes == path.stat().st_size <= limit * 0.97
    assert facts.duration_s == pytest.approx(SECONDS, abs=0.5)
    assert facts.audio_codec == "aac"
    assert facts.width / facts.height == pytest.approx(9 / 16)
    assert probe.play(path).complaints == ()


def test_a_smaller_preview_does_not_replace_the_first(ctx):
    first = preview.run(video(), PreviewLimit(bytes=400_000), ctx=ctx)
    second = preview.run(video(), PreviewLimit(bytes=150_000), ctx=ctx)

    names = {path.name for path in ctx.folder.iterdir()}
    assert names == {first.path, second.path, PROGRESS_FILE}
    assert (first.path, second.path) == ("preview-400000.mp4", "preview-150000.mp4")


@pytest.mark.parametrize(
    ("rate", "height"),
    [(5e6, 1920), (1.1e6, 1280), (6e5, 960), (2e5, 640), (8e4, 480), (1e4, 192)],
)
def test_the_quality_follows_the_bits_that_are_there(rate, height):
    assert preview.rung(rate).height == height


def test_what_cannot_fit_is_an_error_and_leaves_nothing(ctx, monkeypatch):
    monkeypatch.setattr(preview, "MARGIN", 0.001)

    with pytest.raises(ProviderError, match=f"no preview of {SECONDS} s fits"):
        preview.run(video(), PreviewLimit(bytes=100_000), ctx=ctx)

    assert {path.name for path in ctx.folder.iterdir()} == {PROGRESS_FILE}


def test_a_cancelled_preview_leaves_nothing(ctx):
    (ctx.folder / CANCEL_FILE).touch()

    with pytest.raises(StageCancelled):
        preview.run(video(), PreviewLimit(bytes=150_000), ctx=ctx)

    assert {path.name for path in ctx.folder.iterdir()} == {PROGRESS_FILE, CANCEL_FILE}


def test_a_missing_reel_is_a_sentence(ctx):
    with pytest.raises(UserError, match=r"gone\.mp4 is not a video"):
        preview.run(video("gone.mp4"), PreviewLimit(bytes=150_000), ctx=ctx)
