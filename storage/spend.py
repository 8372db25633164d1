"""What paid calls have cost, and what jobs under way may cost at most."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from storage.database import Database, Value
from storage.records import from_row, to_text

Key = Literal["provider", "stage", "episode_id"]


@dataclass(frozen=True)
class PaidCall:
    """`is_certain` is False when the answer was lost: the call counts in full."""

    job_id: int
    attempt: int
    call: int
    at: datetime
    episode_id: int | None
    revision: int | None
    stage: str
    provider: str
    model: str
    what: str
    usd: float
    chars: int
    tokens_in: int
    tokens_out: int
    is_certain: bool
    request_id: str


@dataclass(frozen=True)
class Total:
    """`lost` is how many of the calls had no answer."""

    usd: float = 0.0
    chars: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    calls: int = 0
    lost: int = 0


_SUMS = (
    "coalesce(sum(usd), 0) AS usd, coalesce(sum(chars), 0) AS chars,"
    " coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out,"
    " count(*) AS calls, coalesce(sum(1 - is_certain), 0) AS lost"
)
_COLUMNS = (
    *("job_id", "attempt", "call", "at", "episode_id", "revision", "stage", "provider", "model"),
    *("what", "usd", "chars", "tokens_in", "tokens_out", "is_certain", "request_id"),
)


class Spend:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def reserve(self, job_id: int, usd: float, *, now: datetime) -> None:
        """Set aside what a job may spend; a second time replaces the first."""
        await self._db.execute(
            "INSERT INTO reservations (job_id, usd, at) VALUES (?, ?, ?) ON CONFLICT (job_id)"
            " DO UPDATE SET usd = excluded.usd, at = excluded.at",
            (job_id, usd, to_text(now)),
        )

    async def release(self, job_id: int) -> None:
        await self._db.execute("DELETE FROM reservations WHERE job_id = ?", (job_id,))

    async def reserved(self) -> float:
        row = await self._db.fetch_one("SELECT coalesce(sum(usd), 0) FROM reservations")
        assert row is not None
        return float(row[0])

    async def book(self, calls: Iterable[PaidCall]) -> list[PaidCall]:
        """Store them, once each; those that were not stored before are given back."""
        new: list[PaidCall] = []
        async with self._db.transaction():
            for call in calls:
                stored = await self._db.execute(
                    f"INSERT INTO spend ({', '.join(_COLUMNS)})"
                    f" VALUES ({', '.join('?' for _ in _COLUMNS)}) ON CONFLICT DO NOTHING",
                    [_value(getattr(call, name)) for name in _COLUMNS],
                )
                if stored.rows:
                    new.append(call)
        return new

    async def total(
        self,
        *,
        since: datetime | None = None,
        episode_id: int | None = None,
        revision: int | None = None,
    ) -> Total:
        where, values = _where(since, episode_id, revision)
        row = await self._db.fetch_one(f"SELECT {_SUMS} FROM spend WHERE {where}", values)
        assert row is not None
        return from_row(Total, row)

    async def totals(
        self,
        by: Key,
        *,
        since: datetime | None = None,
        episode_id: int | None = None,
        revision: int | None = None,
    ) -> dict[str | int, Total]:
        """The dearest first; calls without an episode are left out when it is the key."""
        where, values = _where(since, episode_id, revision)
        rows = await self._db.fetch_all(
            f"SELECT {by} AS key, {_SUMS} FROM spend WHERE {where} AND {by} IS NOT NULL"
            f" GROUP BY {by} ORDER BY usd DESC, key",
            values,
        )
        return {row["key"]: from_row(Total, row) for row in rows}

    async def lost(self, *, since: datetime, limit: int) -> list[PaidCall]:
        """Calls without an answer, the newest first."""
        rows = await self._db.fetch_all(
            "SELECT * FROM spend WHERE at >= ? AND is_certain = 0 ORDER BY at DESC LIMIT ?",
            (to_text(since), limit),
        )
        return [from_row(PaidCall, row) for row in rows]

    async def of_job(self, job_id: int) -> list[PaidCall]:
        rows = await self._db.fetch_all(
            "SELECT * FROM spend WHERE job_id = ? ORDER BY attempt, call", (job_id,)
        )
        return [from_row(PaidCall, row) for row in rows]


def _where(
    since: datetime | None, episode_id: int | None, revision: int | None
) -> tuple[str, list[Value]]:
    conditions: dict[str, Value] = {}
    if since is not None:
        conditions["at >= ?"] = to_text(since)
    if episode_id is not None:
        conditions["episode_id = ?"] = episode_id
    if revision is not None:
        conditions["revision = ?"] = revision
    return " AND ".join(conditions) or "true", list(conditions.values())


def _value(value: Value | datetime) -> Value:
    return to_text(value) if isinstance(value, datetime) else value
