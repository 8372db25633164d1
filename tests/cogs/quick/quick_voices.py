from pipeline.context import StageContext
from pipeline.sections import Script, SpokenLine, Voices


def run(script: Script, *, ctx: StageContext) -> Voices:
    ctx.report(0.5, "half way")
    lines = tuple(
        SpokenLine(
            index=line.index,
            character=line.character,
            text=line.text,
            emotion=line.emotion,
            audio_file=f"audio/{line.index:03}.wav",
            start_time=2.0 * line.index,
            duration=2.0,
            end_time=2.0 * line.index + 2.0,
            words=(),
            sha256="0" * 64,
            sample_rate=24000,
        )
        for line in script.lines
    )
    return Voices(episode=ctx.episode, provider="quick", lines=lines, total_duration=20.0)
