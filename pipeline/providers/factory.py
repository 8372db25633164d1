"""Name -> provider; each is imported when it is asked for, so a worker loads only its own."""

from pathlib import Path
from typing import assert_never

from pipeline.config import ImagesConfig, TrendsConfig, VoicesConfig, WriterConfig
from pipeline.context import StageContext
from pipeline.prices import load_prices
from pipeline.providers.base import LanguageModel, Pictures, TrendSource, Voice, Writer


def trend_sources(config: TrendsConfig, data_dir: Path) -> list[TrendSource]:
    """Those that are asked over the network; the last answers are kept in DATA_DIR."""
    match config.mode:
        case "offline":
            return []
        case "auto":
            from pipeline.providers.trends.sources import sources_of

            return sources_of(config, data_dir / "cache" / "feeds")
        case _:
            assert_never(config.mode)


def writer(config: WriterConfig, ctx: StageContext) -> Writer:
    """For one job: what a service answers is paid through its ledger and kept in its folder."""
    match config.provider:
        case "offline":
            from pipeline.providers.writers.offline import OfflineWriter

            return OfflineWriter(
                lines_min=config.lines_min,
                lines_max=config.lines_max,
                max_hashtags=config.max_hashtags,
            )
        case "openai":
            from pipeline.providers.writers.openai import OpenAIModel

            return _room(OpenAIModel(config), config, ctx)
        case "anthropic":
            from pipeline.providers.writers.anthropic import AnthropicModel

            return _room(AnthropicModel(config), config, ctx)
        case _:
            assert_never(config.provider)


def _room(model: LanguageModel, config: WriterConfig, ctx: StageContext) -> Writer:
    from pipeline.providers.writers.paid import PaidCalls
    from pipeline.providers.writers.room import ModelWriter

    prices = load_prices(ctx.data_dir)
    return ModelWriter(PaidCalls(model, config=config, prices=prices, ctx=ctx), config)


def voice(config: VoicesConfig) -> Voice:
    """The caller owns and closes it; the offline one holds 500 MB once it has spoken."""
    match config.provider:
        case "offline":
            from pipeline.providers.voices.offline import offline_voice

            return offline_voice()
        case "elevenlabs":
            from pipeline.providers.voices.elevenlabs import ElevenLabsVoice
            from pipeline.providers.voices.phonemes import shared_phonemiser

            return ElevenLabsVoice(config, shared_phonemiser())
        case _:
            assert_never(config.provider)


def pictures(config: ImagesConfig) -> Pictures:
    match config.provider:
        case "library" | "diffusion":  # who speaks is always a picture of the library
            from pipeline.providers.images.library import LibraryPictures

            return LibraryPictures()
        case _:
            assert_never(config.provider)
