from toy_play import play

from pipeline.context import StageContext
from pipeline.facts import Memory
from pipeline.ledger import Cost
from pipeline.sections import Brief, Emotion, Line, Script, ScriptMetadata


def run(brief: Brief, memory: Memory, *, ctx: StageContext) -> Script:
    price = Cost(usd=0.5, tokens_in=900, tokens_out=100)
    with ctx.ledger.paying(provider="toy", model="toy-1", what="script", greatest=price) as call:
        call.paid(price)
    play("script", ctx)
    line = Line(index=1, character="Butcher", text=brief.topic, emotion=Emotion.SARCASTIC)
    return Script(episode=ctx.episode, lines=(line,), metadata=ScriptMetadata(provider="toy"))
