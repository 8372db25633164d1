"""The lines of a script spoken, several at once: each is paid for once and kept at once.

Lines begin in the script's order, so a budget for three lines speaks the first three. After the
first failure none begins any more; those under way end and are kept, and only then it is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

import numpy as np

from pipeline.config import VoicesConfig
from pipeline.context import StageContext
from pipeline.errors import BudgetSpent, ProviderError, StageCancelled, UserError
from pipeline.ledger import Call
from pipeline.prices import load_prices
from pipeline.providers.base import Speech, Voice
from pipeline.providers.failures import NotBilled
from pipeline.providers.voices import costs, plans, sound
from pipeline.providers.voices.slots import CallSlots
from pipeline.providers.voices.store import SpeechStore
from pipeline.sections import Line

SHORTEST_S = 0.2


@dataclass(frozen=True)
class Take:
    """A line and how it was spoken."""

    line: Line
    speech: Speech
    reused: bool


class StoppedByAnother(Exception):
    """Another line has failed while this one was about to begin."""


class Takes:
    """Of one script by one voice."""

    def __init__(self, voice: Voice, config: VoicesConfig, ctx: StageContext) -> None:
        self._voice = voice
        self._config = config
        self._ctx = ctx
        self._store = SpeechStore(ctx.data_dir / "voices")
        self._prices = load_prices(ctx.data_dir)
        self._begun: list[Future[Take]] = []
        self._failed = threading.Event()

    def of(self, lines: Sequence[Line]) -> list[Take]:
        """One take for each line, in their order."""
        with ThreadPoolExecutor(self._voice.parallel, thread_name_prefix="voice") as pool:
            for line in lines:
                self._wait_for_room()
                if self._has_failed():
                    break
                self._report(f"line {len(self._begun) + 1}: {line.character}", len(lines))
                self._begun.append(self._begin(line, pool))
            for _ in as_completed([take for take in self._begun if not take.done()]):
                self._report("the last lines are spoken", len(lines))
        if failed := [error for future in self._begun if (error := future.exception())]:
            raise min(failed, key=_rank)  # the first of the weightiest
        self._ctx.check_cancelled()
        return [future.result() for future in self._begun]

    def _wait_for_room(self) -> None:
        while len(running := [f for f in self._begun if not f.done()]) >= self._voice.parallel:
            wait(running, return_when=FIRST_COMPLETED)

    def _has_failed(self) -> bool:
        failed = (future.done() and future.exception() for future in self._begun)
        return self._failed.is_set() or any(failed)

    def _report(self, note: str, of: int) -> None:
        self._ctx.report(sum(future.done() for future in self._begun) / of, note)

    def _begin(self, line: Line, pool: ThreadPoolExecutor) -> Future[Take]:
        """A take that is kept, or one under way; what forbids it is raised by its future."""
        take: Future[Take] = Future()
        try:
            self._ctx.check_cancelled()
            return self._kept_or_begun(line, pool, take)
        except Exception as error:
            take.set_exception(error)
            return take

    def _kept_or_begun(
        self, line: Line, pool: ThreadPoolExecutor, take: Future[Take]
    ) -> Future[Take]:
        key = self._voice.key(line.text, self._ctx.show.character(line.character), line.emotion)
        with ExitStack() as held:
            # The job of an older revision may be speaking it right now.
            held.enter_context(self._store.claim(key))
            kept = self._store.get(key)
            if kept is not None and self._may_be_used(kept):
                take.set_result(Take(line, kept, reused=True))
                return take
            call = self._pay(line, held)
            # The last in is the first out: who waits for what it holds hears of a failure first.
            held.push(self._note_failure)
            return pool.submit(self._speak, line, key, call, held.pop_all())

    def _may_be_used(self, kept: Speech) -> bool:
        """Free audio stays free after an upgrade, so it is made again."""
        return not plans.is_free(kept.plan) or plans.is_free(self._voice.plan)

    def _pay(self, line: Line, held: ExitStack) -> Call | None:
        """Wait for a free call and write down what it may cost; None for a voice without bill."""
        greatest = costs.greatest_cost_of_line(self._config, line.text, self._prices)
        if not greatest.chars:
            return None
        held.enter_context(self._slots.taken(self._check_going_on))
        self._check_going_on()  # it may have had to wait, for the same line or for a free call
        return held.enter_context(
            self._ctx.ledger.paying(
                provider=self._voice.name,
                model=costs.model_of(self._config),
                what=f"line {line.index}",
                greatest=greatest,
            )
        )

    @cached_property
    def _slots(self) -> CallSlots:
        count = plans.calls_at_once(self._voice.plan, self._voice.parallel)
        return CallSlots(self._ctx.data_dir / "run", self._voice.name, count)

    def _check_going_on(self) -> None:
        self._ctx.check_cancelled()
        if self._has_failed():
            raise StoppedByAnother

    def _note_failure(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._failed.set()

    def _speak(self, line: Line, key: str, call: Call | None, held: ExitStack) -> Take:
        """In a thread of the pool; lets go of all that is held for the line."""
        character = self._ctx.show.character(line.character)
        with held:
            try:
                speech = self._voice.speak(line.text, character, line.emotion)
            except (UserError, NotBilled):
                if call:
                    call.not_billed()
                raise
            cost = costs.cost_of_speech(self._config, line.text, speech, self._prices)
            try:
                heard_span(speech, line, self._voice.name)  # what is of no use is not kept
                kept = self._store.put(key, speech, self._voice.name)
            finally:
                if call:
                    call.paid(cost, speech.request_id)
        return Take(line, kept, reused=False)


def heard_span(speech: Speech, line: Line, provider: str) -> tuple[float, float]:
    """Where the line is heard; ProviderError for sound that no reel can use."""
    if not np.isfinite(speech.samples).all():
        raise ProviderError(provider, f"line {line.index} came back as broken sound.")
    bounds = sound.span(sound.is_sound(speech.samples, speech.sample_rate))
    if bounds is None or bounds[1] - bounds[0] < SHORTEST_S:
        raise ProviderError(provider, f"line {line.index} came back without sound.")
    return bounds


def _rank(error: BaseException) -> int:
    """A bug first, then what people must do something about, then what mends itself."""
    match error:
        case StageCancelled():
            return 1
        case UserError():
            return 2
        case ProviderError(retryable=False):
            return 3
        case ProviderError():
            return 4
        case BudgetSpent():
            return 5
        case StoppedByAnother():
            return 6
    return 0
