"""All services that cost money, and the sources of topics, as one world with its settings."""

from contextlib import ExitStack
from datetime import UTC, datetime

import yaml
from standins import anthropic, elevenlabs, openai
from standins.feeds import Feeds
from standins.two_shapes import TwoShapes

APP_SECRET = "app0secret0of0the0sandbox"
FEED_TOKEN = "s3cret-token"
"""Of the private address of a feed."""


class Services:
    """`with Services() as services:`; options are those of the voices' stand-in."""

    def __init__(self, **voices) -> None:
        self.openai = openai.OpenAI(answers=TwoShapes())
        self.anthropic = anthropic.Anthropic(answers=TwoShapes())
        self.elevenlabs = elevenlabs.Elevenlabs(tempo=2.0, **voices)
        self.feeds = Feeds(now=datetime.now(UTC))
        self.keys = {
            "openai": openai.KEY,
            "anthropic": anthropic.KEY,
            "elevenlabs": elevenlabs.KEY,
        }
        self._stack = ExitStack()

    def __enter__(self):
        for server in (self.openai, self.anthropic, self.elevenlabs, self.feeds):
            self._stack.enter_context(server)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def chat(self, writer: str):
        """The stand-in of a writer and the name of its paid call."""
        module = {"openai": openai, "anthropic": anthropic}[writer]
        return getattr(self, writer), module.CALL

    def settings(self, *, writer: str = "openai") -> dict[str, str]:
        """The environment of a bot that uses them; topics come from the bundled list."""
        return {
            "WRITER": writer,
            "OPENAI_API_KEY": self.keys["openai"],
            "OPENAI_BASE_URL": self.openai.base_url,
            "ANTHROPIC_API_KEY": self.keys["anthropic"],
            "ANTHROPIC_BASE_URL": self.anthropic.base_url,
            "VOICE": "elevenlabs",
            "ELEVENLABS_API_KEY": self.keys["elevenlabs"],
            "ELEVENLABS_BASE_URL": self.elevenlabs.url,
            "META_APP_SECRET": APP_SECRET,
            "TRENDS_RSS_URL": self.feeds.rss_url,
            "TRENDS_WIKIPEDIA_URL": self.feeds.wikipedia_url,
            "TRENDS_HACKERNEWS_URL": self.feeds.hackernews_url,
            "TRENDS_FEEDS": self.feeds.feed_url,
        }


def give_voices(show_file) -> None:
    """Name a voice of ElevenLabs for each character of a show of one's own."""
    show = yaml.safe_load(show_file.read_text())
    voices = (elevenlabs.DEEP_VOICE, elevenlabs.HIGH_VOICE)
    for character, voice in zip(show["characters"], voices, strict=True):
        character["elevenlabs"] = {"voice": voice}
    show_file.write_text(yaml.safe_dump(show, allow_unicode=True))
