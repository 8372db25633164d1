"""An engine over the toy stages, for tests here and for a bot in a process of its own."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.config import StudioConfig
from pipeline.engine import Engine, JobEvent
from pipeline.sections import Brief, Library, Memory, Section
from pipeline.shows import load_show
from pipeline.workflow import WORKFLOW, Workflow
from storage.database import Database
from storage.episodes import Episodes
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.records import Episode, Job

STAGES = ("script", "voices", "images", "video")
TOYS = Workflow(
    tuple(
        replace(WORKFLOW.stage(name), module=f"toy_{name}", timeout_s=30.0, fresh=False)
        for name in STAGES
    )
)


def with_limit(timeout_s: float) -> Workflow:
    return Workflow(tuple(replace(stage, timeout_s=timeout_s) for stage in TOYS.stages))


class ToyHooks:
    """Gives the facts of the toys and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_settled: Callable[[Job, Section], None] = lambda job, result: None

    async def facts(self, job: Job, stage: str) -> dict[str, Section]:
        return {"memory": Memory(), "library": Library(pictures=())}

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
        self.engine = Engine(
            database,
            folder,
            executors=executors,
            config=StudioConfig(),
            show=load_show("butcher_and_nutsy"),
            hooks=self.hooks,
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
