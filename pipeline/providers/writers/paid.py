"""Asks a language model so that no answer is paid twice: what has arrived is kept and read again.

An answer is on the disk before it counts as paid. Rounds are those of the job, not of an
attempt: a killed attempt's successor goes on behind the last answer.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pipeline.config import WriterConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError, UserError
from pipeline.files import write_whole
from pipeline.prices import Prices
from pipeline.providers.base import LanguageModel, Reply, Stop, Turn
from pipeline.providers.failures import NotBilled
from pipeline.providers.writers.failures import Unreadable
from pipeline.providers.writers.prompt import Prompt, cost_of, greatest_cost_of_call
from pipeline.sections import Section

UNREADABLE_FILE = "unreadable"


class Answer(Section):
    """What came back, as it is kept; `subject` says what it was asked for."""

    subject: str
    text: str
    stop: Stop
    tokens_in: int
    tokens_out: int
    model: str
    request_id: str
    usd: float


class PaidCalls:
    def __init__(
        self, model: LanguageModel, *, config: WriterConfig, prices: Prices, ctx: StageContext
    ) -> None:
        self._model = model
        self._config = config
        self._prices = prices
        self._ctx = ctx
        self._usd = 0.0

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def usd(self) -> float:
        """What all answers so far cost, those of earlier attempts included."""
        return self._usd

    def ask(self, prompt: Prompt, *, number: int, what: str, subject: str) -> Answer:
        """The kept answer of this round, or a new one; `what` names the call for people.

        ProviderError when none came, BudgetSpent before one that does not fit is asked for.
        """
        path = self._ctx.paid_folder / f"answer-{number}.json"
        answer = _read(path, subject)
        if answer is None:
            self._ctx.check_cancelled()
            answer = self._pay(prompt, path, f"{what}, round {number}", subject)
        self._usd += answer.usd
        return answer

    def _pay(self, prompt: Prompt, path: Path, what: str, subject: str) -> Answer:
        greatest = greatest_cost_of_call(prompt, self._config, self._prices)
        with self._ctx.ledger.paying(
            provider=self._model.name, model=self._model.model, what=what, greatest=greatest
        ) as call:
            try:
                reply = self._model.ask(
                    prompt.system,
                    [Turn("user", prompt.user)],
                    schema=prompt.schema,
                    max_tokens=prompt.max_tokens,
                )
            except (UserError, NotBilled):
                call.not_billed()
                raise
            except Unreadable as error:
                raise self._once_more(error) from error
            cost = cost_of(self._config, self._prices, reply.tokens_in, reply.tokens_out)
            answer = _answer(reply, subject, cost.usd)
            write_whole(path, answer.model_dump_json().encode())
            call.paid(cost, reply.request_id)
        return answer

    def _once_more(self, error: Unreadable) -> ProviderError:
        """It may have been billed each time, so the second one in a job's life is the last."""
        mark = self._ctx.paid_folder / UNREADABLE_FILE
        again = not mark.exists()
        write_whole(mark, b"")
        return ProviderError(error.provider, error.message, again)


def _answer(reply: Reply, subject: str, usd: float) -> Answer:
    return Answer(
        subject=subject,
        text=reply.text,
        stop=reply.stop,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        model="".join(char for char in reply.model if char.isprintable())[:100],
        request_id=reply.request_id[:100],
        usd=usd,
    )


def _read(path: Path, subject: str) -> Answer | None:
    """None when there is none, or one to another question."""
    try:
        answer = Answer.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return answer if answer.subject == subject else None
