"""Pictures that people send to train a character with: received, looked at, listed, removed.

The bytes are kept as incoming files and not looked into here: the intake stage, in a worker
without keys, makes pictures of them or says why not.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.engine import Engine, JobEvent
from pipeline.errors import UserError
from pipeline.facts import KnownPicture
from pipeline.facts import Uploads as UploadsFact
from pipeline.sections import Intake
from pipeline.services.incoming import Arrived, IncomingFile, IncomingFiles
from pipeline.shows import Show
from storage.database import Database
from storage.folder import DataFolder
from storage.jobs import OPEN, Jobs
from storage.records import Job, TrainingImage, TrainingUpload
from storage.training_images import TrainingImages
from storage.training_uploads import TrainingUploads

log = logging.getLogger(__name__)

STAGE = "intake"
MOST_FILES = 10
"""In one upload; what a Discord message can hold, too."""
MOST_PICTURES = 60
"""Of one character; 15 to 25 are usual."""
SHORTEST_SHA = 4
"""Digits of a hash; fewer are a number."""
OURS = re.compile(r"[0-9a-f]{64}\.png|\.[0-9a-f]{64}\.png\.\d+\.part")
"""Names that the intake stage gives; whatever else lies there belongs to somebody."""


@dataclass(frozen=True)
class Received:
    """An upload and its job; `intake` is there once that has succeeded."""

    job: Job
    character: str
    uploaded_by: str
    intake: Intake | None
    channel_id: int | None
    message_id: int | None


class Uploads:
    """`who` is how the history names a person; who may upload is checked by the caller."""

    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        engine: Engine,
        show: Show,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._folder = folder
        self._engine = engine
        self._show = show
        self._clock = clock
        self._jobs = Jobs(db)
        self._images = TrainingImages(db)
        self._uploads = TrainingUploads(db)
        self._incoming = IncomingFiles(folder.path)

    # What people ask for

    async def take(self, character: str, files: Sequence[IncomingFile], who: str) -> Job:
        """Receive files and queue their intake; UserError when there is nothing to look at.

        A file that is too large is refused without the others. What `read` raises comes through;
        then nothing is kept.
        """
        name = self._show.character(character).name
        if not files:
            raise UserError(f"Attach at least one picture of {name}: JPEG, PNG or WebP.")
        if len(files) > MOST_FILES:
            raise UserError(f"Send at most {MOST_FILES} pictures at once, not {len(files)}.")
        await self._refuse_without_room(name, len(files))
        await self.tidy()
        arrived = await self._incoming.receive(files)
        try:
            if not arrived.uploads:
                raise UserError(arrived.refused[0].reason)
            job = await self._queue(name, arrived, who)
        except Exception:  # not when cancelled: the job may be there for all we know
            self._incoming.discard(arrived.uploads)
            raise
        finally:
            self._incoming.settled(arrived.uploads)
        return job

    async def of(self, character: str) -> list[TrainingImage]:
        """The oldest first; their numbers count from 1 in this order."""
        return await self._images.of(self._show.character(character).name)

    async def counts(self) -> dict[str, int]:
        """How many pictures each character of the show has."""
        counted = await self._images.count()
        return {c.name: counted.get(c.name.casefold(), 0) for c in self._show.characters}

    async def remove(self, character: str, which: str | int, who: str) -> TrainingImage:
        """Take a picture away for good: by its number, or the first digits of its hash."""
        name = self._show.character(character).name
        async with self._db.transaction():
            if await self._open(name):
                raise UserError(
                    f"New pictures of {name} are being looked at; remove one when that is done."
                )
            image = _chosen(await self._images.of(name), str(which).strip().lower(), name)
            await self._images.remove(image.id)
        # At once, so that nobody can have written the same picture again in between.
        self._folder.resolve(image.path).unlink(missing_ok=True)
        log.info("picture %s of %s was removed by %s", image.sha256[:8], name, who)
        return image

    # What is shown

    async def upload(self, job_id: int) -> Received:
        async with self._db.transaction():  # the job as it is with this row, not after it
            return await self._received(await self._uploads.get(job_id))

    async def untold(self) -> list[Received]:
        """Uploads whose job has ended without anybody having been shown how."""
        async with self._db.transaction():
            received = [await self._received(row) for row in await self._uploads.untold()]
        return [upload for upload in received if upload.job.state not in OPEN]

    async def posted(self, job_id: int, *, channel_id: int, message_id: int) -> None:
        """Remember the message that shows an upload."""
        await self._uploads.posted(job_id, channel_id=channel_id, message_id=message_id)

    async def told(self, job_id: int) -> None:
        """People have been shown how it ended."""
        await self._uploads.told(job_id, now=self._clock())

    # What follows by itself

    def heard(self, event: object) -> None:
        """Listener of the jobs' events: what arrived is not needed once its job has ended."""
        if isinstance(event, JobEvent) and event.job.stage == STAGE:
            over = event.job.state not in OPEN
            self._incoming.discard(_fact(event.job).files if over else ())

    async def tidy(self) -> None:
        """Remove what no row and no open job knows: a crash or a stopped job has left it."""
        async with self._db.transaction():  # nobody can queue, claim or settle meanwhile
            facts = [_fact(job) for job in await self._open()]
            self._incoming.remove_others(upload for fact in facts for upload in fact.files)
            busy = {fact.character for fact in facts}
            for character in self._show.characters:
                if character.name not in busy:
                    await self._remove_unknown(character.name)

    async def _remove_unknown(self, character: str) -> None:
        kept = {image.path for image in await self._images.of(character)}
        folder = pictures_folder(character)
        for path in (self._folder.path / folder).glob("*"):
            if OURS.fullmatch(path.name) and f"{folder}/{path.name}" not in kept:
                path.unlink()
                log.info("removed %s/%s, which has no row", folder, path.name)

    async def _refuse_without_room(self, character: str, count: int) -> None:
        """Pictures on their way count, so that two uploads at once cannot pass the limit."""
        have = (await self._images.count()).get(character.casefold(), 0)
        coming = sum(len(_fact(job).files) for job in await self._open(character))
        if (room := MOST_PICTURES - have - coming) < count:
            left = f"there is room for {room} more" if room > 0 else "there is no room for more"
            raise UserError(
                f"{character} can have {MOST_PICTURES} pictures and has {have + coming}, so {left}."
            )

    async def _queue(self, character: str, arrived: Arrived, who: str) -> Job:
        async with self._db.transaction():
            await self._refuse_without_room(character, len(arrived.uploads))
            fact = UploadsFact(
                character=character,
                files=arrived.uploads,
                refused=arrived.refused,
                known=tuple(_known(image) for image in await self._images.of(character)),
                uploaded_by=who,
            )
            job = await self._engine.queue(STAGE, facts={"uploads": fact})
            await self._uploads.create(job.id, character, who, now=self._clock())
        return job

    async def _open(self, character: str | None = None) -> list[Job]:
        jobs = [job for job in await self._jobs.open() if job.stage == STAGE]
        return [job for job in jobs if character in (None, _fact(job).character)]

    async def _received(self, row: TrainingUpload) -> Received:
        return Received(
            job=await self._jobs.get(row.job_id),
            character=row.character,
            uploaded_by=row.uploaded_by,
            intake=Intake.model_validate_json(row.result) if row.result else None,
            channel_id=row.channel_id,
            message_id=row.message_id,
        )


def pictures_folder(character: str) -> str:
    """Relative to DATA_DIR; a character's name is made of letters."""
    return f"training/{character.lower()}"


def _fact(job: Job) -> UploadsFact:
    return UploadsFact.model_validate(json.loads(job.facts)["uploads"])


def _known(image: TrainingImage) -> KnownPicture:
    return KnownPicture(
        sha256=image.sha256, source_sha256=image.source_sha256, average_hash=image.average_hash
    )


def _chosen(images: list[TrainingImage], which: str, character: str) -> TrainingImage:
    """UserError unless exactly one picture is meant."""
    if which.isascii() and which.isdigit() and len(which) < SHORTEST_SHA:
        if 1 <= int(which) <= len(images):
            return images[int(which) - 1]
        raise UserError(f"{character} has {len(images)} pictures; there is no number {which}.")
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_SHA},64}}", which):
        raise UserError(
            f"Name a picture by its number or by the first {SHORTEST_SHA} or more digits of its "
            "hash, as the list shows them."
        )
    found = [image for image in images if image.sha256.startswith(which)]
    if len(found) > 1:
        raise UserError(f"{len(found)} pictures of {character} begin with {which}; give more.")
    if not found:
        raise UserError(f"No picture of {character} begins with {which}; the list shows them all.")
    return found[0]
