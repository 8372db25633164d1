"""What the engine asks before a stage and tells after it; runs inside its transactions.

Here a stage's result becomes rows: topics are stored and chosen, pictures counted, a finished
reel gets its fingerprint and goes into review.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from pipeline.errors import UserError
from pipeline.facts import Memory, Models, PreviewLimit, Rejection, Topic, Topics
from pipeline.sections import (
    Brief,
    Drawings,
    Images,
    Intake,
    Pitch,
    Pitches,
    Premise,
    Preview,
    RefusedPicture,
    Script,
    Section,
    TakenPicture,
    Trends,
    Video,
)
from pipeline.services.gpu import Gpu
from pipeline.services.shelf import Shelf
from pipeline.services.topics import TOPIC_WINDOW, TopicBook
from pipeline.shows import Show
from storage.database import Database
from storage.episodes import Episodes
from storage.notes import Notes
from storage.pitches import NewPitch, PitchBoards
from storage.records import Episode, Job
from storage.rejections import Rejections
from storage.states import EpisodeState
from storage.training_images import NewTrainingImage, TrainingImages
from storage.training_uploads import TrainingUploads
from storage.trends import Trends as TrendRows

REELS_REMEMBERED = 60
"""How far back the writer looks, so that it does not repeat itself."""
MOST_TOPICS_PITCHED = 12
"""What a writer is given to choose from."""
DAYS_PITCHED = 2
"""Pitches are of the topics of today and yesterday (UTC)."""
MEMORY_OF_REJECTIONS = timedelta(days=30)
"""How long the reason of a rejection is a rule for new scripts."""
MOST_REJECTIONS = 12
SHELF_LIFE = timedelta(hours=48)
"""How long a reel about today's topic is worth posting."""
UPLOAD_LIMIT = "upload_limit"
"""Note: the largest file, in bytes, that the Discord server takes."""
DEFAULT_UPLOAD_LIMIT = 10 * 1024 * 1024
"""Discord's limit for a server without boosts."""
NO_DRAWING = "Nothing was drawn for this reel, as a network is being trained."
EVERGREEN = "evergreen"
"""Source of the bundled topics, which do not spoil."""


def spoils_at(source: str, now: datetime) -> datetime | None:
    """Topics from a feed spoil; bundled ones and those given by hand do not."""
    return None if source in (EVERGREEN, "hand") else now + SHELF_LIFE


class Bookkeeping:
    """Implements the engine's hooks over the repositories.

    `mark` makes the fingerprint out of (video's SHA-256, cover's SHA-256, caption). While the
    `gpu` is taken an episode gets no model to draw with, and no episode waits for it.
    """

    def __init__(
        self,
        db: Database,
        *,
        show: Show,
        mark: Callable[[str, str, str], str],
        clock: Callable[[], datetime],
        gpu: Gpu,
    ) -> None:
        self._episodes = Episodes(db)
        self._gpu = gpu
        self._shelf = Shelf(db, show=show, clock=clock)
        self._notes = Notes(db)
        self._trends = TrendRows(db)
        self._topics = TopicBook(db, clock=clock)
        self._boards = PitchBoards(db)
        self._rejections = Rejections(db)
        self._training_images = TrainingImages(db)
        self._uploads = TrainingUploads(db)
        self._show = show
        self._mark = mark
        self._clock = clock

    async def facts(self, job: Job, stage: str) -> dict[str, Section]:
        """The arguments of a stage that come from the database."""
        if stage == "trends":
            return {"sources": await self._topics.sources()}
        if stage in ("script", "pitches"):
            return {"memory": await self._memory()}
        if stage == "images":
            return {"library": await self._shelf.library(), "models": await self._models()}
        if stage == "preview":
            limit = await self._notes.get(UPLOAD_LIMIT)
            return {"limit": PreviewLimit(bytes=int(limit or DEFAULT_UPLOAD_LIMIT))}
        return {}

    async def settled(self, job: Job, stage: str, result: Section) -> None:
        """Turn a stage's result into rows, in the transaction that settles its job."""
        if isinstance(result, Trends):
            await self._store_trends(job, result)
        elif isinstance(result, Pitches):
            await self._fill_board(job, result)
        elif isinstance(result, Intake):
            await self._store_pictures(job, result)
        elif isinstance(result, Images):
            await self._shelf.count(result)
        elif isinstance(result, Drawings):
            await self._shelf.propose(result)
        elif isinstance(result, Video):
            await self._shelf.count(result)
            await self._stamp(result, job.revision or 1)
        elif isinstance(result, Preview):
            await self._into_review(result.episode)

    async def failed(self, job: Job) -> None:
        """Nothing to take back: what earlier stages made stays, and a retry goes on from it."""

    async def choose_topic(self, episode: Episode, *, days: int = 1) -> bool:
        """Give an episode the best topic of the last days that may be used; False: there is none.

        One day is today. Topics that people can choose as a pitch are left to them.
        """
        now = self._clock()
        pitched = await self._boards.pitched_topics()
        found = await self._topics.usable(days=days, most=1, exclude=pitched)
        if not found:
            return False
        trend = found[0]
        await self._trends.mark_used(trend.id, episode.id)
        await self._episodes.set_topic(
            episode.id,
            topic=trend.name,
            source=trend.source,
            best_before=spoils_at(trend.source, now),
            now=now,
        )
        await self.write_brief(episode, trend.name, trend.source, trend.headlines)
        return True

    async def use_topic(self, episode: Episode, name: str) -> None:
        """The episode is about this trend; InvalidTransition when another one is."""
        if (trend := await self._trends.newest_named(name)) is not None:
            await self._trends.mark_used(trend.id, episode.id)

    async def topics(self, count: int, exclude: Collection[str] = ()) -> Topics:
        """What may be pitched, the best first: of today and yesterday, nothing near `exclude`."""
        found = await self._topics.usable(
            days=DAYS_PITCHED, most=MOST_TOPICS_PITCHED, exclude=exclude
        )
        return Topics(
            topics=tuple(
                Topic(name=trend.name, source=trend.source, headlines=trend.headlines)
                for trend in found
            ),
            count=count,
        )

    async def refusal_of(self, topic: str) -> str | None:
        """Why a topic given by hand is refused by the headlines it was fetched with lately."""
        return await self._topics.refusal_of(topic)

    async def write_brief(
        self,
        episode: Episode,
        topic: str,
        source: str = "hand",
        headlines: tuple[str, ...] = (),
        premise: Premise | None = None,
    ) -> None:
        """What the writer of this revision is asked for."""
        brief = Brief(
            episode=episode.id,
            topic=topic,
            headlines=headlines,
            source=source,
            premise=premise,
            created_at=self._clock(),
        )
        await self._episodes.save_section(
            episode.id, episode.revision, "brief", brief.model_dump_json()
        )

    async def _store_trends(self, job: Job, found: Trends) -> None:
        await self._topics.store(found.items)
        await self._topics.remember(found.sources)
        if job.episode_id is None:
            return
        if not await self.choose_topic(await self._episodes.get(job.episode_id)):
            raise UserError(
                "Every topic of today is used, refused or pitched; "
                "give one by hand: /make with a topic."
            )

    async def _fill_board(self, job: Job, made: Pitches) -> None:
        """Open the board of this job with what was asked for: its topics, each once, so many."""
        board = await self._boards.of_job(job.id)
        if board is None:
            return
        asked = Topics.model_validate(json.loads(job.facts)["topics"])
        free = {name.casefold() for name in await self._free_names()}
        topics = {t.name.casefold(): t for t in asked.topics if t.name.casefold() in free}
        pitches = []
        for pitch in made.pitches:
            # A writer may repeat a topic, or make one up that nobody has looked at.
            if (topic := topics.pop(pitch.topic.casefold(), None)) is not None:
                pitches.append(_new_pitch(pitch, topic))
        if not pitches:
            raise UserError("None of the pitches was about a topic that may be used; try again.")
        await self._boards.fill(board.id, pitches[: board.count])

    async def _store_pictures(self, job: Job, looked_at: Intake) -> None:
        """Rows of what was taken; what another upload has brought meanwhile is refused."""
        taken, refused = [], list(looked_at.refused)
        for picture in looked_at.taken:
            image = _training_image(picture, looked_at)
            if await self._training_images.add(image, now=self._clock()):
                taken.append(picture)
            else:
                refused.append(_came_twice(picture))
        result = looked_at.model_copy(
            update={
                "taken": tuple(taken),
                "refused": tuple(sorted(refused, key=lambda picture: picture.number)),
            }
        )
        await self._uploads.settle(job.id, result.model_dump_json())

    async def _models(self) -> Models:
        models = await self._shelf.models()
        # Asked last: a run may begin meanwhile.
        return Models(why=NO_DRAWING) if self._gpu.is_taken else models

    async def _free_names(self) -> list[str]:
        since = self._clock() - TOPIC_WINDOW
        return [trend.name for trend in await self._trends.unused(since=since, limit=1000)]

    async def _memory(self) -> Memory:
        scripts = [
            Script.model_validate_json(text)
            for text in await self._episodes.latest_sections("script", REELS_REMEMBERED)
        ]
        now = self._clock()
        rejected = await self._rejections.recent(now - MEMORY_OF_REJECTIONS, MOST_REJECTIONS)
        return Memory(
            skeletons=tuple(s.metadata.skeleton for s in scripts if s.metadata.skeleton),
            texts=tuple(" ".join(line.text for line in s.lines) for s in scripts),
            topics=_topics_since(now - TOPIC_WINDOW, scripts),
            gags=_reels_since_gags(scripts),
            rejections=tuple(
                Rejection(reason=row.reason, words=row.words, topic=row.topic) for row in rejected
            ),
        )

    async def _stamp(self, video: Video, number: int) -> None:
        """Fix what people are about to judge: the fingerprint of all that would go out."""
        script = Script.model_validate_json(
            await self._episodes.section(video.episode, number, "script")
        )
        caption = self._show.post_text(video.episode, script.caption, script.hashtags)
        mark = self._mark(video.sha256, video.cover_sha256, caption)
        await self._episodes.set_fingerprint(video.episode, number, mark)

    async def _into_review(self, episode_id: int) -> None:
        episode = await self._episodes.get(episode_id)
        if episode.state is EpisodeState.DRAFT:
            await self._episodes.move(
                episode_id,
                EpisodeState.IN_REVIEW,
                who="studio",
                reason="the reel is finished",
                now=self._clock(),
            )


def _new_pitch(pitch: Pitch, topic: Topic) -> NewPitch:
    return NewPitch(
        topic=topic.name,
        source=topic.source,
        headlines=topic.headlines,
        hook=pitch.hook,
        last_line=pitch.last_line,
        why=pitch.why,
    )


def _training_image(picture: TakenPicture, looked_at: Intake) -> NewTrainingImage:
    return NewTrainingImage(
        character=looked_at.character,
        uploaded_by=looked_at.uploaded_by,
        **picture.model_dump(exclude={"number", "name"}),
    )


def _came_twice(picture: TakenPicture) -> RefusedPicture:
    reason = f"{picture.name} has come with another upload at the same time, so it is there."
    return RefusedPicture(number=picture.number, name=picture.name, reason=reason)


def _topics_since(since: datetime, scripts: list[Script]) -> tuple[str, ...]:
    """What the reels written since then are about, the newest first, each once."""
    recent = (
        s.metadata for s in scripts if s.metadata.created_at and s.metadata.created_at > since
    )
    return tuple(dict.fromkeys(topic for metadata in recent for topic in metadata.trends))


def _reels_since_gags(scripts: list[Script]) -> dict[str, int]:
    """Running gag -> how many reels ago it was last used; `scripts` are the newest first."""
    used = [(gag, ago) for ago, script in enumerate(scripts) for gag in script.metadata.gags]
    return dict(reversed(used))
