"""What must hold before anything goes out; every finding is a sentence and refuses the post."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pipeline.providers.voices.plans import is_free
from pipeline.sections import Voices
from storage.files import sha256_of

SHORTEST_S, LONGEST_S = 3.0, 90.0
LARGEST_BYTES = 100 * 1000 * 1000
LARGEST_COVER_BYTES = 8 * 1000 * 1000
QUIETEST_LUFS = -40.0
LONGEST_CAPTION = 2200
HASHTAG_CEILING = 30
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LINK = re.compile(r"(?i)\b(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|net|org|io|me|link|xyz|gg)\b")
MENTION = re.compile(r"(?<!\w)@\w")
HASHTAG = re.compile(r"#\w+")


class ReelFacts(Protocol):
    """What the checks read of a finished file (pipeline/reel/probe.py measures it)."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def video_codec(self) -> str: ...
    @property
    def audio_codec(self) -> str: ...
    @property
    def moov_first(self) -> bool: ...
    @property
    def edit_list(self) -> bool: ...
    @property
    def loudness_lufs(self) -> float: ...


def reel_findings(facts: ReelFacts) -> Iterator[str]:
    if not SHORTEST_S <= facts.duration_s < LONGEST_S:
        yield f"The reel lasts {facts.duration_s:.1f} s; 3 s up to 90 s can go out."
    if (facts.width, facts.height) != (1080, 1920):
        yield f"The picture is {facts.width}x{facts.height}, not 1080x1920."
    if facts.size_bytes >= LARGEST_BYTES:
        yield f"The file has {facts.size_bytes / 1e6:.0f} MB; less than 100 can go out."
    if facts.video_codec != "h264":
        yield f"The picture is encoded as {facts.video_codec or 'nothing'}, not H.264."
    if not facts.audio_codec:
        yield "The reel has no sound."
    elif facts.audio_codec != "aac":
        yield f"The sound is encoded as {facts.audio_codec}, not AAC."
    elif not facts.loudness_lufs > QUIETEST_LUFS:
        yield f"The sound cannot be heard ({facts.loudness_lufs:.0f} LUFS)."
    if not facts.moov_first:
        yield "The file's index (moov) is not in front."
    if facts.edit_list:
        yield "The file has an edit list, which Instagram refuses."


def caption_findings(
    caption: str, *, max_hashtags: int, blocked_words: tuple[str, ...] = ()
) -> Iterator[str]:
    if not caption.strip():
        yield "The caption is empty."
    if len(caption) > LONGEST_CAPTION:
        yield f"The caption has {len(caption)} characters; at most {LONGEST_CAPTION} can go out."
    allowed = min(max_hashtags, HASHTAG_CEILING)
    if (count := len(HASHTAG.findall(caption))) > allowed:
        yield f"The caption has {count} hashtags; at most {allowed} can go out (MAX_HASHTAGS)."
    if MENTION.search(caption):
        yield "The caption mentions somebody with @."
    if LINK.search(caption):
        yield "The caption holds a link."
    if CONTROL.search(caption):
        yield "The caption holds a control character."
    for word in blocked_words:
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", caption, re.IGNORECASE):
            yield f"The caption holds a blocked word: {word}."


def voice_findings(voices: Voices) -> Iterator[str]:
    if free := [str(line.index) for line in voices.lines if is_free(line.plan)]:
        which = "Line" if len(free) == 1 else "Lines"
        were = "was" if len(free) == 1 else "were"
        yield (
            f"{which} {', '.join(free)} {were} spoken on ElevenLabs' free plan, whose audio must "
            "not be published; upgrade the plan, then make the reel again."
        )


def file_findings(path: Path, sha256: str) -> Iterator[str]:
    """Read the whole file: run it in a thread."""
    if not path.is_file():
        yield f"The file {path.name} is missing."
    elif sha256_of(path) != sha256:
        yield f"The file {path.name} is not the one that was approved."


def cover_findings(path: Path, sha256: str) -> Iterator[str]:
    yield from file_findings(path, sha256)
    if path.is_file():
        if path.stat().st_size > LARGEST_COVER_BYTES:
            yield "The cover has more than 8 MB."
        with path.open("rb") as file:
            if file.read(3) != b"\xff\xd8\xff":
                yield "The cover is not a JPEG."
