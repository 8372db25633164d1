from toy_play import play

from pipeline.context import StageContext
from pipeline.sections import Brief, Emotion, Line, Memory, Script, ScriptMetadata


def run(brief: Brief, memory: Memory, *, ctx: StageContext) -> Script:
    play("script", ctx)
    line = Line(index=1, character="Butcher", text=brief.topic, emotion=Emotion.SARCASTIC)
    return Script(
        episode=ctx.episode, lines=(line,), metadata=ScriptMetadata(provider="toy", cost_usd=0.5)
    )
