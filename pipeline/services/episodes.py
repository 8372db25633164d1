"""What people can ask for about episodes: make, write, edit, render again, cancel, look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from pipeline.config import StudioConfig
from pipeline.engine import Engine
from pipeline.errors import UserError
from pipeline.providers.writers.topics import spoken_topic
from pipeline.safety import refusal
from pipeline.script_files import read_script
from pipeline.sections import (
    Brief,
    Emotion,
    Images,
    Line,
    Premise,
    Preview,
    Script,
    Video,
    Voices,
)
from pipeline.services.bookkeeping import Bookkeeping
from pipeline.shows import Show
from pipeline.typed_text import one_line
from pipeline.workflow import LAST_STAGE, stages_of_a_reel
from storage.database import Database
from storage.episodes import Episodes
from storage.errors import RecordNotFound
from storage.files import write_atomically
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.messages import Messages
from storage.records import Episode, Job, Revision
from storage.states import EpisodeState


@dataclass(frozen=True)
class EpisodeView:
    """An episode with its current revision, read for showing."""

    episode: Episode
    revision: Revision
    brief: Brief | None
    script: Script | None
    voices: Voices | None
    images: Images | None
    video: Video | None
    preview: Preview | None


class EpisodeService:
    """Every method is one wish of a person; `who` is how the history names them."""

    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        engine: Engine,
        bookkeeping: Bookkeeping,
        show: Show,
        config: StudioConfig,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._folder = folder
        self._engine = engine
        self._bookkeeping = bookkeeping
        self._show = show
        self._config = config
        self._clock = clock
        self._episodes = Episodes(db)
        self._jobs = Jobs(db)
        self._messages = Messages(db)

    async def make(
        self, topic: str | None, who: str, *, until: str = LAST_STAGE, days: int = 1
    ) -> Episode:
        """A new episode, made up to a stage; without a topic the best trend of the last days."""
        if topic is not None:
            topic = speakable_topic(topic)
            if reason := await self._bookkeeping.refusal_of(topic):
                raise UserError(reason)
        async with self._db.transaction():
            episode = await self._episodes.create(
                topic=topic or "", requested_by=who, now=self._clock()
            )
            first = "script"
            if topic is not None:
                await self._bookkeeping.write_brief(episode, topic)
            elif not await self._bookkeeping.choose_topic(episode, days=days):
                first = "trends"
            await self._engine.queue(
                first, episode_id=episode.id, revision=episode.revision, until_stage=until
            )
        return await self._episodes.get(episode.id)

    async def make_of_premise(
        self,
        topic: str,
        premise: Premise,
        who: str,
        *,
        source: str,
        headlines: tuple[str, ...] = (),
        best_before: datetime | None = None,
    ) -> Episode:
        """A new episode of what somebody has chosen from pitches, made up to its draft.

        InvalidTransition when the topic has become another episode meanwhile.
        """
        async with self._db.transaction():
            episode = await self._episodes.create(
                topic=topic,
                source=source,
                requested_by=who,
                best_before=best_before,
                now=self._clock(),
            )
            await self._bookkeeping.use_topic(episode, topic)
            await self._bookkeeping.write_brief(episode, topic, source, headlines, premise)
            await self._engine.queue(
                "script",
                episode_id=episode.id,
                revision=episode.revision,
                until_stage=LAST_STAGE,
            )
        return episode

    async def from_script(self, script: Script, who: str) -> Episode:
        """The episode a script belongs to, or a new one for a script that has none."""
        known = await self._episode_of(script)
        if known is not None:
            return known
        topic = script.metadata.trends[0] if script.metadata.trends else script.lines[0].text
        async with self._db.transaction():
            episode = await self._episodes.create(
                topic=topic[:120], requested_by=who, now=self._clock()
            )
            await self._bookkeeping.write_brief(episode, topic[:120])
            await self._save_script(episode.id, episode.revision, script)
        return episode

    async def render(self, episode_id: int, *, until: str = LAST_STAGE) -> Job | None:
        """Queue what the current revision still lacks up to a stage; None when nothing does."""
        episode = await self._episodes.get(episode_id)
        revision = await self._episodes.revision(episode_id, episode.revision)
        for stage in stages_of_a_reel(until):
            if stage not in revision.sections:
                return await self._engine.queue(
                    stage, episode_id=episode_id, revision=revision.number, until_stage=until
                )
        return None

    async def run_stage(self, episode_id: int, stage: str) -> Job:
        """Queue one stage of the current revision alone."""
        episode = await self._episodes.get(episode_id)
        return await self._engine.queue(stage, episode_id=episode_id, revision=episode.revision)

    async def edit_line(
        self, episode_id: int, index: int, text: str, emotion: Emotion | None, who: str
    ) -> Episode:
        """A new revision with one line changed; the old approvals are void."""
        async with self._db.transaction():
            view = await self.view(episode_id)
            script = _need_script(view)
            line = next((line for line in script.lines if line.index == index), None)
            if line is None:
                raise UserError(
                    f"Episode {episode_id} has lines 1 to {len(script.lines)}, not {index}."
                )
            changed = self._with_line(script, _changed(line, text, emotion))
            return await self._revise(view.episode, who, f"line {index} changed", changed)

    async def again(self, episode_id: int, who: str, *, revision: int | None = None) -> Episode:
        """A new revision from a new script on the same topic.

        `revision` is the one that was looked at: when it is superseded nothing happens, so the
        second of two clicks is harmless.
        """
        async with self._db.transaction():
            episode = await self._episodes.get(episode_id)
            if revision is not None and revision != episode.revision:
                return episode
            return await self._revise(episode, who, "made again", None)

    async def cancel(self, job_id: int) -> Job:
        """Stop one job, and with it the chain it belongs to."""
        return await self._engine.cancel(job_id)

    async def view(self, episode_id: int) -> EpisodeView:
        """RecordNotFound when there is no such episode."""
        episode = await self._episodes.get(episode_id)
        revision = await self._episodes.revision(episode_id, episode.revision)
        made = revision.sections
        return EpisodeView(
            episode=episode,
            revision=revision,
            brief=Brief.model_validate_json(made["brief"]) if "brief" in made else None,
            script=Script.model_validate_json(made["script"]) if "script" in made else None,
            voices=Voices.model_validate_json(made["voices"]) if "voices" in made else None,
            images=Images.model_validate_json(made["images"]) if "images" in made else None,
            video=Video.model_validate_json(made["video"]) if "video" in made else None,
            preview=Preview.model_validate_json(made["preview"]) if "preview" in made else None,
        )

    async def newest(self, *states: EpisodeState, limit: int = 25) -> list[Episode]:
        """The newest episodes first, for lists and autocomplete."""
        return await self._episodes.newest(*states, limit=limit)

    async def open_jobs(self, episode_id: int | None = None) -> list[Job]:
        """Queued and running jobs of an episode, or all of them; oldest first."""
        return await self._jobs.open(episode_id)

    async def jobs_of(self, episode_id: int) -> list[Job]:
        """All jobs there ever were for an episode, the oldest first."""
        return await self._jobs.of_episode(episode_id)

    # Inside

    def _with_line(self, script: Script, changed: Line) -> Script:
        lines = tuple(changed if each.index == changed.index else each for each in script.lines)
        new = script.model_copy(update={"lines": lines})
        return read_script(new.model_dump_json(), self._show, self._config.script)

    async def _revise(
        self, episode: Episode, who: str, reason: str, script: Script | None
    ) -> Episode:
        async with self._db.transaction():
            now = self._clock()
            for job in await self._jobs.open(episode.id):
                await self._engine.cancel(job.id)
            revised = await self._episodes.new_revision(
                episode.id, copying=("brief",), who=who, now=now, reason=reason
            )
            for draft in await self._messages.open("draft", episode.id):
                await self._messages.close(draft.message_id, now=now)
            if script is not None:
                await self._save_script(episode.id, revised.revision, script)
            await self._engine.queue(
                "script" if script is None else "voices",
                episode_id=episode.id,
                revision=revised.revision,
                until_stage=LAST_STAGE,
            )
        return revised

    async def _save_script(self, episode_id: int, revision: int, script: Script) -> None:
        """The database's copy is the truth; the file is there for people and programs."""
        own = script.model_copy(update={"episode": episode_id})
        await self._episodes.save_section(episode_id, revision, "script", own.model_dump_json())
        file = self._folder.revision(episode_id, revision) / "script.json"
        write_atomically(file, own.model_dump_json(indent=1).encode())

    async def _episode_of(self, script: Script) -> Episode | None:
        if not isinstance(script.episode, int):
            return None
        try:
            episode = await self._episodes.get(script.episode)
            stored = await self._episodes.section(episode.id, episode.revision, "script")
        except RecordNotFound:
            return None
        same = Script.model_validate_json(stored).lines == script.lines
        return episode if same else None


def speakable_topic(topic: str) -> str:
    """A topic as a person gives it, cleaned; UserError with the reason when it is refused."""
    topic = one_line(topic)
    if not topic:
        raise UserError("The topic is empty; write what the reel is about.")
    if len(topic) > 120:
        raise UserError("The topic is longer than 120 characters; shorten it.")
    if reason := refusal(topic):
        raise UserError(reason)
    spoken_topic(topic)  # raises when a voice could not say it
    return topic


def _changed(line: Line, text: str, emotion: Emotion | None) -> Line:
    try:
        return Line(
            index=line.index,
            character=line.character,
            text=" ".join(text.split()),
            emotion=emotion or line.emotion,
        )
    except ValidationError:
        raise UserError("A line has 1 to 280 characters; shorten or fill it.") from None


def _need_script(view: EpisodeView) -> Script:
    if view.script is None:
        raise UserError(f"Episode {view.episode.id} has no script yet; wait until it is written.")
    return view.script
