"""Builds database, services and engine from settings; the only place that wires them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot.choices import instagram_token, remember_choices
from bot.logs import mask
from bot.settings import Settings
from bot.studio import Listeners, Studio, Votes
from pipeline.budget import Budget
from pipeline.config import StudioConfig
from pipeline.engine import Engine
from pipeline.estimates import Estimates
from pipeline.executors import Executor, process_executors
from pipeline.prices import load_prices
from pipeline.services.backlog import Backlog
from pipeline.services.bookkeeping import Bookkeeping
from pipeline.services.drafts import Drafts
from pipeline.services.episodes import EpisodeService
from pipeline.services.figures import Figures
from pipeline.services.gpu import Gpu
from pipeline.services.library import LibraryService
from pipeline.services.models import Models
from pipeline.services.outgoing import OutgoingReels
from pipeline.services.pictures import PictureBoards
from pipeline.services.pitching import Pitching
from pipeline.services.publishing import Publishing
from pipeline.services.reviews import Reviews
from pipeline.services.spending import Spending
from pipeline.services.supervision import Supervision
from pipeline.services.training import Training
from pipeline.services.trends import TrendService
from pipeline.services.uploads import Uploads
from pipeline.services.wishes import Wishes
from pipeline.shows import Show, load_show
from pipeline.workflow import Lane, Workflow, workflow_for
from storage.database import Database
from storage.folder import DataFolder
from storage.notes import Notes

if TYPE_CHECKING:
    from pipeline.publishing.base import Publisher
    from pipeline.publishing.checks import ReelFacts


def utc_now() -> datetime:
    return datetime.now(UTC)


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
    estimates = Estimates(config, show, load_prices(settings.data_dir))
    folder = DataFolder(settings.data_dir)
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.lock(holder))
        db = await stack.enter_async_context(await Database.open(folder.database))
        publisher = await stack.enter_async_context(open_publisher(settings, folder))
        await remember_choices(Notes(db), settings)
        executors = executors or process_executors(
            folder.run, render_workers=settings.render_workers
        )
        reels = _reels(settings, show, folder, db, publisher)
        gpu = Gpu()
        bookkeeping = Bookkeeping(db, show=show, mark=reels.mark, clock=utc_now, gpu=gpu)
        budget = _budget(settings, db)
        job_events = Listeners()
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
            greatest_usd=estimates.greatest_usd,
            workflow=workflow or workflow_for(config),
        )
        stack.push_async_callback(engine.stop)
        library = LibraryService(
            db=db, folder=folder, show=show, executor=executors[Lane.CPU], clock=utc_now
        )
        yield _wired(
            settings,
            show,
            folder,
            db,
            config=config,
            engine=engine,
            gpu=gpu,
            job_events=job_events,
            bookkeeping=bookkeeping,
            publisher=publisher,
            reels=reels,
            library=library,
            spending=Spending(db, budget),
            executor=executors[Lane.CPU],
        )


def _reels(
    settings: Settings, show: Show, folder: DataFolder, db: Database, publisher: Publisher
) -> OutgoingReels:
    return OutgoingReels(
        db=db,
        folder=folder,
        show=show,
        account=publisher.account,
        ai_label=settings.ai_label,
        max_hashtags=settings.max_hashtags,
        probe=_probe,
    )


def _budget(settings: Settings, db: Database) -> Budget:
    return Budget(
        db,
        clock=utc_now,
        zone=settings.zone(),
        daily_usd=settings.daily_budget_usd,
        monthly_usd=settings.monthly_budget_usd,
    )


def _wired(
    settings: Settings,
    show: Show,
    folder: DataFolder,
    db: Database,
    *,
    config: StudioConfig,
    engine: Engine,
    gpu: Gpu,
    job_events: Listeners,
    bookkeeping: Bookkeeping,
    publisher: Publisher,
    reels: OutgoingReels,
    library: LibraryService,
    spending: Spending,
    executor: Executor,
) -> Studio:
    """The services around an engine; a list, so it may be long."""
    votes, post_events, training_events = Votes(), Listeners(), Listeners()
    reviews = Reviews(db=db, approvals_needed=settings.approvals_needed, clock=utc_now)
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
    uploads = Uploads(db=db, folder=folder, engine=engine, show=show, clock=utc_now)
    job_events.add(uploads.heard)
    publishing = Publishing(
        db=db,
        publisher=publisher,
        reels=reels,
        reviews=reviews,
        reader=votes,
        on_event=post_events,
        clock=utc_now,
    )
    pictures = PictureBoards(db=db, folder=folder, engine=engine, show=show, clock=utc_now)
    models = Models(
        db=db,
        folder=folder,
        show=show,
        executor=executor,
        approvals_needed=settings.approvals_needed,
        is_approver=votes.is_approver,
        clock=utc_now,
        on_promoted=pictures.fill_gaps,
    )
    training = Training(
        db=db,
        folder=folder,
        show=show,
        supervision=Supervision(
            db=db,
            folder=folder,
            engine=engine,
            gpu=gpu,
            on_event=training_events,
            clock=utc_now,
        ),
        models=models,
        on_event=training_events,
        clock=utc_now,
    )
    return Studio(
        settings=settings,
        show=show,
        folder=folder,
        db=db,
        engine=engine,
        episodes=episodes,
        drafts=Drafts(db=db, engine=engine, clock=utc_now),
        trends=trends,
        spending=spending,
        library=library,
        reviews=reviews,
        publishing=publishing,
        pitching=pitching,
        uploads=uploads,
        backlog=Backlog(
            db=db,
            pitching=pitching,
            publishing=publishing,
            days=settings.backlog_days,
            clock=utc_now,
        ),
        training=training,
        pictures=pictures,
        figures=Figures(folder=folder, executor=executor),
        wishes=Wishes(db),
        votes=votes,
        job_events=job_events,
        post_events=post_events,
        training_events=training_events,
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
