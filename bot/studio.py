"""What an open studio is: everything that bot/app.py has wired together, for cogs and commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from bot.settings import Settings
from pipeline.engine import Engine
from pipeline.errors import ProviderError
from pipeline.services.backlog import Backlog
from pipeline.services.drafts import Drafts
from pipeline.services.episodes import EpisodeService
from pipeline.services.figures import Figures
from pipeline.services.library import LibraryService
from pipeline.services.pictures import PictureBoards
from pipeline.services.pitching import Pitching
from pipeline.services.publishing import Publishing
from pipeline.services.reviews import Reviews, VoteReader
from pipeline.services.reviews import Votes as ReadVotes
from pipeline.services.spending import Spending
from pipeline.services.training import Training
from pipeline.services.trends import TrendService
from pipeline.services.uploads import Uploads
from pipeline.services.wishes import Wishes
from pipeline.shows import Show
from storage.database import Database
from storage.folder import DataFolder
from storage.records import Message

log = logging.getLogger(__name__)


class Votes:
    """Reads votes through whichever Discord client there is; without one nothing is posted."""

    def __init__(self) -> None:
        self._reader: VoteReader | None = None

    def read_through(self, reader: VoteReader) -> None:
        self._reader = reader

    async def votes(self, draft: Message) -> ReadVotes | None:
        return await self._connected().votes(draft)

    async def is_approver(self, user_id: int) -> bool:
        return await self._connected().is_approver(user_id)

    def _connected(self) -> VoteReader:
        if self._reader is None:
            raise ProviderError("Discord", "the reactions cannot be read without DISCORD_TOKEN")
        return self._reader


class Listeners:
    """Hands each event to everybody who asked for them; one that fails does not stop the others."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[object], None]] = []

    def add(self, callback: Callable[[object], None]) -> None:
        self._callbacks.append(callback)

    def __call__(self, event: object) -> None:
        for callback in self._callbacks:
            try:
                callback(event)
            except Exception:
                log.exception("a listener failed")


@dataclass(frozen=True)
class Studio:
    """Everything that is wired together; `guild_id` and the like are checked by `emf run`."""

    settings: Settings
    show: Show
    folder: DataFolder
    db: Database
    engine: Engine
    episodes: EpisodeService
    drafts: Drafts
    trends: TrendService
    spending: Spending
    library: LibraryService
    reviews: Reviews
    publishing: Publishing
    pitching: Pitching
    uploads: Uploads
    backlog: Backlog
    training: Training
    wishes: Wishes
    figures: Figures
    pictures: PictureBoards
    votes: Votes
    job_events: Listeners
    post_events: Listeners
    training_events: Listeners

    @property
    def guild_id(self) -> int:
        return self.settings.discord_guild_id or 0

    @property
    def approver_role_id(self) -> int:
        return self.settings.discord_approver_role_id or 0

    @property
    def approval_channel_id(self) -> int:
        return self.settings.discord_approval_channel_id or 0

    async def start_engine(self) -> None:
        """Paint what the library lacks, then begin with the jobs that wait."""
        # Before the library's painter starts, which would be taken for an old worker otherwise.
        await self.engine.end_old_workers()
        await self.library.fill()
        await self.uploads.tidy()
        await self.engine.start()

    async def run_engine(self) -> None:
        """The same, until the engine ends; an error that ended it is raised."""
        await self.start_engine()
        await self.engine.watch()
