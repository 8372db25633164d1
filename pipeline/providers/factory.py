"""Name -> provider; each is imported when it is asked for, so a worker loads only its own."""

from typing import assert_never

from pipeline.config import ImagesConfig, TrendsConfig, VoicesConfig, WriterConfig
from pipeline.providers.base import Pictures, TrendSource, Voice, Writer


def trend_sources(config: TrendsConfig) -> list[TrendSource]:
    """In the order they are asked; the evergreen list comes last and fills the gaps."""
    from pipeline.providers.trends.offline import EvergreenTrends

    match config.mode:
        case "offline":
            return [EvergreenTrends()]
        case "auto":
            from pipeline.providers.trends.google import GoogleTrends

            return [GoogleTrends(url=config.rss_url, region=config.region), EvergreenTrends()]
        case _:
            assert_never(config.mode)


def writer(config: WriterConfig) -> Writer:
    match config.provider:
        case "offline":
            from pipeline.providers.writers.offline import OfflineWriter

            return OfflineWriter(
                lines_min=config.lines_min,
                lines_max=config.lines_max,
                max_hashtags=config.max_hashtags,
            )
        case _:
            assert_never(config.provider)


def voice(config: VoicesConfig) -> Voice:
    """The caller owns it: dropping it gives its memory back (500 MB once it has spoken)."""
    match config.provider:
        case "offline":
            from pipeline.providers.voices.offline import offline_voice

            return offline_voice()
        case _:
            assert_never(config.provider)


def pictures(config: ImagesConfig) -> Pictures:
    match config.provider:
        case "library":
            from pipeline.providers.images.library import LibraryPictures

            return LibraryPictures()
        case _:
            assert_never(config.provider)
