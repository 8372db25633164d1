from toy_play import play

from pipeline.context import StageContext
from pipeline.sections import Script, Voices


def run(script: Script, *, ctx: StageContext) -> Voices:
    play("voices", ctx)
    return Voices(episode=ctx.episode, provider="toy", lines=(), total_duration=len(script.lines))
