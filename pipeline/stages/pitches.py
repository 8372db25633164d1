"""Writes premises for people to choose from, before anything is voiced."""

from typing import cast

from pipeline.config import WriterConfig
from pipeline.context import StageContext
from pipeline.facts import Memory, Topics
from pipeline.providers import factory
from pipeline.sections import Pitches


def run(topics: Topics, memory: Memory, *, ctx: StageContext) -> Pitches:
    """At most one for each topic; it leaves no file."""
    ctx.report(0.0, "thinking of premises")
    writer = factory.writer(cast(WriterConfig, ctx.config), ctx)
    found = writer.pitch(topics, memory, ctx.show)
    ctx.check_cancelled()
    ctx.report(1.0, f"{len(found.pitches)} pitches")
    return found
