"""Builds database, services and engine from settings; the only place that wires them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot.choices import instagram_token, remember_choices
from bot.logs import mask
from bot.settings import Settings
from pipeline.budget import Budget
from pipeline.engine import Engine
from pipeline.errors import ProviderError
from pipeline.estimates import Estimates
from pipeline.executors import Executor, process_executors
from pipeline.prices import load_prices
from pipeline.services.backlog import Backlog
from pipeline.services.bookkeeping import Bookkeeping
from pipeline.services.drafts import Drafts
from pipeline.services.episodes import EpisodeService
from pipeline.services.library import LibraryService
from pipeline.services.outgoing import OutgoingReels
from pipeline.services.pitching import Pitching
from pipeline.services.publishing import Publishing
from pipeline.services.reviews import Reviews, VoteReader
from pipeline.services.reviews import Votes as ReadVotes
from pipeline.services.spending import Spending
from pipeline.services.trends import TrendService
from pipeline.shows import Show, load_show
from pipeline.workflow import Lane, Workflow, workflow_for
from storage.database import Database
from storage.folder import DataFolder
from storage.notes import Notes
from storage.records import Message

if TYPE_CHECKING:
    from pipeline.publishing.base import Publisher
    from pipeline.publishing.checks import ReelFacts

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


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
    backlog: Backlog
    votes: Votes
    job_events: Listeners
    post_events: Listeners

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
        await self.engine.start()

    async def run_engine(self) -> None:
        """The same, until the engine ends; an error that ended it is raised."""
        await self.start_engine()
        await self.engine.watch()


@asynccontextmanager
async def open_studio(
    settings: Settings,
    holder: str,
    *,
    executors: Mapping[Lane, Executor] | None = None,
    workflow: Workflow | None = None,
) -> AsyncIterator[Studio]:
    """Lock DATA_DIR for `holder`, open everything, and close it in the right order.

    Without `executors` the stages run in worker processes on this machine.
    """
    config = settings.studio_config()
    if settings.publisher_choice() == "instagram":
        instagram_token(settings)  # before anything is written
    show = load_show(settings.show, settings.data_dir)
    prices = load_prices(settings.data_dir)
    folder = DataFolder(settings.data_dir)
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.lock(holder))
        db = await stack.enter_async_context(await Database.open(folder.database))
        publisher = await stack.enter_async_context(open_publisher(settings, folder))
        await remember_choices(Notes(db), settings)
        reels = OutgoingReels(
            db=db,
            folder=folder,
            show=show,
            account=publisher.account,
            ai_label=settings.ai_label,
            max_hashtags=settings.max_hashtags,
            probe=_probe,
        )
        bookkeeping = Bookkeeping(db, show=show, mark=reels.mark, clock=utc_now)
        executors = executors or process_executors(
            folder.run, render_workers=settings.render_workers
        )
        job_events, post_events = Listeners(), Listeners()
        budget = Budget(
            db,
            clock=utc_now,
            zone=settings.zone(),
            daily_usd=settings.daily_budget_usd,
            monthly_usd=settings.monthly_budget_usd,
        )
        engine = Engine(
            db,
            folder,
            executors=executors,
            config=config,
            show=show,
            hooks=bookkeeping,
            on_event=job_events,
            clock=utc_now,
            budget=budget,
            greatest_usd=Estimates(config, show, prices).greatest_usd,
            workflow=workflow or workflow_for(config),
        )
        stack.push_async_callback(engine.stop)
        reviews = Reviews(db=db, approvals_needed=settings.approvals_needed, clock=utc_now)
        votes = Votes()
        episodes = EpisodeService(
            db=db,
            folder=folder,
            engine=engine,
            bookkeeping=bookkeeping,
            show=show,
            config=config,
            clock=utc_now,
        )
        trends = TrendService(db=db, engine=engine, clock=utc_now)
        pitching = Pitching(
            db=db,
            engine=engine,
            episodes=episodes,
            trends=trends,
            bookkeeping=bookkeeping,
            clock=utc_now,
        )
        publishing = Publishing(
            db=db,
            publisher=publisher,
            reels=reels,
            reviews=reviews,
            reader=votes,
            on_event=post_events,
            clock=utc_now,
        )
        yield Studio(
            settings=settings,
            show=show,
            folder=folder,
            db=db,
            engine=engine,
            episodes=episodes,
            drafts=Drafts(db=db, engine=engine, clock=utc_now),
            trends=trends,
            spending=Spending(db, budget),
            library=LibraryService(
                db=db, folder=folder, show=show, executor=executors[Lane.CPU], clock=utc_now
            ),
            reviews=reviews,
            publishing=publishing,
            pitching=pitching,
            backlog=Backlog(
                db=db,
                pitching=pitching,
                publishing=publishing,
                days=settings.backlog_days,
                clock=utc_now,
            ),
            votes=votes,
            job_events=job_events,
            post_events=post_events,
        )


@asynccontextmanager
async def open_publisher(settings: Settings, folder: DataFolder) -> AsyncIterator[Publisher]:
    """The platform that posts go to; imported when asked for."""
    if settings.publisher_choice() == "folder":
        from pipeline.publishing.folder import FolderPublisher

        yield FolderPublisher(folder.path / "posts")
        return
    token = instagram_token(settings)
    from pipeline.publishing.instagram import InstagramPublisher
    from pipeline.publishing.token_file import TokenFile
    from pipeline.publishing.token_keeper import TokenKeeper

    publisher = InstagramPublisher(
        keeper=TokenKeeper(
            given=token,
            file=TokenFile(folder.secrets / "instagram.json"),
            graph_url=settings.instagram_graph_url,
            app_id=settings.meta_app_id,
            app_secret=settings.meta_app_secret,
            clock=utc_now,
            on_token=mask,
        ),
        user_id=settings.instagram_user_id,
        graph_url=settings.instagram_graph_url,
        upload_url=settings.instagram_upload_url,
        clock=utc_now,
    )
    try:
        yield publisher
    finally:
        await publisher.close()


def _probe(reel: Path) -> ReelFacts:
    from pipeline.reel.probe import probe  # loads the decoder

    return probe(reel)
