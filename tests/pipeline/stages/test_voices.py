import hashlib
import json
import subprocess
import sys
import threading
import wave
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import VoicesConfig
from pipeline.context import CANCEL_FILE, PROGRESS_FILE, StageContext
from pipeline.errors import ProviderError, StageCancelled, UserError
from pipeline.providers import factory
from pipeline.providers.base import Speech
from pipeline.providers.voices import sound
from pipeline.providers.voices.store import SpeechStore
from pipeline.providers.voices.wav import read_wav
from pipeline.sections import Emotion, Line, Phoneme, Script, Voices, Word
from pipeline.shows import Character, Show, VoiceStyle
from pipeline.stages import voices

RATE = 48_000


class ToneVoice:
    """Says every word as a tone of 0.2 s, with half a second of nothing on both sides."""

    name = "tone"
    parallel = 1
    plan = ""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.before_speaking: Callable[[str], None] = lambda text: None
        self.change: Callable[[Speech], Speech] = lambda speech: speech
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def key(self, text: str, character: Character, emotion: Emotion) -> str:
        return hashlib.sha256(f"{character.name} {emotion} {text}".encode()).hexdigest()

    def speak(self, text: str, character: Character, emotion: Emotion) -> Speech:
        self.before_speaking(text)
        self.said.append(text)
        words = text.split()
        hertz, level = (120, 0.6) if character.role == "dry" else (500, 0.05)
        time = np.arange(round(0.2 * len(words) * RATE)) / RATE
        tone = level * np.sin(2 * np.pi * hertz * time)
        edges = [0.5 + 0.2 * n for n in range(len(words) + 1)]
        marks = list(pairwise(edges))
        return self.change(
            Speech(
                samples=np.pad(tone, RATE // 2).astype(np.float32),
                sample_rate=RATE,
                words=tuple(
                    Word(text=word, start=a, end=b)
                    for word, (a, b) in zip(words, marks, strict=True)
                ),
                phonemes=tuple(Phoneme(symbol="a", start=a, end=b) for a, b in marks),
                chars_billed=len(text),
            )
        )


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> ToneVoice:
    tone = ToneVoice()
    monkeypatch.setattr(factory, "voice", lambda config: tone)
    return tone


@pytest.fixture
def ctx(tmp_path: Path) -> StageContext:
    show_folder, folder = tmp_path / "cats", tmp_path / "episodes"
    show_folder.mkdir()
    folder.mkdir()
    (show_folder / "cat.svg").write_text("<svg/>")
    show = Show(
        name="cats",
        title="Cats",
        premise="Two cats talk.",
        characters=(_character("Bruno", "dry"), _character("Pip", "wild")),
        backgrounds={"cat.svg": ("default",)},
        folder=show_folder,
    )
    return StageContext(
        episode=7,
        revision=1,
        folder=folder,
        revision_folder=folder,
        data_dir=tmp_path / "data",
        show=show,
        config=VoicesConfig(),
    )


def _character(name: str, role: str) -> Character:
    return Character(
        name=name,
        role=role,
        species="cat",
        persona="Talks.",
        colour="#336699",
        rig="cat.svg",
        voice=VoiceStyle(blend={"af_nova": 1.0}, fallback_tape=0.62 if role == "dry" else 1.35),
    )


def script(*lines: tuple[str, str]) -> Script:
    return Script(
        lines=tuple(
            Line(index=n, character=who, text=text, emotion=Emotion.NEUTRAL)
            for n, (who, text) in enumerate(lines, 1)
        )
    )


TALK = script(
    ("Bruno", "What is  that thing?"),
    ("pip", "It is a hat!"),
    ("Pip", "For my tail."),
    ("Bruno", "Take it off now."),
    ("Pip", "Never ever."),
)


def kept_files(ctx: StageContext, suffix: str) -> list[Path]:
    return sorted((ctx.data_dir / "voices").rglob(f"*{suffix}"))


def test_every_line_becomes_a_file_that_matches_its_hash_and_length(
    voice: ToneVoice, ctx: StageContext
) -> None:
    result = voices.run(TALK, ctx=ctx)
    assert [line.audio_file for line in result.lines] == [f"audio/00{n}.wav" for n in range(1, 6)]
    for line in result.lines:
        data = (ctx.folder / line.audio_file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == line.sha256
        with wave.open(str(ctx.folder / line.audio_file)) as file:
            assert file.getframerate() == line.sample_rate
            assert file.getnframes() / file.getframerate() == pytest.approx(line.duration, abs=1e-4)


def test_lines_follow_each_other_with_short_pauses_and_a_beat_before_the_last(
    voice: ToneVoice, ctx: StageContext
) -> None:
    lines = voices.run(TALK, ctx=ctx).lines
    pauses = [b.start_time - a.end_time for a, b in pairwise(lines)]
    assert pauses == pytest.approx([0.3, 0.18, 0.22, 0.45], abs=2e-4)
    assert lines[0].start_time == 0.25


def test_the_words_of_a_line_give_its_text_and_lie_on_the_timeline(
    voice: ToneVoice, ctx: StageContext
) -> None:
    for line in voices.run(TALK, ctx=ctx).lines:
        assert " ".join(word.text for word in line.words) == " ".join(line.text.split())
        for marks in (line.words, line.phonemes):
            times = [time for mark in marks for time in (mark.start, mark.end)]
            assert times == sorted(times)
            assert line.start_time <= times[0] < times[-1] <= line.end_time


def test_silence_around_a_line_is_cut_to_a_margin(voice: ToneVoice, ctx: StageContext) -> None:
    first = voices.run(TALK, ctx=ctx).lines[0]
    assert first.duration == pytest.approx(0.8 + 0.06, abs=0.02)
    assert first.words[0].start - first.start_time == pytest.approx(0.03, abs=0.011)


def test_both_characters_are_equally_loud_and_no_line_clicks(
    voice: ToneVoice, ctx: StageContext
) -> None:
    for line in voices.run(TALK, ctx=ctx).lines:
        samples = read_wav((ctx.folder / line.audio_file).read_bytes())
        assert sound.loudness(samples, RATE) == pytest.approx(-20, abs=0.7)
        assert samples[0] == 0
        assert samples[-1] == 0


def test_the_timeline_is_written_as_the_section(voice: ToneVoice, ctx: StageContext) -> None:
    result = voices.run(TALK, ctx=ctx)
    stored = Voices.model_validate_json((ctx.folder / "timeline.json").read_text())
    assert stored == result
    assert result.episode == 7
    assert result.provider == "tone"
    assert result.total_duration == pytest.approx(result.lines[-1].end_time + 0.6)


def test_progress_is_reported_for_every_line(voice: ToneVoice, ctx: StageContext) -> None:
    voices.run(TALK, ctx=ctx)
    progress = [json.loads(line) for line in (ctx.folder / PROGRESS_FILE).read_text().splitlines()]
    fractions = [said["fraction"] for said in progress]
    assert fractions[:5] == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert fractions[-1] == 1.0
    assert progress[1]["note"] == "line 2: pip"


def test_the_voice_is_closed_also_after_a_failure(voice: ToneVoice, ctx: StageContext) -> None:
    voice.change = lambda speech: replace(speech, samples=speech.samples * 0)
    with pytest.raises(ProviderError):
        voices.run(TALK, ctx=ctx)
    assert voice.is_closed


def test_a_line_is_never_spoken_twice(voice: ToneVoice, ctx: StageContext) -> None:
    first = voices.run(TALK, ctx=ctx)
    again = voices.run(TALK, ctx=ctx)
    assert len(voice.said) == 5
    assert all(line.reused and not line.chars_billed for line in again.lines)
    assert not any(line.reused for line in first.lines)
    assert [line.sha256 for line in again.lines] == [line.sha256 for line in first.lines]


def test_a_line_that_another_job_is_speaking_is_waited_for(
    voice: ToneVoice, ctx: StageContext, tmp_path: Path
) -> None:
    talk = script(("Bruno", "What is that thing?"))
    other = replace(ctx, folder=tmp_path / "other")
    other.folder.mkdir()
    with ThreadPoolExecutor() as pool:
        second: list[Future[Voices]] = []

        def begin_the_second(text: str) -> None:
            voice.before_speaking = lambda text: None
            second.append(pool.submit(voices.run, talk, ctx=other))
            # Once it has reported its line, only the lock is between it and the voice.
            while not (other.folder / PROGRESS_FILE).exists():
                threading.Event().wait(0.01)
            threading.Event().wait(0.1)

        voice.before_speaking = begin_the_second
        first = voices.run(talk, ctx=ctx)
        waited = second[0].result(timeout=30)
    assert voice.said == ["What is that thing?"]
    assert [line.reused for line in (*first.lines, *waited.lines)] == [False, True]


def test_a_line_can_be_claimed_after_its_speaker_was_killed(ctx: StageContext) -> None:
    store = SpeechStore(ctx.data_dir / "voices")
    script = (
        "import os, pathlib, sys\n"
        "from pipeline.providers.voices.store import SpeechStore\n"
        "with SpeechStore(pathlib.Path(sys.argv[1])).claim('abcdef'):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", script, str(ctx.data_dir / "voices")]
    assert subprocess.run(command, timeout=20).returncode == -9
    with store.claim("abcdef"):
        assert store.get("abcdef") is None


def test_an_edited_line_is_the_only_one_spoken_again(voice: ToneVoice, ctx: StageContext) -> None:
    voices.run(TALK, ctx=ctx)
    edited = TALK.lines[2].model_copy(update={"text": "For my nose."})
    lines = (*TALK.lines[:2], edited, *TALK.lines[3:])
    result = voices.run(TALK.model_copy(update={"lines": lines}), ctx=ctx)
    assert voice.said[5:] == ["For my nose."]
    assert [line.reused for line in result.lines] == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".wav", lambda path: path.write_bytes(path.read_bytes()[:-2])),
        (".wav", Path.unlink),
        (".json", Path.unlink),
        (".json", lambda path: path.write_text('{"provider": ')),
    ],
    ids=["sound cut", "sound gone", "killed before the json", "json cut"],
)
def test_a_damaged_kept_line_is_made_again(
    voice: ToneVoice, ctx: StageContext, suffix: str, damage: Callable[[Path], object]
) -> None:
    before = voices.run(TALK, ctx=ctx)
    damage(kept_files(ctx, suffix)[0])
    after = voices.run(TALK, ctx=ctx)
    assert len(voice.said) == 6
    assert [line.sha256 for line in after.lines] == [line.sha256 for line in before.lines]
    assert all(
        SpeechStore(ctx.data_dir / "voices").get(path.stem) for path in kept_files(ctx, ".json")
    )


def test_kept_speech_says_who_made_it_and_when(voice: ToneVoice, ctx: StageContext) -> None:
    voices.run(TALK, ctx=ctx)
    kept = json.loads(kept_files(ctx, ".json")[0].read_text())
    assert kept["provider"] == "tone"
    assert kept["made_at"].endswith("Z")


def test_a_line_says_on_which_plan_it_was_spoken_also_when_it_was_kept(
    voice: ToneVoice, ctx: StageContext
) -> None:
    voice.plan = "free"
    voice.change = lambda speech: replace(speech, plan="free")
    for _ in range(2):
        assert {line.plan for line in voices.run(TALK, ctx=ctx).lines} == {"free"}
    assert len(voice.said) == 5


def test_a_failing_line_fails_the_stage_and_leaves_nothing_half_written(
    voice: ToneVoice, ctx: StageContext
) -> None:
    def fail(text: str) -> None:
        if text == "Take it off now.":
            raise ProviderError("tone", "out of breath")

    voice.before_speaking = fail
    with pytest.raises(ProviderError, match="out of breath"):
        voices.run(TALK, ctx=ctx)
    assert [path.name for path in ctx.folder.iterdir()] == [PROGRESS_FILE]
    assert len(kept_files(ctx, ".wav")) == len(kept_files(ctx, ".json")) == 3


def test_what_was_spoken_before_a_failure_is_used_by_the_next_attempt(
    voice: ToneVoice, ctx: StageContext
) -> None:
    def fail(text: str) -> None:
        if text == "Take it off now.":
            raise ProviderError("tone", "out of breath")

    voice.before_speaking = fail
    with pytest.raises(ProviderError):
        voices.run(TALK, ctx=ctx)
    voice.before_speaking = lambda text: None
    result = voices.run(TALK, ctx=ctx)
    assert [line.reused for line in result.lines] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda s: replace(s, samples=s.samples * 0), "without sound"),
        (lambda s: replace(s, samples=s.samples[:0]), "without sound"),
        (lambda s: replace(s, samples=s.samples[RATE // 2 :][: RATE // 10]), "without sound"),
        (lambda s: replace(s, samples=s.samples * np.float32(np.nan)), "broken sound"),
    ],
    ids=["silent", "empty", "a blip", "not finite"],
)
def test_sound_that_cannot_be_used_fails_the_stage_and_is_not_kept(
    voice: ToneVoice, ctx: StageContext, change: Callable[[Speech], Speech], part: str
) -> None:
    voice.change = change
    with pytest.raises(ProviderError, match=part):
        voices.run(TALK, ctx=ctx)
    assert kept_files(ctx, ".json") == []


def test_a_cancelled_attempt_stops_between_two_lines(voice: ToneVoice, ctx: StageContext) -> None:
    voice.before_speaking = lambda text: (ctx.folder / CANCEL_FILE).touch()
    with pytest.raises(StageCancelled):
        voices.run(TALK, ctx=ctx)
    assert len(voice.said) == 1
    assert not (ctx.folder / "audio").exists()


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        (script(("Nobody", "Hello.")), "Nobody"),
        (script(), "no lines"),
        (Script(lines=(TALK.lines[0], TALK.lines[0])), "same index"),
    ],
)
def test_a_bad_script_is_refused_before_anything_is_spoken(
    voice: ToneVoice, ctx: StageContext, bad: Script, part: str
) -> None:
    with pytest.raises(UserError, match=part):
        voices.run(bad, ctx=ctx)
    assert voice.said == []
    assert list(ctx.folder.iterdir()) == []


def test_no_temporary_file_stays_behind(voice: ToneVoice, ctx: StageContext) -> None:
    voices.run(TALK, ctx=ctx)
    assert list(ctx.data_dir.rglob(".*")) == []
    assert list(ctx.folder.rglob(".*")) == []


def test_the_offline_voice_speaks_a_script(ctx: StageContext) -> None:
    talk = script(("Bruno", "This is 9.99."), ("Pip", "It is a hat!"))
    result = voices.run(talk, ctx=ctx)
    assert [word.text for word in result.lines[0].words] == ["This", "is", "9.99."]
    assert all(line.phonemes for line in result.lines)
    assert 2 < result.total_duration < 6
