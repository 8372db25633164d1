"""A toy stage that pays for eight lines, a dime each, and keeps what it has paid for.

DATA_DIR/plan.json may plan what happens once `line 3` has been sent, as in toy_play.py.
"""

from toy_play import play

from pipeline.context import StageContext
from pipeline.ledger import Cost
from pipeline.sections import Script, Voices

LINES = 8
DIME = Cost(usd=0.1, chars=10)


def run(script: Script, *, ctx: StageContext) -> Voices:
    for number in range(1, LINES + 1):
        kept = ctx.paid_folder / f"line-{number}.txt"
        if not kept.exists():
            ctx.check_cancelled()
            speak(f"line {number}", ctx)
            kept.write_text("spoken")
    return Voices(episode=ctx.episode, provider="toy", lines=(), total_duration=1.0)


def speak(line: str, ctx: StageContext) -> None:
    with ctx.ledger.paying(provider="toy", model="toy-1", what=line, greatest=DIME) as call:
        play(line, ctx)
        call.paid(DIME, f"req of {line}")
