"""The services on a real database. The engine is not started: what matters is what it is asked."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from pipeline.config import StudioConfig
from pipeline.engine import Engine
from pipeline.executors import InlineExecutor
from pipeline.sections import (
    Pitch,
    Pitches,
    Preview,
    Script,
    Video,
)
from pipeline.services.bookkeeping import Bookkeeping
from pipeline.services.drafts import Drafts
from pipeline.services.episodes import EpisodeService
from pipeline.services.gpu import Gpu
from pipeline.services.library import LibraryService
from pipeline.services.pitching import Pitching
from pipeline.services.trends import TrendService
from pipeline.shows import load_show
from pipeline.workflow import Lane
from storage.database import Database
from storage.episodes import Episodes
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.records import NewTrend
from storage.states import JobState
from storage.trends import Trends as TrendRows

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HASH = "0" * 64


@dataclass
class Desk:
    """The services over one database; `now` is their clock."""

    db: Database
    folder: DataFolder
    now: datetime = NOW

    def __post_init__(self):
        show = load_show("butcher_and_nutsy")
        executors = {lane: InlineExecutor() for lane in Lane}
        self.gpu = Gpu()
        self.bookkeeping = Bookkeeping(
            self.db,
            show=show,
            mark=lambda *parts: "|".join(parts)[:40],
            clock=self.clock,
            gpu=self.gpu,
        )
        self.engine = Engine(
            self.db,
            self.folder,
            executors=executors,
            config=StudioConfig(),
            show=show,
            hooks=self.bookkeeping,
            clock=self.clock,
        )
        self.episodes = EpisodeService(
            db=self.db,
            folder=self.folder,
            engine=self.engine,
            bookkeeping=self.bookkeeping,
            show=show,
            config=StudioConfig(),
            clock=self.clock,
        )
        self.drafts = Drafts(db=self.db, engine=self.engine, clock=self.clock)
        self.trends = TrendService(db=self.db, engine=self.engine, clock=self.clock)
        self.library = LibraryService(
            db=self.db,
            folder=self.folder,
            show=show,
            executor=executors[Lane.CPU],
            clock=self.clock,
        )
        self.pitching = Pitching(
            db=self.db,
            engine=self.engine,
            episodes=self.episodes,
            trends=self.trends,
            bookkeeping=self.bookkeeping,
            clock=self.clock,
        )
        self.rows = Episodes(self.db)
        self.jobs = Jobs(self.db)

    def clock(self):
        return self.now

    async def trend(self, name, **values):
        new = NewTrend(
            **({"name": name, "score": 0.5, "timestamp": self.now, "source": "google"} | values)
        )
        await TrendRows(self.db).store([new], now=self.now)

    async def settle(self, job_id, result=None, error=""):
        """End a queued job as the engine would, and bring its board to where it is."""
        await self.jobs.claim_due(self.now, ("pitches", "trends", "script"), 99)
        async with self.db.transaction():
            state = JobState.FAILED if result is None else JobState.SUCCEEDED
            job = await self.jobs.finish(job_id, state, error=error, now=self.now)
            if result is not None:
                await self.bookkeeping.settled(job, job.stage, result)
        await self.pitching.advance()

    async def pitched(self, *names, count=None, **asked):
        """An open board with these topics, fetched today."""
        for name in names:
            await self.trend(name)
        board = await self.pitching.ask(count or len(names), "Margot", **asked)
        job = await self.jobs.get(board.job_id)
        given = json.loads(job.facts)["topics"]["topics"]
        await self.settle(job.id, pitches(*(topic["name"] for topic in given)))
        return await self.pitching.board(board.id)

    async def finished(self):
        """An episode under review, with all its sections."""
        episode = await self.episodes.from_script(script(), "Margot")
        for section in (
            video(episode.id),
            Preview(episode=episode.id, path="preview.mp4", size_bytes=1_000_000, is_reel=False),
        ):
            name = type(section).__name__.lower()
            await self.rows.save_section(episode.id, 1, name, section.model_dump_json())
            job = await self.engine.queue(name, episode_id=episode.id, revision=1)
            await self.bookkeeping.settled(job, name, section)
            await self.engine.cancel(job.id)
        return episode


def script(**values):
    lines = [
        ("Butcher", "Coffee again?", "sarcastic"),
        ("Nutsy", "Yes! Coffee! Yes!", "excited"),
        ("Butcher", "You had nine cups.", "angry"),
        ("Nutsy", "Ten! I can hear colours!", "happy"),
        ("Butcher", "Then hear me leave.", "sad"),
    ]
    named = [{"character": c, "text": t, "emotion": e} for c, t, e in lines]
    return Script.model_validate({"lines": named, "caption": "Coffee.", **values})


def pitches(*topics):
    """What a writer makes of topics."""
    return Pitches(
        pitches=tuple(
            Pitch(topic=topic, source="google", hook=f"Why {topic}?", last_line="No.", why="Ask.")
            for topic in topics
        )
    )


def video(episode):
    return Video(
        episode=episode,
        sha256=HASH,
        cover_sha256=HASH,
        size_bytes=9,
        duration_s=20,
        width=1080,
        height=1920,
        fps=30,
        frames=600,
        loudness_lufs=-14,
        peak_dbtp=-1,
        longest_silence_s=0.5,
    )


@pytest.fixture
async def desk(tmp_path):
    folder = DataFolder(tmp_path)
    async with await Database.open(folder.database) as db:
        yield Desk(db, folder)


@pytest.fixture
def hand_script():
    return script
