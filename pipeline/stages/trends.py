"""Asks every source for topics at the same time; one that fails becomes a sentence, not an error.

What they found is merged: a topic that several of them name is one topic, with its best score and
all its headlines, so that the filter of sensitive topics reads what each of them knows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from pipeline.config import TrendsConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError
from pipeline.facts import Sources
from pipeline.providers import factory
from pipeline.providers.base import TrendSource
from pipeline.providers.trends.offline import EvergreenTrends
from pipeline.providers.trends.patience import answered, failed, is_resting
from pipeline.sections import SourceState, TrendItem, Trends
from pipeline.topics import same_topic

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Sources asked at the same time; with 20 s for each, 23 of them take a minute at most."""
LOOK_FOR_CANCEL_S = 0.25
MOST_HEADLINES = 20


@dataclass(frozen=True)
class Asked:
    """What became of one source; `failure` is a sentence, empty when it answered."""

    state: SourceState
    items: tuple[TrendItem, ...] = ()
    failure: str = ""


def run(sources: Sources, *, ctx: StageContext) -> Trends:
    """At most `limit` topics of each source; the bundled list fills up to `limit` in all."""
    config = cast(TrendsConfig, ctx.config)
    asked = factory.trend_sources(config, ctx.data_dir)
    found = gather(asked, sources, config.limit, ctx)
    items = filled(found.items, EvergreenTrends(), config.limit)
    ctx.report(1.0, f"{len(items)} topics")
    return found.model_copy(update={"items": items})


def gather(
    sources: Sequence[TrendSource],
    known: Sources,
    limit: int,
    ctx: StageContext,
    now: datetime | None = None,
) -> Trends:
    """Asks all sources that do not rest."""
    ctx.check_cancelled()
    now = now or datetime.now(UTC)
    states = {state.name: state for state in known.states}
    before = [states.get(source.name, SourceState(name=source.name)) for source in sources]
    due = [
        (source, state)
        for source, state in zip(sources, before, strict=True)
        if not is_resting(state, now)
    ]
    results = _ask_all(due, limit, ctx, now)
    done = {result.state.name: result for result in results}
    return Trends(
        items=merged(item for result in results for item in result.items),
        failures=tuple(result.failure for result in results if result.failure),
        sources=tuple(done[s.name].state if s.name in done else s for s in before),
    )


def merged(items: Iterable[TrendItem]) -> tuple[TrendItem, ...]:
    """Each topic once, the best first; the better name wins, headlines add up."""
    found: list[TrendItem] = []
    for item in sorted(items, key=lambda item: -item.score):
        place = next((n for n, one in enumerate(found) if same_topic(one.name, item.name)), None)
        if place is None:
            found.append(item)
            continue
        headlines = dict.fromkeys((*found[place].headlines, *item.headlines))
        # Another name may tell more to the filter than the first: "billy vigar dies".
        headlines |= {} if item.name == found[place].name else {item.name: None}
        both = {"headlines": tuple(headlines)[:MOST_HEADLINES]}
        found[place] = found[place].model_copy(update=both)
    return tuple(found)


def filled(items: Sequence[TrendItem], bundled: TrendSource, limit: int) -> tuple[TrendItem, ...]:
    """With topics of the bundled list where fewer than `limit` were found."""
    new = [
        item
        # It may have what was found already: ask for enough to leave those out.
        for item in bundled.fetch(limit + len(items))
        if not any(same_topic(item.name, one.name) for one in items)
    ]
    return (*items, *new[: max(limit - len(items), 0)])


def _ask_all(
    due: Sequence[tuple[TrendSource, SourceState]], limit: int, ctx: StageContext, now: datetime
) -> list[Asked]:
    """In the order given; StageCancelled at once, without waiting for those that dawdle."""
    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="trends")
    try:
        asked = [threads.submit(_ask, source, state, limit, now) for source, state in due]
        waiting: set[Future[Asked]] = set(asked)
        while waiting:
            ctx.check_cancelled()
            ready, waiting = wait(waiting, LOOK_FOR_CANCEL_S, return_when=FIRST_COMPLETED)
            if ready:
                done = len(asked) - len(waiting)
                ctx.report(done / len(asked), f"{done} of {len(asked)} sources asked")
        return [future.result() for future in asked]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _ask(source: TrendSource, state: SourceState, limit: int, now: datetime) -> Asked:
    try:
        items = source.fetch(limit)
    except ProviderError as error:
        log.warning("trend source %s failed: %s", source.name, error.message)
        return Asked(failed(state, error, now), failure=f"{error}.")
    except Exception:
        # Hostile input finds the bug nobody has seen; the other sources are still good.
        log.exception("trend source %s met a bug", source.name)
        bug = ProviderError(source.name, "its answer met a bug of ours; the log has the details")
        return Asked(failed(state, bug, now), failure=f"{bug}.")
    return Asked(answered(source.name, now), tuple(items))
