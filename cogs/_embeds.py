"""Records -> what people read in Discord, as plain functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import discord

from pipeline.attempts import ErrorKind
from pipeline.publishing.checks import voice_findings
from storage.states import EpisodeState, JobState

if TYPE_CHECKING:
    from pipeline.services.episodes import EpisodeView
    from storage.records import Episode, Job, Trend

BLUE, GREEN, RED, GREY = 0x3B6FE0, 0x2EA567, 0xD0433B, 0x8A8F98
STATE_COLOURS = {
    EpisodeState.DRAFT: GREY,
    EpisodeState.IN_REVIEW: BLUE,
    EpisodeState.APPROVED: GREEN,
    EpisodeState.PUBLISHED: GREEN,
    EpisodeState.REJECTED: RED,
    EpisodeState.SPOILED: RED,
}
STAGE_WORDS = {
    "intake": "looking at new pictures",
    "pitches": "pitching",
    "trends": "looking for a topic",
    "script": "writing",
    "voices": "speaking",
    "images": "choosing pictures",
    "video": "drawing and encoding",
    "preview": "preparing the preview",
    "drawings": "drawing for the library",
}
LONGEST_DIALOGUE = 2700
"""Together with the whole text of a post it stays below the 6,000 characters of a message."""
LONGEST_POST = 2700
MOST_MARKS = 3
"""On one letter; more bury the lines above and below."""
# What Discord reads as markup: anywhere, inside of links and invites, at the start of a line.
_MARKUP = re.compile(r"^( *(?:\d+(?=\.))?)([#>+.-])|()([\\`*_~|\[\]]|(?<=\S)/(?=\S))", re.MULTILINE)
_COMMAND = re.compile(r"(`/[a-z][a-z0-9 -]*`)")
_ADDRESS = re.compile(r"https://[\w.~:/?#!$&+,;=%-]+")
_JOINING = "\n\u200c\u200d"
"""Invisible, and part of words in some languages and of emoji."""
LEGEND = (
    "✅ approve · ❌ reject · 🔁 make it again — "
    "or /publish approve, /publish reject (which takes a reason)"
)


def plain(text: str, limit: int = 1000) -> str:
    """Somebody else's words, shown as they are: no markdown, link or mention, no endless length."""
    begun = text[: limit * 4]  # what may hold a hundred thousand characters is not worth the work
    # Between < and > Discord puts mentions, times, emoji and commands; a gap keeps them words.
    gaps = discord.utils.escape_mentions(_seen(begun)).replace("<", "<\u200b")
    shown = _MARKUP.sub(r"\1\3\\\2\4", gaps)
    is_whole = len(shown) <= limit and len(begun) == len(text)
    return shown if is_whole else shown[: limit - 1] + "…"


def told(sentence: str, limit: int = 1900) -> str:
    """A sentence of ours that may quote somebody; the commands it names stay code."""
    parts = _COMMAND.split(sentence[:limit])
    return "".join(part if n % 2 else plain(part, limit) for n, part in enumerate(parts))[:limit]


def link(address: str) -> str:
    """Where a post is, to click on; anything that is no plain address is shown as words."""
    return address if _ADDRESS.fullmatch(address) else plain(address, 300)


def _seen(text: str) -> str:
    """Without characters that hide, turn or bury the words around them."""
    shown, marks = [], 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if char.isspace() and char != "\n":
            shown.append(" ")
        elif marks <= MOST_MARKS and (char in _JOINING or category[0] != "C"):
            shown.append(char)
    return "".join(shown)


def moment(at: datetime | None) -> str:
    """Discord shows this in the reader's own time zone."""
    return "never" if at is None else discord.utils.format_dt(at, "f")


def bar(fraction: float, width: int = 16) -> str:
    """A progress bar of one line."""
    full = round(min(max(fraction, 0.0), 1.0) * width)
    return "▰" * full + "▱" * (width - full)


def dialogue(view: EpisodeView) -> str:
    """The script, a line each, as it fits into an embed."""
    if view.script is None:
        return "There is no script yet."
    lines = [
        f"`{line.index:>2}` **{plain(line.character)}** *({line.emotion})* {plain(line.text, 280)}"
        for line in view.script.lines
    ]
    return "\n".join(lines)[:LONGEST_DIALOGUE]


def script_embed(view: EpisodeView) -> discord.Embed:
    """The words of an episode and the caption that goes out with them."""
    episode = view.episode
    embed = discord.Embed(
        title=f"Episode {episode.id}: {plain(episode.topic, 200)}"[:256],
        description=dialogue(view),
        colour=STATE_COLOURS[episode.state],
    )
    if view.script is not None:
        tags = " ".join(f"#{tag}" for tag in view.script.hashtags)
        embed.add_field(
            name="Caption", value=plain(f"{view.script.caption}\n{tags}", 1024), inline=False
        )
    embed.set_footer(text=f"revision {view.revision.number} · {state_words(episode.state)}")
    return embed


def draft_embeds(view: EpisodeView, post_text: str, cost: str) -> list[discord.Embed]:
    """What people judge: all that goes out. The footer names the fingerprint they say yes to."""
    goes_out = discord.Embed(
        title="Goes out as", description=plain(post_text, LONGEST_POST), colour=BLUE
    )
    return [_about_reel(view, cost), goes_out]


def _about_reel(view: EpisodeView, cost: str) -> discord.Embed:
    episode, video = view.episode, view.video
    assert video is not None
    embed = discord.Embed(
        title=f"Episode {episode.id}: {plain(episode.topic, 200)}"[:256],
        description=dialogue(view),
        colour=BLUE,
    )
    embed.add_field(
        name="The reel",
        value=f"{video.duration_s:.1f} s · {video.width}x{video.height} · "
        f"{video.size_bytes / 1e6:.1f} MB · {video.loudness_lufs:.1f} LUFS",
    )
    embed.add_field(name="Topic from", value=plain(episode.source, 200))
    embed.add_field(name="Best before", value=moment(episode.best_before))
    if view.script is not None:
        embed.add_field(name="Writer", value=plain(view.script.metadata.provider, 200))
    if view.images is not None and view.images.notes:
        embed.add_field(name="Pictures", value=plain(" ".join(view.images.notes), 200))
    for finding in voice_findings(view.voices) if view.voices is not None else ():
        embed.add_field(name="Cannot go out", value=finding, inline=False)
    embed.add_field(name="Cost", value=cost[:200])
    embed.set_footer(text=draft_mark(view))
    return embed


def draft_mark(view: EpisodeView) -> str:
    """How a draft of ours is known again, and what it stands for."""
    fingerprint = (view.revision.fingerprint or "")[:12]
    return f"episode {view.episode.id} · revision {view.revision.number} · {fingerprint}"


def progress_text(episode: Episode, job: Job, made: int, stages: int) -> str:
    """One line on the reel being made; `made` of `stages` stages are finished."""
    done = (made + (job.fraction if job.state is JobState.RUNNING else 0.0)) / stages
    words = STAGE_WORDS[job.stage]
    note = f" · {plain(job.note, 100)}" if job.note else ""
    topic = f" — {plain(episode.topic, 120)}" if episode.topic else ""
    head = f"**Episode {episode.id}**{topic}\n{bar(done)} {done:.0%}"
    if waits_for_budget(job):
        return f"{head} · waits for the budget\n{budget_text(job)}"
    return f"{head} · {words}{note}"


def budget_text(job: Job) -> str:
    """Why a job waits for the budget, and what people can do."""
    return (
        f"{plain(job.error, 500)} Raise it and start the bot again to go on now, or stop it with "
        f"`/render cancel {job.id}`."
    )


def waits_for_budget(job: Job) -> bool:
    return job.state is JobState.QUEUED and job.error_kind == ErrorKind.BUDGET


def _job_state(job: Job) -> str:
    return "waits for the budget" if waits_for_budget(job) else job.state.value


def jobs_text(jobs: Sequence[Job]) -> str:
    """Open jobs, a line each."""
    if not jobs:
        return "Nothing is being made right now."
    return "\n".join(
        f"`job {job.id}` episode {job.episode_id or '–'} · {STAGE_WORDS[job.stage]} · "
        f"{_job_state(job)} · {bar(job.fraction, 10)} {job.fraction:.0%}"
        for job in jobs
    )[:1900]


def trends_text(trends: Sequence[Trend]) -> str:
    """Topics, a line each, with why some cannot be used."""
    if not trends:
        return "No trends are stored yet; `/trends fetch` asks for them."
    return "\n".join(_trend_line(trend) for trend in trends)[:1900]


def _trend_line(trend: Trend) -> str:
    line = f"`{trend.score:.2f}` {plain(trend.name, 120)} · {plain(trend.source, 40)}"
    if trend.refused_because is not None:
        return f"~~{line}~~ {plain(trend.refused_because, 200)}"
    if trend.used_in_episode is not None:
        return f"{line} · used in episode {trend.used_in_episode}"
    return line


def state_words(state: StrEnum) -> str:
    return state.value.replace("_", " ")
