"""An engine over the toy stages, for tests here and for a bot in a process of its own."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.budget import Budget
from pipeline.config import StudioConfig
from pipeline.engine import Engine, JobEvent, utc_now
from pipeline.facts import Library, Memory, Models
from pipeline.sections import Brief, Script, Section
from pipeline.shows import load_show
from pipeline.workflow import WORKFLOW, Workflow
from storage.database import Database
from storage.episodes import Episodes
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.records import Episode, Job
from storage.spend import Spend

STAGES = ("script", "voices", "images", "video")
TOYS = Workflow(
    tuple(
        replace(WORKFLOW.stage(name), module=f"toy_{name}", timeout_s=30.0, fresh=False)
        for name in STAGES
    )
)


PAID = Workflow((replace(TOYS.stage("voices"), module="toy_paid"),))
"""Voices alone, which are paid for."""


def with_limit(timeout_s: float) -> Workflow:
    return Workflow(tuple(replace(stage, timeout_s=timeout_s) for stage in TOYS.stages))


class ToyHooks:
    """Gives the facts of the toys and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_settled: Callable[[Job, Section], None] = lambda job, result: None

    async def facts(self, job: Job, stage: str) -> dict[str, Section]:
        return {"memory": Memory(), "library": Library(pictures=()), "models": Models()}

    async def settled(self, job: Job, stage: str, result: Section) -> None:
        self.on_settled(job, result)
        self.told.append(f"{stage} settled")

    async def failed(self, job: Job) -> None:
        self.told.append(f"{job.stage} failed")


class ToyStudio:
    def __init__(self, database: Database, folder: DataFolder, executors, **options) -> None:
        self.database = database
        self.folder = folder
        self.jobs = Jobs(database)
        self.episodes = Episodes(database)
        self.events: list[JobEvent] = []
        self.hooks = options.pop("hooks", None) or ToyHooks()
        clock = options.get("clock", utc_now)
        self.spend = Spend(database)
        self.budget = Budget(database, clock=clock, **options.pop("limits", {}))
        self.engine = Engine(
            database,
            folder,
            executors=executors,
            config=StudioConfig(),
            show=load_show("butcher_and_nutsy"),
            hooks=self.hooks,
            budget=self.budget,
            on_event=options.pop("on_event", self.events.append),
            **{"workflow": TOYS, "chance": lambda: 0.0, **options},
        )

    async def make(self, *, until: str = "video") -> Episode:
        """An episode with a brief and its first job queued."""
        now = datetime.now(UTC)
        async with self.database.transaction():
            episode = await self.episodes.create(topic="pigeons", now=now)
            brief = Brief(episode=episode.id, topic="pigeons", created_at=now)
            await self.episodes.save_section(episode.id, 1, "brief", brief.model_dump_json())
            await self.engine.queue("script", episode_id=episode.id, revision=1, until_stage=until)
        return episode

    async def speak(self) -> Job:
        """A job of PAID for an episode of its own, which has a script."""
        now = datetime.now(UTC)
        episode = await self.episodes.create(topic="pigeons", now=now)
        await self.episodes.save_section(
            episode.id, 1, "script", Script(lines=()).model_dump_json()
        )
        return await self.engine.queue("voices", episode_id=episode.id, revision=1)

    def heard(self) -> list[str]:
        return [f"{e.job.stage} {e.kind}" for e in self.events if e.kind != "progress"]


@asynccontextmanager
async def toy_studio(path: Path, executors, **options):
    folder = DataFolder(path)
    async with await Database.open(folder.database) as database:
        studio = ToyStudio(database, folder, executors, **options)
        try:
            yield studio
        finally:
            await studio.engine.stop()
