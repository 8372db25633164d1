from toy_play import play

from pipeline.context import StageContext
from pipeline.facts import Library, Models
from pipeline.sections import Images, Script


def run(script: Script, library: Library, models: Models, *, ctx: StageContext) -> Images:
    play("images", ctx)
    return Images(episode=ctx.episode, selections=())
