"""Name -> provider; a provider's module is imported only when it is asked for."""

from __future__ import annotations

from pipeline.config import TrendsConfig, WriterConfig
from pipeline.providers.base import TrendSource, Writer


def writer(config: WriterConfig) -> Writer:
    match config.provider:
        case "offline":
            from pipeline.providers.writers.offline import OfflineWriter

            return OfflineWriter(
                lines_min=config.lines_min,
                lines_max=config.lines_max,
                max_hashtags=config.max_hashtags,
            )


def trend_sources(config: TrendsConfig) -> list[TrendSource]:
    """In the order they are asked; the evergreen list comes last and fills the gaps."""
    from pipeline.providers.trends.offline import EvergreenTrends

    if config.mode == "offline":
        return [EvergreenTrends()]
    from pipeline.providers.trends.google import GoogleTrends

    return [GoogleTrends(url=config.rss_url, region=config.region), EvergreenTrends()]


def voice(config: VoicesConfig) -> Voice:
    """The caller owns it: dropping it gives its memory back (500 MB once it has spoken)."""
    match config.provider:
        case "offline":
            from pipeline.providers.voices.offline import offline_voice

            return offline_voice()
        case _:
            assert_never(config.provider)
