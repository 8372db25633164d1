"""What the command line does without Discord: the same services and engine, one wish at a time."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import discord

from bot.app import open_studio, utc_now
from bot.choices import voices_config
from bot.client import default_intents, set_rest_base
from bot.console import console, progress_of
from bot.studio import Studio
from cogs._votes import DiscordVotes
from pipeline.attempts import ErrorKind
from pipeline.errors import ProviderError, UserError
from pipeline.providers.voices.ids import refuse_voiceless
from pipeline.script_files import read_script
from pipeline.services.episodes import speakable_topic
from pipeline.shows import load_show
from pipeline.workflow import LAST_STAGE
from storage.database import Database
from storage.episodes import Episodes
from storage.errors import RecordNotFound
from storage.files import write_atomically
from storage.folder import DataFolder
from storage.records import Episode, Job, Trend, TrendSource
from storage.states import EpisodeState, JobState, PostState
from storage.trend_sources import TrendSources
from storage.trends import Trends

if TYPE_CHECKING:
    from bot.settings import Settings
    from pipeline.services.episodes import EpisodeView

WHO = "command line"


@asynccontextmanager
async def working_studio(settings: Settings, holder: str) -> AsyncIterator[Studio]:
    """A studio whose engine runs, with progress bars for whatever it does."""
    async with open_studio(settings, holder) as studio:
        with progress_of(studio):
            await studio.start_engine()
            yield studio


async def init_database(settings: Settings) -> None:
    folder = DataFolder(settings.data_dir)
    with folder.lock("emf db init"):
        async with await Database.open(folder.database) as database:
            health = await database.check()
    _say(f"{folder.database} is ready (schema {health.version}).")


async def check_database(settings: Settings) -> int:
    async with existing_database(settings) as database:
        health = await database.check()
    for problem in health.problems:
        console.print(problem, markup=False)
    if not health.problems:
        _say(f"{database.path} is fine (schema {health.version}).")
    return 1 if health.problems else 0


async def back_up_database(settings: Settings, file: Path) -> None:
    if not file.absolute().parent.is_dir():
        raise UserError(f"There is no folder {file.parent}; make it first.")
    async with existing_database(settings) as database:
        await database.backup(file)
    _say(str(file))


async def fetch_trends(settings: Settings, *, days: int, limit: int) -> None:
    async with working_studio(settings, "emf trends fetch") as studio:
        job = await studio.trends.fetch(insist=True)
        await studio.engine.finished()
        for done in await studio.trends.history():
            if done.id == job.id and done.state is not JobState.SUCCEEDED:
                raise ProviderError("trends", done.error, True)
        found = await studio.trends.listed(days=days, limit=limit)
        failing = await studio.trends.failing()
    _show_trends(found, failing)


async def list_trends(settings: Settings, *, days: int, limit: int) -> None:
    async with existing_database(settings) as database:
        newest = await Trends(database).newest(limit)
        failing = await TrendSources(database).failing()
    oldest = (utc_now() - timedelta(days=days)).date().isoformat()
    _show_trends([trend for trend in newest if trend.day >= oldest], failing)


async def write_script(
    settings: Settings, *, topic: str | None, days: int, output: Path | None
) -> None:
    check_output(output)
    _check_topic(topic)
    async with working_studio(settings, "emf script") as studio:
        episode = await studio.episodes.make(topic, WHO, until="script", days=days)
        view = await _finished(studio, episode.id, "script")
        assert view.script is not None
        path = _artefact(studio, view, "script.json")
        _copy_out(path, output)
        for line in view.script.lines:
            console.print(f"{line.character} ({line.emotion}): {line.text}", markup=False)
    _say(str(output or path))


async def stage_of_script(settings: Settings, file: Path, stage: str, artefact: str) -> None:
    show = load_show(settings.show, settings.data_dir)
    script = read_script(file, show, settings.studio_config().script)
    async with working_studio(settings, f"emf {stage}") as studio:
        episode = await studio.episodes.from_script(script, WHO)
        view = await studio.episodes.view(episode.id)
        if stage not in view.revision.sections:
            await studio.episodes.run_stage(episode.id, stage)
            view = await _finished(studio, episode.id, stage)
        path = _artefact(studio, view, artefact)
        console.print(f"episode {episode.id}")
    _say(str(path))


async def make_video(settings: Settings, episode_id: int, *, output: Path | None) -> None:
    check_output(output)
    await _check_episode(settings, episode_id)
    async with working_studio(settings, "emf video") as studio:
        await studio.episodes.render(episode_id, until="video")
        view = await _finished(studio, episode_id, "video")
        path = _artefact(studio, view, "reel.mp4")
        _copy_out(path, output)
    _say(str(output or path))


async def make_reel(settings: Settings, topic: str | None) -> None:
    _check_topic(topic)
    refuse_voiceless(voices_config(settings), load_show(settings.show, settings.data_dir))
    async with working_studio(settings, "emf make") as studio:
        episode = await _to_go_on_with(studio, topic)
        if episode is None:
            episode = await studio.episodes.make(topic, WHO)
        else:
            console.print(f"Going on with episode {episode.id}.")
            await studio.episodes.render(episode.id)
        view = await _finished(studio, episode.id, "preview")
        path = _artefact(studio, view, "reel.mp4")
    _say(str(path))


async def publish(settings: Settings, episode_id: int, *, dry_run: bool) -> int:
    """Post an approved episode, or say what would stop it; 1 when it is not public afterwards."""
    await _check_episode(settings, episode_id)
    async with open_studio(settings, "emf publish") as studio, reading_votes(studio):
        if dry_run:
            findings = await studio.publishing.dry_run(episode_id)
            _say("\n".join(findings) or f"Episode {episode_id} could go out as it is.")
            return 1 if findings else 0
        post = await studio.publishing.post_now(episode_id, WHO)
    public = post.state is PostState.PUBLISHED
    _say(post.permalink or post.media_id or post.error if public else post.error)
    return 0 if public else 1


@asynccontextmanager
async def reading_votes(studio: Studio) -> AsyncIterator[None]:
    """Reactions are read over REST; without a token nothing can be posted."""
    token = studio.settings.discord_token
    if token is None:
        yield
        return
    if not studio.guild_id or not studio.approver_role_id:
        raise UserError(
            "DISCORD_GUILD_ID and DISCORD_APPROVER_ROLE_ID must be set to read the approvals."
        )
    set_rest_base(studio.settings.discord_api_url)
    async with discord.Client(intents=default_intents()) as client:
        try:
            await client.login(token.get_secret_value())
        except (discord.DiscordException, OSError) as error:
            raise ProviderError("Discord", f"the login failed ({error})", True) from error
        reader = DiscordVotes(client, guild_id=studio.guild_id, role_id=studio.approver_role_id)
        studio.votes.read_through(reader)
        yield


async def _to_go_on_with(studio: Studio, topic: str | None) -> Episode | None:
    """The newest episode of this topic (or any) that an earlier `emf make` left unfinished."""
    wanted = None if topic is None else speakable_topic(topic)
    for episode in await studio.episodes.newest(EpisodeState.DRAFT, limit=200):
        if episode.requested_by == WHO and wanted in (None, episode.topic):
            jobs = await studio.episodes.jobs_of(episode.id)
            if any(_is_unfinished(job) for job in jobs[-1:]):
                return episode
    return None


def _is_unfinished(job: Job) -> bool:
    """The last one of an episode: interrupted, or failed behind a script that was paid for.

    A script that failed is begun anew, for its topic may be why; so is what a bug stopped.
    """
    if job.until_stage != LAST_STAGE:
        return False
    if job.state is not JobState.FAILED:
        return job.state in (JobState.QUEUED, JobState.RUNNING)
    outside = job.error_kind in (ErrorKind.USER, ErrorKind.PROVIDER)
    return outside and job.stage not in ("trends", "script")


@asynccontextmanager
async def existing_database(settings: Settings) -> AsyncIterator[Database]:
    """For looking: no lock, so it works beside a running bot."""
    folder = DataFolder(settings.data_dir)
    if not folder.database.exists():
        raise UserError(f"There is no database in {settings.data_dir}; `emf db init` makes one.")
    async with await Database.open(folder.database, migrate=False) as database:
        yield database


async def _finished(studio: Studio, episode_id: int, stage: str) -> EpisodeView:
    """Wait for the chain; raise what stopped it."""
    await studio.engine.finished(episode_id, or_waiting=True)
    view = await studio.episodes.view(episode_id)
    if stage in view.revision.sections:
        return view
    jobs = await studio.episodes.jobs_of(episode_id)
    if not jobs:
        raise RecordNotFound(f"Episode {episode_id} has no {stage}.")
    error = jobs[-1].error or f"The {jobs[-1].stage} stage was stopped."
    if jobs[-1].error_kind in ("user", "budget"):
        raise UserError(error)
    raise ProviderError(jobs[-1].stage, error.rstrip("."), True)


def _artefact(studio: Studio, view: EpisodeView, name: str) -> Path:
    return studio.folder.revision(view.episode.id, view.revision.number) / name


# Wrong input is refused before DATA_DIR is made, locked or painted into.


def _check_topic(topic: str | None) -> None:
    if topic is not None:
        speakable_topic(topic)


async def _check_episode(settings: Settings, episode_id: int) -> None:
    async with existing_database(settings) as database:
        await Episodes(database).get(episode_id)


def check_output(output: Path | None) -> None:
    """Before minutes of work: a plain file, new or old, in a folder that is there."""
    if output is None:
        return
    other = output.is_symlink() or (output.exists() and not output.is_file())
    if other or not output.absolute().parent.is_dir():
        raise UserError(f"--output {output} cannot be written; name a file in an existing folder.")


def _copy_out(made: Path, output: Path | None) -> None:
    if output is not None:
        write_atomically(output, made.read_bytes())


def _show_trends(found: list[Trend], failing: list[TrendSource]) -> None:
    for trend in found:
        note = trend.refused_because or ""
        if trend.used_in_episode is not None:
            note = f"used in episode {trend.used_in_episode}"
        _say(f"{trend.score:4.2f}  {trend.day}  {trend.source:10}  {trend.name}  {note}".rstrip())
    if not found:
        _say("No trends are stored yet; `emf trends fetch` asks for them.")
    for source in failing:
        console.print(f"{source.name} did not answer: {source.error}.", markup=False)


def _say(text: str) -> None:
    """The result, on standard output; everything else goes to standard error."""
    sys.stdout.write(text + "\n")
