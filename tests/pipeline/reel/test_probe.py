import subprocess
import sys
from dataclasses import replace

import imageio_ffmpeg
import pytest

from pipeline.errors import UserError
from pipeline.reel import probe

GOOD = probe.ReelFacts(
    size_bytes=9_000_000,
    duration_s=25,
    width=1080,
    height=1920,
    fps=30,
    frames=750,
    video_codec="h264",
    pixel_format="yuv420p",
    audio_codec="aac",
    sample_rate=48_000,
    channels=2,
    moov_first=True,
    edit_list=False,
    loudness_lufs=-14.1,
    peak_dbtp=-1.4,
    longest_silence_s=0.6,
)
SILENT = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"]
BUZZ = ["-f", "lavfi", "-i", "sine=f=440:r=48000"]


def film(path, *options: str, source="testsrc2=", sound=BUZZ):
    picture = ["-f", "lavfi", "-i", f"{source}s=108x192:r=30"]
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *picture, *sound, "-t", "2"),
            *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", *options),
            str(path),
        ],
        check=True,
    )
    return path


def test_a_good_reel_has_no_faults():
    assert probe.faults(GOOD) == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 1920, "height": 1080}, "1920x1080, not 1080x1920"),
        ({"width": 720, "height": 1280}, "720x1280"),
        ({"duration_s": 90.5}, "lasts 90.5 s"),
        ({"duration_s": 2.0}, "lasts 2.0 s"),
        ({"size_bytes": 101 * 1024 * 1024}, "at most 100"),
        ({"fps": 15}, "15.0 frames"),
        ({"fps": 61}, "61.0 frames"),
        ({"video_codec": "vp9"}, "vp9"),
        ({"pixel_format": "yuv444p"}, "yuv444p"),
        ({"moov_first": False}, "index"),
        ({"edit_list": True}, "edit list"),
        ({"audio_codec": ""}, "no sound"),
        ({"audio_codec": "mp3"}, "mp3"),
        ({"sample_rate": 96_000}, "96000 Hz"),
        ({"loudness_lufs": -15.2}, "-15.2 LUFS"),
        ({"loudness_lufs": -12.8}, "-12.8 LUFS"),
        ({"loudness_lufs": float("-inf")}, "-inf LUFS"),
        ({"peak_dbtp": -0.4}, "peaks at -0.4"),
        ({"longest_silence_s": 1.6}, "silent for 1.6 s"),
    ],
)
def test_each_broken_rule_is_one_sentence(change, sentence):
    [fault] = probe.faults(replace(GOOD, **change))

    assert sentence in fault


@pytest.mark.parametrize(
    ("options", "moov_first", "edit_list"),
    [
        ((), False, True),
        (("-movflags", "+faststart"), True, True),
        (("-use_editlist", "0"), False, False),
        (("-movflags", "+faststart", "-use_editlist", "0"), True, False),
    ],
)
def test_the_order_of_the_file_and_its_edit_list_are_read(tmp_path, options, moov_first, edit_list):
    facts = probe.probe(film(tmp_path / "a.mp4", *options))

    assert (facts.moov_first, facts.edit_list) == (moov_first, edit_list)


def test_the_facts_are_those_of_the_file(tmp_path):
    path = film(tmp_path / "a.mp4", "-c:a", "aac")
    facts = probe.probe(path)

    assert (facts.width, facts.height, facts.fps, facts.frames) == (108, 192, 30, 60)
    assert facts.duration_s == pytest.approx(2, abs=0.05)
    assert (facts.video_codec, facts.pixel_format) == ("h264", "yuv420p")
    assert (facts.audio_codec, facts.sample_rate, facts.channels) == ("aac", 48_000, 1)
    assert facts.size_bytes == path.stat().st_size
    assert -30 < facts.loudness_lufs < -10
    assert facts.longest_silence_s == 0


def test_a_file_without_sound_is_told_from_a_silent_one(tmp_path):
    without = probe.probe(film(tmp_path / "a.mp4", "-an"))
    silent = probe.probe(film(tmp_path / "b.mp4", sound=SILENT))

    assert without.audio_codec == ""
    assert "It has no sound." in probe.faults(without)
    assert silent.audio_codec == "aac"
    assert silent.longest_silence_s == pytest.approx(2, abs=0.1)


def test_black_frames_are_counted(tmp_path):
    dark = probe.play(film(tmp_path / "a.mp4", source="color=c=black:"))
    bright = probe.play(film(tmp_path / "b.mp4"))

    assert (dark.frames, dark.black_frames) == (60, 60)
    assert (bright.frames, bright.black_frames) == (60, 0)


def test_a_damaged_file_makes_the_decoder_complain(tmp_path):
    path = film(tmp_path / "a.mp4", "-movflags", "+faststart")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)

    assert probe.play(path).complaints


@pytest.mark.parametrize("content", [b"", b"nothing", b"\0\0\0\x18ftypisom" + bytes(40)])
def test_what_is_no_video_is_a_sentence(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)

    with pytest.raises(UserError, match=r"a\.mp4 is not a video that can be read"):
        probe.probe(path)


def test_a_file_cut_short_is_a_sentence(tmp_path):
    path = film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:2_000])

    with pytest.raises(UserError, match="not a video"):
        probe.probe(path)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"gone\.mp4 is not a video"):
        probe.probe(tmp_path / "gone.mp4")


def test_probing_loads_neither_moviepy_nor_the_stages():
    listing = "import sys, pipeline.reel.probe; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, check=True)
    loaded = done.stdout.decode().split()

    assert "pipeline.reel.probe" in loaded
    assert not {"moviepy", "pipeline.stages.video"} & set(loaded)
