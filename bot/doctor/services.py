"""What the doctor finds about writers, voices and trends, and asks the services themselves.

Nothing is billed or kept.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bot.accounts import Plan, check_model, plan, voice_name
from bot.choices import is_paid, voices_config, writer_config
from bot.doctor.findings import Finding, Level, error, ok, warning
from bot.settings import Settings
from pipeline.config import VoicesConfig
from pipeline.errors import ProviderError, UserError
from pipeline.prices import load_prices
from pipeline.providers.voices.plans import CALLS_AT_ONCE, is_free
from pipeline.providers.writers.chat import model_of
from pipeline.shows import Show, load_show

if TYPE_CHECKING:
    from pipeline.providers.base import TrendSource

FEW_CHARS = 2_000
"""Less than four reels say."""
PRICES_GOOD_FOR = timedelta(days=180)


async def writer(settings: Settings) -> list[Finding]:
    config = writer_config(settings)
    if config.provider == "offline":
        return [ok("writer offline")]
    try:
        await check_model(config)
    except UserError as failure:
        # A server of one's own may answer to any name.
        level = Level.ERROR if config.api_key else Level.WARNING
        return [Finding(level, str(failure))]
    except ProviderError as failure:
        return [_failed(failure)]
    return [ok(f"writer {config.provider}: {model_of(config)} can be used")]


async def offline_voice(settings: Settings) -> list[Finding]:
    from pipeline.providers import factory

    if settings.voice_choice() != "offline":
        return []
    try:
        voice = await asyncio.to_thread(factory.voice, VoicesConfig())
    except ProviderError as failure:
        return [error(str(failure))]
    if "kokoro" not in voice.name:
        return [warning(f"the voice is {voice.name}; the better one is missing or damaged.")]
    return [ok(f"voice {voice.name}")]


async def voices(settings: Settings) -> list[Finding]:
    """Of ElevenLabs; the offline voice is looked at by loading it."""
    config = voices_config(settings)
    if config.provider == "offline":
        return []
    try:
        account = await plan(config)
    except (UserError, ProviderError) as failure:
        return [_failed(failure)]
    show = load_show(settings.show, settings.data_dir)
    return [*_plan(account, config), *[await _voice(config, *each) for each in _ids(config, show)]]


def _plan(account: Plan, config: VoicesConfig) -> list[Finding]:
    until = f" until {account.renews_at:%d %B}" if account.renews_at else ""
    left = f"{account.left:,} of {account.limit:,} characters are left{until}"
    found = [ok(f"ElevenLabs, plan {account.tier}: {left}")]
    if account.left < FEW_CHARS:
        found.append(warning(f"ElevenLabs: only {left}; lines wait when they are used up."))
    if is_free(account.tier):
        found.append(warning("ElevenLabs: audio of the free plan is never published; upgrade it."))
    most = CALLS_AT_ONCE.get(account.tier.casefold(), config.concurrency)
    if config.concurrency > most:
        text = f"VOICE_CONCURRENCY={config.concurrency} is more than the plan's {most} calls"
        found.append(warning(f"{text} at once; set it to {most}."))
    return found


def _ids(config: VoicesConfig, show: Show) -> list[tuple[str, str]]:
    """Name and id of each character's voice; the setting wins over the show."""
    given: Mapping[str, str] = {name.casefold(): id_ for name, id_ in config.voices.items()}
    return [
        (character.name, given.get(character.name.casefold()) or character.elevenlabs.voice)
        for character in show.characters
    ]


async def _voice(config: VoicesConfig, character: str, voice_id: str) -> Finding:
    variable = f"ELEVENLABS_VOICE_{character.upper()}"
    if not voice_id:
        return error(f"{variable} is empty; choose a voice for {character} with `emf setup`.")
    try:
        name = await voice_name(config, voice_id, variable=variable)
    except (UserError, ProviderError) as failure:
        return _failed(failure)
    return ok(f"ElevenLabs: {character} speaks as {name}")


async def trends(settings: Settings) -> list[Finding]:
    """One request to each source; a source that fails is passed over by the channel too."""
    from pipeline.providers import factory

    config = settings.studio_config().trends
    # Answers that are kept for next time are none of the doctor's business.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sources = factory.trend_sources(config, Path(folder))
        asked = [asyncio.to_thread(_asked, source) for source in sources]
        return list(await asyncio.gather(*asked))


def _asked(source: TrendSource) -> Finding:
    try:
        found = source.fetch(1)
    except (UserError, ProviderError) as failure:
        return warning(f"trends: {failure}")
    return ok(f"trends from {source.name}: {'there are some' if found else 'none just now'}")


async def money(settings: Settings) -> list[Finding]:
    """Whether spending is limited, and reckoned with prices of today."""
    prices = load_prices(settings.data_dir)
    if not (is_paid(writer_config(settings)) or is_paid(voices_config(settings))):
        return [ok("nothing that costs money is used")]
    found = []
    if settings.daily_budget_usd is None and settings.monthly_budget_usd is None:
        found.append(
            warning("No budget is set; set DAILY_BUDGET_USD or MONTHLY_BUDGET_USD to limit costs.")
        )
    if date.today() - prices.dated > PRICES_GOOD_FOR:  # noqa: DTZ011  # half a year, give a day
        found.append(
            warning(
                f"The prices are of {prices.dated:%d %B %Y}; update the program, or write today's "
                "into prices.yaml in DATA_DIR."
            )
        )
    return found or [ok(f"budgets are set, prices are of {prices.dated:%d %B %Y}")]


def _failed(failure: UserError | ProviderError) -> Finding:
    """What passes by itself is no reason not to start."""
    is_passing = isinstance(failure, ProviderError) and failure.retryable
    return warning(str(failure)) if is_passing else error(str(failure))
