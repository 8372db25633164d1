"""Records of trainings and their pictures -> what people read, as plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord

from cogs._embeds import BLUE, GREEN, GREY, RED, bar, moment, plain
from storage.states import JobState, TrainingState

if TYPE_CHECKING:
    from pipeline.services.training import Standing, TrainingStatus
    from pipeline.services.uploads import Received
    from storage.records import Promotion, TrainingImage, TrainingRun, Validation

LEGEND = "✅ promote · ❌ stop the training · ⏸️ pause it — or `/train promote`, `/train stop`"
ADVICE = "15 to 25 make a good set: different poses, faces and backgrounds."
NEXT = (
    "What the library lacks is drawn when the GPU is free, and shown here for your yes first; "
    "`/train back` takes the model before it."
)
STATE_WORDS = {
    TrainingState.RUNNING: "is being trained",
    TrainingState.PAUSED: "is paused; `/train resume` goes on",
    TrainingState.STOPPED: "was stopped; `/train resume` goes on after all",
    TrainingState.FINISHED: "is trained",
    TrainingState.FAILED: "failed; `/train resume` tries again",
}
STATE_COLOURS = {
    TrainingState.RUNNING: BLUE,
    TrainingState.PAUSED: GREY,
    TrainingState.STOPPED: GREY,
    TrainingState.FINISHED: GREEN,
    TrainingState.FAILED: RED,
}


# Runs


def run_embed(run: TrainingRun, plot: str | None) -> discord.Embed:
    """How a run goes on; `plot` is the name of the attached picture of its loss."""
    embed = discord.Embed(
        title=f"Training {run.id}: {plain(run.character, 100)}",
        description="\n".join(_run_lines(run)),
        colour=STATE_COLOURS[run.state],
    )
    if plot is not None:
        embed.set_image(url=f"attachment://{plot}")
    embed.set_footer(text=run_mark(run))
    return embed


def _run_lines(run: TrainingRun) -> list[str]:
    lines = [f"**{plain(run.name, 100)}** {STATE_WORDS[run.state]}.", progress_line(run)]
    if run.note:
        lines.append(plain(run.note, 300))
    if run.warning:
        lines.append(f"⚠️ {plain(run.warning, 500)}")
    if run.error:
        lines.append(plain(run.error, 1500))
    return lines


def living_lines(run: TrainingRun | None) -> list[str]:
    """A line on the training under way, if any."""
    if run is None or run.state not in (TrainingState.RUNNING, TrainingState.PAUSED):
        return []
    return [
        f"`training {run.id}` {plain(run.character, 60)} {STATE_WORDS[run.state]}: "
        f"{progress_line(run)}"
    ]


def progress_line(run: TrainingRun) -> str:
    done = run.step / run.steps if run.steps else 0.0
    parts = [f"{bar(done)} step {run.step} of {run.steps}"]
    if run.loss is not None:
        parts.append(f"loss {run.loss:.4f}")
    if run.state is TrainingState.RUNNING and run.seconds_left is not None:
        parts.append(f"about {duration(run.seconds_left)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Rounded as one would say it."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def run_mark(run: TrainingRun) -> str:
    """How a live message of ours is known again; its time tells it from another database's."""
    return f"training {run.id} · {run.created_at:%Y-%m-%d %H:%M:%S} UTC"


def end_text(run: TrainingRun) -> str:
    """What is said, once, when a run has ended."""
    who = f"Training {run.id} of {plain(run.character, 100)} (step {run.step} of {run.steps})"
    words = f"{who} {STATE_WORDS[run.state]}"
    why = f": {plain(run.error, 1200)}" if run.error else "."
    if run.state is TrainingState.FINISHED:
        why = "; a ✅ on one of its checkpoints, or `/train promote`, puts it to use."
    return f"{words}{why}"


def status_text(status: TrainingStatus, counts: dict[str, int]) -> str:
    lines = [_count_line(name, count) for name, count in counts.items()]
    lines += [_model_line(model) for model in status.promotions]
    if not status.runs:
        lines.append("Nothing has been trained yet; `/train upload` and `/train start` begin.")
    lines += [
        f"`training {run.id}` {plain(run.character, 60)} · {run.state.value} · {progress_line(run)}"
        for run in status.runs
    ]
    if status.run is not None and (trouble := status.run.error or status.run.warning):
        lines.append(f"⚠️ {plain(trouble, 500)}")
    return "\n".join(lines)[:1900]


def _count_line(name: str, count: int) -> str:
    return f"{plain(name, 60)} has {pictures(count)}."


def _model_line(model: Promotion) -> str:
    return (
        f"{plain(model.character, 60)} is drawn by training {model.run_id}, step {model.step}, "
        f"since {moment(model.at)}."
    )


# Checkpoints


def checkpoint_headline(run: TrainingRun, standing: Standing, *, is_in_use: bool) -> str:
    validation = standing.validation
    what = f"{plain(run.character, 100)} at step {validation.step} of {run.steps}"
    if is_in_use:
        return f"**{what} is in use.** {NEXT}"
    if validation.ended:
        why = plain(validation.ended.rstrip("."), 300)
        how = f"`/train promote {validation.step} {run.id}`"
        return f"**{what} is closed**: {why}. {how} still takes it."
    said = f"{len(standing.voters)} of {standing.needed} votes"
    return f"**{what}: shall it draw?** ({said}) {LEGEND}"


def checkpoint_embed(
    run: TrainingRun, validation: Validation, before: Sequence[Validation], grid: str, why_not: str
) -> discord.Embed:
    """`before` are the earlier ones of the run; `grid` names the pictures, if they are attached."""
    embed = discord.Embed(description=_loss_text(validation, before), colour=BLUE)
    if why_not:
        where = f"{plain(validation.folder, 200)}/{grid}"
        embed.add_field(name="Pictures", value=f"{where}: they {why_not}.")
    else:
        embed.set_image(url=f"attachment://{grid}")
    embed.set_footer(text=checkpoint_mark(run, validation))
    return embed


def _loss_text(validation: Validation, before: Sequence[Validation]) -> str:
    if validation.loss is None:
        return "Same prompts and seeds as at every checkpoint."
    text = f"Loss with fixed noise: {validation.loss:.4f}"
    known = [earlier for earlier in before if earlier.loss]
    if known:
        was = known[-1].loss or 0.0
        text += f" ({validation.loss / was - 1:+.1%} since step {known[-1].step})"
    return f"{text}. Same prompts and seeds as at every checkpoint."


def checkpoint_mark(run: TrainingRun, validation: Validation) -> str:
    """How the message of a checkpoint is known again."""
    return f"{run_mark(run)} · step {validation.step}"


def vote_text(run: TrainingRun, standing: Standing) -> str:
    """The answer to a vote by command."""
    what = f"{plain(run.character, 100)} at step {standing.validation.step}"
    if standing.promotion is not None:
        return f"{what} is in use now. {NEXT}"
    return f"{what} has {len(standing.voters)} of {standing.needed} votes."


def back_text(character: str, model: Promotion | None) -> str:
    if model is None:
        return f"No model draws {plain(character, 60)} any more; the rig does."
    return f"{plain(character, 60)} is drawn by training {model.run_id}, step {model.step}, again."


# Pictures


def pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def pictures_text(character: str, images: Sequence[TrainingImage]) -> str:
    lines = [f"{plain(character, 60)} has {pictures(len(images))}. {ADVICE}"]
    lines += [
        f"`{number:>2}` `{image.sha256[:8]}` {image.width}x{image.height}"
        + "".join(f" · {plain(remark, 120)}" for remark in image.remarks)
        for number, image in enumerate(images, 1)
    ]
    return "\n".join(lines)[:4000]


def upload_embed(received: Received, count: int, sheet: str | None) -> discord.Embed:
    """What became of an upload; `count` is how many pictures the character has now."""
    embed = discord.Embed(
        title=f"Pictures of {plain(received.character, 100)}",
        description="\n".join(_upload_lines(received, count))[:4000],
        colour=_upload_colour(received.job.state),
    )
    if sheet is not None:
        embed.set_image(url=f"attachment://{sheet}")
    embed.set_footer(text=upload_mark(received))
    return embed


def _upload_lines(received: Received, count: int) -> list[str]:
    job, intake = received.job, received.intake
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        return ["They are being looked at…"]
    if intake is None:
        return [f"They could not be looked at: {plain(job.error, 1000)} Send them again."]
    has = f"{plain(received.character, 60)} has {pictures(count)} now."
    remarks = [
        f"`{p.letter}` {plain(p.name, 60)}: {plain(' '.join(p.remarks), 250)}"
        for p in intake.taken
        if p.remarks
    ]
    refused = [f"`{p.letter}` not taken: {plain(p.reason, 300)}" for p in intake.refused]
    taken = f"{pictures(len(intake.taken))} taken, {len(intake.refused)} refused."
    return [f"{taken} {has} {ADVICE}", *remarks, *refused]


def _upload_colour(state: JobState) -> int:
    colours = {JobState.SUCCEEDED: GREEN, JobState.FAILED: RED, JobState.CANCELLED: RED}
    return colours.get(state, BLUE)


def upload_mark(received: Received) -> str:
    return f"upload {received.job.id} · {received.job.created_at:%Y-%m-%d %H:%M:%S} UTC"
