"""Writes the dialogue of an episode, with its caption and hashtags."""

from typing import cast

from pipeline.config import WriterConfig
from pipeline.context import StageContext
from pipeline.facts import Memory
from pipeline.providers import factory
from pipeline.sections import Brief, Script


def run(brief: Brief, memory: Memory, *, ctx: StageContext) -> Script:
    """Also leaves `script.json` in the folder of the attempt."""
    ctx.report(0.0, "writing the script")
    writer = factory.writer(cast(WriterConfig, ctx.config), ctx)
    script = writer.write(brief, memory, ctx.show)
    ctx.check_cancelled()
    text = script.model_dump_json(indent=2)
    (ctx.folder / "script.json").write_text(text + "\n", encoding="utf-8")
    ctx.report(1.0, f"{len(script.lines)} lines")
    return script
