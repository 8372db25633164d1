"""Script -> voices: every line spoken, made equally loud and laid out on the timeline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import numpy as np

from pipeline.config import VoicesConfig
from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.files import write_whole
from pipeline.providers import factory
from pipeline.providers.base import Speech
from pipeline.providers.voices import sound
from pipeline.providers.voices.takes import Take, Takes, heard_span
from pipeline.providers.voices.wav import wav_bytes
from pipeline.sections import Emotion, Line, Phoneme, Script, SpokenLine, Voices, Word

Mark = TypeVar("Mark", Word, Phoneme)

TIMELINE_FILE = "timeline.json"

OFFSET_S = 0.25
TAIL_S = 0.6  # the last picture stays for a breath, and the loop does not run into itself
MARGIN_S = 0.03
"""Kept before the first and after the last sound of a line."""
FADE_IN_S, FADE_OUT_S = 0.005, 0.02

TARGET_LUFS = -20.0
"""Of every line; the video stage brings the whole mix to its final loudness."""
PEAK = 0.97
EMPHASIS_DB: dict[Emotion, float] = {
    Emotion.ANGRY: 1.0,
    Emotion.EXCITED: 1.0,
    Emotion.SURPRISED: 0.5,
    Emotion.SAD: -1.0,
}

ANSWER_S = 0.18
"""Between two lines of one character: one thought."""
TURN_S = 0.22
QUESTION_S = 0.3  # a question hangs for a moment
PUNCH_S = 0.45  # the beat before the last line, which is the joke


def run(script: Script, *, ctx: StageContext) -> Voices:
    if not isinstance(ctx.config, VoicesConfig):
        raise TypeError("the voices stage needs a VoicesConfig")
    _check(script, ctx)
    with closing(factory.voice(ctx.config)) as voice:
        takes = Takes(voice, ctx.config, ctx).of(script.lines)
    voices = _lay_out(takes, voice.name, ctx)
    write_whole(ctx.folder / TIMELINE_FILE, voices.model_dump_json(indent=2).encode())
    ctx.report(1.0, "voices are ready")
    return voices


def _check(script: Script, ctx: StageContext) -> None:
    """Refuse before anything is spoken: unknown characters, no lines, an index twice."""
    if not script.lines:
        raise UserError("The script has no lines; write at least one.")
    if len({line.index for line in script.lines}) < len(script.lines):
        raise UserError("Two lines of the script have the same index; number them from 1.")
    for line in script.lines:
        ctx.show.character(line.character)


def _dressed(take: Take, provider: str) -> Speech:
    """The line as it stands in the reel: trimmed, levelled, with soft ends."""
    line, speech = take.line, take.speech
    bounds = heard_span(speech, line, provider)
    trimmed = _trimmed(speech, max(0.0, bounds[0] - MARGIN_S), bounds[1] + MARGIN_S)
    level = TARGET_LUFS + EMPHASIS_DB.get(line.emotion, 0.0)
    samples = _levelled(trimmed.samples, speech.sample_rate, level)
    return replace(trimmed, samples=sound.faded(samples, speech.sample_rate, FADE_IN_S, FADE_OUT_S))


def _trimmed(speech: Speech, start: float, end: float) -> Speech:
    rate = speech.sample_rate
    samples = speech.samples[round(start * rate) : round(end * rate)]
    return replace(
        speech,
        samples=samples,
        words=_moved(speech.words, -start, samples.size / rate),
        phonemes=_moved(speech.phonemes, -start, samples.size / rate),
    )


def _levelled(samples: sound.Samples, rate: int, level: float) -> sound.Samples:
    gain = 10 ** ((level - sound.loudness(samples, rate)) / 20)
    return samples * np.float32(min(gain, PEAK / float(np.abs(samples).max())))


def _lay_out(takes: Sequence[Take], provider: str, ctx: StageContext) -> Voices:
    (ctx.folder / "audio").mkdir(exist_ok=True)
    lines: list[SpokenLine] = []
    time = OFFSET_S
    for number, take in enumerate(takes):
        if number:
            is_last = number == len(takes) - 1
            time += _pause(takes[number - 1].line, take.line, is_punch=is_last)
        lines.append(_spoken_line(take, _dressed(take, provider), time, ctx))
        time = lines[-1].end_time
    return Voices(
        episode=ctx.episode,
        provider=provider,
        lines=tuple(lines),
        total_duration=_rounded(time + TAIL_S),
    )


def _pause(before: Line, after: Line, *, is_punch: bool) -> float:
    if is_punch:
        return PUNCH_S
    if before.text.rstrip().endswith("?"):
        return QUESTION_S
    same = before.character.casefold() == after.character.casefold()
    return ANSWER_S if same else TURN_S


def _spoken_line(take: Take, speech: Speech, start: float, ctx: StageContext) -> SpokenLine:
    line = take.line
    name = f"audio/{line.index:03d}.wav"
    data = wav_bytes(speech.samples, speech.sample_rate)
    write_whole(ctx.folder / name, data)
    duration = speech.samples.size / speech.sample_rate
    end = start + duration
    return SpokenLine(
        index=line.index,
        character=ctx.show.character(line.character).name,
        text=line.text,
        emotion=line.emotion,
        audio_file=name,
        start_time=_rounded(start),
        duration=_rounded(duration),
        end_time=_rounded(end),
        words=_moved(speech.words, start, end),
        phonemes=_moved(speech.phonemes, start, end),
        sha256=hashlib.sha256(data).hexdigest(),
        sample_rate=speech.sample_rate,
        chars_billed=0 if take.reused else speech.chars_billed,
        reused=take.reused,
        plan=speech.plan,
    )


def _moved(marks: tuple[Mark, ...], by: float, limit: float) -> tuple[Mark, ...]:
    """The marks `by` seconds later, none before zero or after `limit`."""

    def moved(time: float) -> float:
        return _rounded(min(max(time + by, 0.0), limit))

    return tuple(
        mark.model_copy(update={"start": moved(mark.start), "end": moved(mark.end)})
        for mark in marks
    )


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
