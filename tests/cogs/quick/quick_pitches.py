"""One pitch for each of the first topics, so many as were asked for."""

from pipeline.context import StageContext
from pipeline.errors import ProviderError
from pipeline.facts import Memory, Topics
from pipeline.sections import Pitch, Pitches


def run(topics: Topics, memory: Memory, *, ctx: StageContext) -> Pitches:
    if (ctx.data_dir / "pitches fail").exists():
        raise ProviderError("OpenAI", "it is *out of order*", retryable=False)
    return Pitches(
        pitches=tuple(
            Pitch(
                topic=topic.name,
                source=topic.source,
                hook=f"Have you *heard* of {topic.name}?",
                last_line="@everyone, no.",
                why="Everybody asks.",
            )
            for topic in topics.topics[: topics.count]
        )
    )
