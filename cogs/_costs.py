"""What was spent -> what people read, as plain functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cogs._embeds import plain

if TYPE_CHECKING:
    from pipeline.services.spending import EpisodeCost, Overview, Spent
    from storage.records import Job
    from storage.spend import PaidCall, Total


def usd(amount: float) -> str:
    """Cents where there are some, and enough digits to see less than a cent."""
    if amount == 0 or amount >= 0.9995:
        return f"${amount:,.2f}"
    return f"${amount:.3f}" if amount >= 0.001 else f"${max(amount, 1e-6):.6f}".rstrip("0")


def cost_text(cost: EpisodeCost) -> str:
    """What a revision has cost, by provider and stage, and the episode when that is more."""
    parts = [_of_revision(cost)]
    if cost.episode.calls > cost.revision.calls:
        parts.append(f"{usd(cost.episode.usd)} with its other revisions")
    if cost.revision.lost:
        parts.append(f"{_lost(cost.revision.lost)} in full")
    return " · ".join(parts)


def _of_revision(cost: EpisodeCost) -> str:
    total = cost.revision
    if not total.calls:
        return "free"
    parts = [usd(total.usd), _shares(cost.by_provider), _shares(cost.by_stage)]
    counted = []
    if total.chars:
        counted.append(f"{total.chars:,} characters")
    if tokens := total.tokens_in + total.tokens_out:
        counted.append(f"{tokens:,} tokens")
    return " · ".join([*parts, ", ".join(counted)] if counted else parts)


def spent_lines(overview: Overview) -> list[str]:
    """For /status: what was spent, on what, what is uncertain, and who waits."""
    left = "" if overview.left_usd is None else f" · {usd(overview.left_usd)} left"
    today, month = _period(overview.today), _period(overview.month)
    lines = [f"Spent: {today} today · {month} this month{left}."]
    if overview.month.total.calls:
        parts = [_shares(overview.by_stage), _shares(overview.by_provider)]
        if overview.by_episode:
            parts.append(f"episodes {_shares(overview.by_episode)}")
        lines.append(f"This month: {' · '.join(parts)}.")
    if lost := overview.month.total.lost:
        named = ", ".join(_call(call) for call in overview.lost)
        lines.append(f"{_lost(lost)} in full: {named}{'…' if lost > len(overview.lost) else ''}.")
    return [*lines, *(_waits(job) for job in overview.waiting[:3])]


def _period(spent: Spent) -> str:
    limit = "" if spent.limit_usd is None else f" of {usd(spent.limit_usd)}"
    return f"{usd(spent.total.usd)}{limit}"


def _shares(totals: Mapping[str | int, Total]) -> str:
    return ", ".join(f"{plain(str(name), 40)} {usd(total.usd)}" for name, total in totals.items())


def _lost(calls: int) -> str:
    return (
        "1 call had no answer and counts"
        if calls == 1
        else f"{calls} calls had no answer and count"
    )


def _call(call: PaidCall) -> str:
    where = f" of episode {call.episode_id}" if call.episode_id is not None else ""
    return f"{plain(call.what, 60)}{where} ({plain(call.provider, 40)})"


def _waits(job: Job) -> str:
    who = f"Episode {job.episode_id}" if job.episode_id is not None else f"Job {job.id}"
    return f"⏳ {who} waits for the budget: {plain(job.error, 300)}"
