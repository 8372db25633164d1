"""The stages there are, their order, and where each of them runs.

A stage lives in pipeline/stages/<name>.py as `run(...)`; its parameters are named here too,
so that the bot need not import what only a worker should.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.config import StudioConfig
from pipeline.facts import Gaps, Library, Memory, Models, PreviewLimit, Sources, Topics, Uploads
from pipeline.sections import (
    Brief,
    Drawings,
    Images,
    Intake,
    Pitches,
    Preview,
    Script,
    Section,
    Trends,
    Video,
    Voices,
)

SECTIONS: Mapping[str, type[Section]] = {
    "pitches": Pitches,
    "trends": Trends,
    "brief": Brief,
    "script": Script,
    "voices": Voices,
    "images": Images,
    "video": Video,
    "preview": Preview,
    "intake": Intake,
    "drawings": Drawings,
}
FACTS: Mapping[str, type[Section]] = {
    "sources": Sources,
    "topics": Topics,
    "memory": Memory,
    "library": Library,
    "limit": PreviewLimit,
    "models": Models,
    "uploads": Uploads,
    "gaps": Gaps,
}
"""What a stage must know from the database, by the name of its parameter."""


class Lane(StrEnum):
    """What a stage keeps busy; each lane has its own workers."""

    CPU = "cpu"
    IO = "io"  # only waits for a service
    GPU = "gpu"


@dataclass(frozen=True)
class Stage:
    """`inputs` are the parameters of its `run()` besides `ctx`.

    `fresh` ends the worker with the job, so that its memory comes back. `grace_s` is what a
    cancelled run may need to come to a clean place, where that is longer than usual.
    """

    name: str
    lane: Lane
    inputs: tuple[str, ...]
    timeout_s: float
    attempts: int = 3
    fresh: bool = False
    grace_s: float = 0.0
    module: str = ""

    @property
    def module_name(self) -> str:
        return self.module or f"pipeline.stages.{self.name}"


@dataclass(frozen=True)
class Workflow:
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ValueError(f"there is no stage {name!r}")

    def after(self, name: str) -> Stage | None:
        position = self.stages.index(self.stage(name))
        return self.stages[position + 1] if position + 1 < len(self.stages) else None

    def names_in(self, lane: Lane) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages if stage.lane is lane)


LAST_STAGE = "preview"
DRAWING_S = 3600.0
OF_THE_CHANNEL = frozenset({"intake", "drawings", "pitches", "trends"})
"""Stages whose jobs belong to no episode; the others leave a section in a revision each."""
WORKFLOW = Workflow(
    (
        # Files of strangers: whatever they have done to the process goes with it.
        Stage("intake", Lane.CPU, inputs=("uploads",), timeout_s=300, fresh=True),
        Stage("drawings", Lane.GPU, inputs=("gaps",), timeout_s=DRAWING_S, fresh=True),
        Stage("pitches", Lane.IO, inputs=("topics", "memory"), timeout_s=300),
        Stage("trends", Lane.IO, inputs=("sources",), timeout_s=120),
        Stage("script", Lane.IO, inputs=("brief", "memory"), timeout_s=300),
        # The neural voice keeps half a gigabyte for as long as its process lives.
        # It cannot stop within a line, and a line that was paid for is kept.
        Stage("voices", Lane.CPU, inputs=("script",), timeout_s=900, fresh=True, grace_s=20),
        Stage("images", Lane.CPU, inputs=("script", "library", "models"), timeout_s=300),
        Stage("video", Lane.CPU, inputs=("script", "voices", "images"), timeout_s=1800),
        Stage("preview", Lane.CPU, inputs=("video", "limit"), timeout_s=600),
    )
)


def workflow_for(config: StudioConfig) -> Workflow:
    """The stages as the providers need them."""
    stages = {stage.name: stage for stage in WORKFLOW.stages}
    if config.voices.provider != "offline":
        # A service is only waited for, and a call under way may need its whole time limit.
        stages["voices"] = replace(stages["voices"], lane=Lane.IO, fresh=False, grace_s=75)
    if config.images.provider == "diffusion":
        stages["images"] = replace(stages["images"], lane=Lane.GPU, fresh=True, timeout_s=DRAWING_S)
    return Workflow(tuple(stages.values()))


def stages_of_a_reel(until: str = LAST_STAGE) -> tuple[str, ...]:
    """The stages that leave a section in the revision, in order, up to one of them."""
    names = tuple(s.name for s in WORKFLOW.stages if s.name not in OF_THE_CHANNEL)
    return names[: names.index(until) + 1] if until in names else ()
