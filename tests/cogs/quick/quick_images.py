from pipeline.context import StageContext
from pipeline.facts import Library
from pipeline.sections import Images, Script


def run(script: Script, library: Library, *, ctx: StageContext) -> Images:
    return Images(episode=ctx.episode, selections=())
