"""What can go wrong, by what the reader can do about it.

UserError          the input is at fault: its text is shown as it stands
ProviderError      an outside service is at fault: `retryable` says whether waiting helps
BudgetSpent        the next paid call does not fit into what may be spent: the job waits
StageCancelled     a person stopped the job
"""


class UserError(Exception):
    """One sentence for the person: what is wrong and what to do next."""


class ProviderError(Exception):
    """An outside service failed; `retryable` is True when the same call may work later."""

    def __init__(
        self,
        provider: str,
        message: str,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(provider, message, retryable, retry_after_s)
        self.provider = provider
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.provider}: {self.message}"


class BudgetSpent(Exception):
    """A paid call was not sent, because it might cost more than is left of the budget."""


class StageCancelled(Exception):
    """The stage saw its cancel file and stopped at a clean place."""
