"""Asks every source for topics; one that fails becomes a sentence, not an error."""

import logging
from collections.abc import Sequence
from typing import cast

from pipeline.config import TrendsConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError
from pipeline.providers import factory
from pipeline.providers.base import TrendSource
from pipeline.sections import Sources, TrendItem, Trends

log = logging.getLogger(__name__)


def run(sources: Sources, *, ctx: StageContext) -> Trends:
    """At most `limit` topics of the config, each name once, the first source's first."""
    config = cast(TrendsConfig, ctx.config)
    return gather(factory.trend_sources(config), config.limit, ctx)


def gather(sources: Sequence[TrendSource], limit: int, ctx: StageContext) -> Trends:
    """Asks the sources in turn until `limit` names are there."""
    found: dict[str, TrendItem] = {}
    failures: list[str] = []
    for number, source in enumerate(sources):
        ctx.check_cancelled()
        ctx.report(number / len(sources), f"asking {source.name}")
        missing = limit - len(found)
        if missing <= 0:
            break
        try:
            # The list may repeat what the feed gave: ask for enough to skip those.
            items = source.fetch(limit)
        except ProviderError as error:
            log.warning("trend source %s failed: %s", source.name, error)
            failures.append(str(error))
            continue
        new = [item for item in items if item.name.casefold() not in found]
        found |= {item.name.casefold(): item for item in new[:missing]}
    ctx.report(1.0, f"{len(found)} topics")
    return Trends(items=tuple(found.values()), failures=tuple(failures))
