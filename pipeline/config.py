"""What each provider needs to know, as plain values; settings live in bot/settings.py only.

A worker gets the one config of its own stage, pickled (SecretStr would turn into asterisks
in JSON), and so holds no key that its stage does not use.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrendsConfig(Config):
    """`offline` uses the bundled evergreen list only; `auto` asks the sources as well.

    A source without an address is not asked. `feeds` are RSS or Atom feeds of the user.
    """

    mode: Literal["auto", "offline"] = "auto"
    rss_url: str = "https://trends.google.com/trending/rss"
    wikipedia_url: str = ""
    hackernews_url: str = ""
    feeds: tuple[str, ...] = ()
    region: str = "US"
    limit: int = 10


class WriterConfig(Config):
    """`base_url` and `model` are empty for the provider's own."""

    provider: Literal["offline", "openai", "anthropic"] = "offline"
    api_key: SecretStr | None = None
    base_url: str = ""
    model: str = ""
    lines_min: int = 5
    lines_max: int = 12
    max_hashtags: int = 5


class VoicesConfig(Config):
    """`voices` maps a character's name to the provider's voice id."""

    provider: Literal["offline", "elevenlabs"] = "offline"
    api_key: SecretStr | None = None
    base_url: str = ""
    model: str = ""
    voices: dict[str, str] = {}
    concurrency: int = 4


class ImagesConfig(Config):
    """`diffusion` also draws new pictures for an episode, with the models in use.

    `candidates` are drawn for each of them, with so many `steps`, and the best one is taken.
    """

    provider: Literal["library", "diffusion"] = "library"
    candidates: int = 4
    steps: int = 30
    guidance: float = 7.0


class VideoConfig(Config):
    fps: int = 30


class StudioConfig(Config):
    """One config per stage; `for_stage` is what a worker of that stage receives."""

    trends: TrendsConfig = TrendsConfig()
    pitches: WriterConfig = WriterConfig()
    script: WriterConfig = WriterConfig()
    voices: VoicesConfig = VoicesConfig()
    images: ImagesConfig = ImagesConfig()
    video: VideoConfig = VideoConfig()
    preview: VideoConfig = VideoConfig()
    intake: Config = Config()
    drawings: ImagesConfig = ImagesConfig()

    def for_stage(self, stage: str) -> Config:
        config: Config = getattr(self, stage)
        return config
