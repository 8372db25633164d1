"""What an attempt may spend and what it has spent: a synced line before each paid call, one after.

The file lies in DATA_DIR/paid/<job>/, which outlives attempts and crashes. A call whose result
is missing counts in full: its answer may have been lost after it was billed.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from pipeline.errors import BudgetSpent
from pipeline.files import sync
from pipeline.sections import Section

SLACK_USD = 1e-9
"""Sums of floats; a budget for three lines is a budget for three lines."""


class Cost(Section):
    usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    chars: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Intent(Section):
    """What a call may cost at most, written before it is sent."""

    call: int
    provider: str
    model: str
    what: str
    greatest: Cost
    at: AwareDatetime


class Result(Section):
    """What it did cost; nothing when the service certainly did not bill it."""

    call: int
    cost: Cost
    request_id: str = ""


class Receipt(Section):
    """A call as it is booked; `is_certain` is False when the answer was lost."""

    intent: Intent
    cost: Cost
    request_id: str = ""
    is_certain: bool = True


class Call:
    """One paid call under way: say `paid()` or `not_billed()`, or it counts in full."""

    def __init__(self, ledger: Ledger, intent: Intent) -> None:
        self._ledger = ledger
        self._intent = intent

    def paid(self, cost: Cost, request_id: str = "") -> None:
        """The answer has arrived and is kept; this is what it cost."""
        self._ledger._settle(Result(call=self._intent.call, cost=cost, request_id=request_id[:100]))

    def not_billed(self) -> None:
        """The service refused it, or it never got there."""
        self._ledger._settle(Result(call=self._intent.call, cost=Cost()))


class Ledger:
    """Of one attempt; safe to use from several threads. Without a path nothing is written."""

    def __init__(self, path: Path | None = None, *, allowance_usd: float | None = None) -> None:
        """`allowance_usd` is None when there is no budget."""
        self._path = path
        self._allowance_usd = allowance_usd
        self._lock = threading.Lock()
        # An attempt is there already where a backup was restored that knows nothing of it.
        before = read_receipts(path) if path else []
        self._costs = {receipt.intent.call: receipt.cost for receipt in before}
        """The greatest cost of calls under way or lost, the real one of the others."""
        self._calls = max(self._costs, default=0)
        self._is_torn = path is not None and path.exists()

    @property
    def spent(self) -> Cost:
        with self._lock:
            costs = list(self._costs.values())
        return total(costs)

    @contextmanager
    def paying(self, *, provider: str, model: str, what: str, greatest: Cost) -> Iterator[Call]:
        """For one call to a service that bills it; `what` names it for people ("line 3").

        BudgetSpent, before anything is sent, when it might cost more than is left.
        """
        with self._lock:
            self._refuse_what_does_not_fit(what, greatest)
            self._calls += 1  # also when the line below fails: it may be there nevertheless
            intent = Intent(
                call=self._calls,
                provider=provider,
                model=model,
                what=what,
                greatest=greatest,
                at=datetime.now(UTC),
            )
            self._write({"intent": intent.model_dump(mode="json")})
            self._costs[intent.call] = greatest
        yield Call(self, intent)

    def _refuse_what_does_not_fit(self, what: str, greatest: Cost) -> None:
        if self._allowance_usd is None:
            return
        spent = sum(cost.usd for cost in self._costs.values())
        left = max(self._allowance_usd - spent, 0.0)
        if greatest.usd > left + SLACK_USD:
            raise BudgetSpent(
                f"{what[:1].upper()}{what[1:]} may cost ${greatest.usd:.4f} and "
                f"${left:.4f} of the budget is left; it goes on when DAILY_BUDGET_USD "
                "and MONTHLY_BUDGET_USD allow it."
            )

    def _settle(self, result: Result) -> None:
        with self._lock:
            self._write({"result": result.model_dump(mode="json")})
            self._costs[result.call] = result.cost

    def _write(self, entry: dict[str, object]) -> None:
        if self._path is None:
            return
        is_new = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A full disk may have cut the line before; it must not take this one along.
        line = ("\n" if self._is_torn else "") + json.dumps(entry, ensure_ascii=False) + "\n"
        self._is_torn = True
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:  # only there after a power cut when its folder was synced, too
            for folder in (self._path.parent, self._path.parent.parent):
                sync(folder)
        self._is_torn = False


def total(costs: list[Cost]) -> Cost:
    return Cost(
        usd=sum(cost.usd for cost in costs),
        chars=sum(cost.chars for cost in costs),
        tokens_in=sum(cost.tokens_in for cost in costs),
        tokens_out=sum(cost.tokens_out for cost in costs),
    )


def read_receipts(path: Path) -> list[Receipt]:
    """What an attempt has spent, also when it was killed; a torn last line is a lost result."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    intents: dict[int, Intent] = {}
    results: dict[int, Result] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if "intent" in entry:
                intent = Intent.model_validate(entry["intent"])
                intents[intent.call] = intent
            else:
                result = Result.model_validate(entry["result"])
                results[result.call] = result
        except (ValueError, ValidationError, KeyError, TypeError):
            continue
    return [_receipt(intent, results.get(call)) for call, intent in intents.items()]


def _receipt(intent: Intent, result: Result | None) -> Receipt:
    if result is None:
        return Receipt(intent=intent, cost=intent.greatest, is_certain=False)
    return Receipt(intent=intent, cost=result.cost, request_id=result.request_id)
