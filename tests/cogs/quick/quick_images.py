from pipeline.context import StageContext
from pipeline.sections import Images, Library, Script


def run(script: Script, library: Library, *, ctx: StageContext) -> Images:
    return Images(episode=ctx.episode, selections=())
