import hashlib
from dataclasses import dataclass, replace

import pytest

from pipeline.publishing import checks
from pipeline.publishing.fingerprint import fingerprint
from pipeline.sections import Emotion, SpokenLine, Voices


@dataclass(frozen=True)
class Facts:
    size_bytes: int = 99_999_999
    duration_s: float = 24.0
    width: int = 1080
    height: int = 1920
    video_codec: str = "h264"
    audio_codec: str = "aac"
    moov_first: bool = True
    edit_list: bool = False
    loudness_lufs: float = -14.0


@pytest.mark.parametrize(
    "change",
    [{}, {"duration_s": 3.0}, {"duration_s": 89.9}, {"loudness_lufs": -39.9}],
    ids=str,
)
def test_a_good_reel_has_no_findings(change):
    assert list(checks.reel_findings(replace(Facts(), **change))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duration_s": 90.0}, "lasts 90.0 s"),
        ({"duration_s": 2.9}, "lasts 2.9 s"),
        ({"duration_s": float("nan")}, "lasts"),
        ({"width": 1920, "height": 1080}, "1920x1080"),
        ({"size_bytes": 100_000_000}, "100 MB"),
        ({"video_codec": "vp9"}, "vp9"),
        ({"audio_codec": ""}, "no sound"),
        ({"audio_codec": "mp3"}, "mp3"),
        ({"loudness_lufs": -40.0}, "cannot be heard"),
        ({"loudness_lufs": float("-inf")}, "cannot be heard"),
        ({"loudness_lufs": float("nan")}, "cannot be heard"),
        ({"moov_first": False}, "moov"),
        ({"edit_list": True}, "edit list"),
    ],
    ids=str,
)
def test_a_broken_rule_is_one_sentence(change, words):
    (finding,) = checks.reel_findings(replace(Facts(), **change))

    assert words in finding


@pytest.mark.parametrize(
    "caption",
    [
        "A dog walks in.\n\nButcher & Nutsy No. 7\n#one #two #three #four #five",
        "x" * 2200,
        "Ça va ? Très bien… 🐿️ 3.5 times and 9.99",
        "e-mail? No. Mr. Nutsy is back.",
    ],
)
def test_a_good_caption_has_no_findings(caption):
    assert list(checks.caption_findings(caption, max_hashtags=5)) == []


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("x" * 2201, "2201 characters"),
        ("#a #b #c #d #e #f", "6 hashtags"),
        ("hello @somebody", "@"),
        ("see https://example.org/x", "link"),
        ("see www.example.org", "link"),
        ("see example.com", "link"),
        ("a\u202eb", "control character"),
        ("a\x07b", "control character"),
        ("a\tb", "control character"),
        ("what the HECK, dog", "blocked word: heck"),
    ],
)
def test_a_bad_caption_is_refused_with_the_reason(caption, words):
    (finding,) = checks.caption_findings(caption, max_hashtags=5, blocked_words=("heck",))

    assert words in finding


def test_a_blocked_word_inside_another_word_is_fine():
    assert list(checks.caption_findings("checkers", max_hashtags=5, blocked_words=("heck",))) == []


def test_no_setting_allows_more_than_thirty_hashtags():
    caption = " ".join(f"#tag{n}" for n in range(31))

    (finding,) = checks.caption_findings(caption, max_hashtags=99)

    assert "at most 30" in finding


def test_a_missing_file_is_a_finding(tmp_path):
    assert list(checks.file_findings(tmp_path / "reel.mp4", "0" * 64)) == [
        "The file reel.mp4 is missing."
    ]


def test_a_cover_must_be_a_small_jpeg_and_the_approved_one(tmp_path):
    cover = tmp_path / "cover.jpg"
    cover.write_bytes(b"\x89PNG" + bytes(8_000_001))

    assert len(list(checks.cover_findings(cover, "0" * 64))) == 3


def test_an_approved_cover_has_no_findings(tmp_path):
    cover = tmp_path / "cover.jpg"
    cover.write_bytes(b"\xff\xd8\xff")
    sha256 = hashlib.sha256(b"\xff\xd8\xff").hexdigest()

    assert list(checks.cover_findings(cover, sha256)) == []


@pytest.mark.parametrize("plans", [("", ""), ("creator", "starter")])
def test_voices_of_a_paid_plan_and_offline_ones_have_no_findings(plans):
    assert list(checks.voice_findings(spoken(*plans))) == []


@pytest.mark.parametrize(
    ("plans", "words"),
    [
        (("creator", "free"), "Line 2 was spoken on ElevenLabs' free plan"),
        (("free", "creator", "Free"), "Lines 1, 3 were spoken"),
    ],
)
def test_voices_of_the_free_plan_are_one_finding(plans, words):
    (finding,) = checks.voice_findings(spoken(*plans))
    assert words in finding


def spoken(*plans):
    line = SpokenLine(
        index=1,
        character="Butcher",
        text="Hello.",
        emotion=Emotion.HAPPY,
        audio_file="audio/001.wav",
        start_time=0.2,
        duration=1.0,
        end_time=1.2,
        words=(),
        sha256="0" * 64,
        sample_rate=48000,
    )
    lines = [line.model_copy(update={"index": n, "plan": p}) for n, p in enumerate(plans, 1)]
    return Voices(episode=1, provider="elevenlabs", lines=tuple(lines), total_duration=2.0)


PARTS = {
    "video_sha256": "a",
    "cover_sha256": "b",
    "caption": "ça va",
    "ai_label": True,
    "account": "1",
}


@pytest.mark.parametrize(
    "change",
    [
        {"video_sha256": "c"},
        {"cover_sha256": "c"},
        {"caption": "ca va"},
        {"ai_label": False},
        {"account": "2"},
    ],
    ids=str,
)
def test_every_part_changes_the_fingerprint(change):
    assert fingerprint(**PARTS) != fingerprint(**{**PARTS, **change})


def test_the_fingerprint_is_the_same_tomorrow():
    assert fingerprint(**PARTS) == (
        "1585bdfbdc1d4066c26791a2fa04625a4ed8ecbbc6e317b251cee269c2df3ee1"
    )
