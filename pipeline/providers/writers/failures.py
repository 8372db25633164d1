"""What a chat service's refusal means for the people who wait, and whether it was billed.

One home for both services: their status codes agree, their bodies nearly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import ProviderError, UserError
from pipeline.providers.failures import ADDRESS, NotBilled, quoted, retry_after_s

_SPENT = re.compile(r"insufficient_quota|billing|credit balance|exceeded your current quota", re.I)
_ABOUT_MODEL = re.compile(r"model_not_found|\bmodel\b", re.I)


class Unreadable(ProviderError):
    """An answer came that is none; it may have been billed, so it is asked for once more only."""


@dataclass(frozen=True)
class Service:
    """How a service and its settings are called; `secret` must never be shown."""

    name: str
    prefix: str
    """Of its variables, e.g. OPENAI."""
    model: str
    secret: str

    @property
    def key_variable(self) -> str:
        return f"{self.prefix}_API_KEY"

    @property
    def url_variable(self) -> str:
        return f"{self.prefix}_BASE_URL"

    def refused(
        self, status: int, code: str, detail: str, headers: Mapping[str, str]
    ) -> UserError | ProviderError:
        """For an answer with an error status; `code` is the service's own word for it."""
        shown = quoted(detail, secret=self.secret)
        said = f" ({shown})" if shown else ""
        # Without addresses: that of a bill is shown to who asks too often as well.
        about = f"{code} {ADDRESS.sub('', detail)}"
        if _SPENT.search(about) or status == 402:
            return NotBilled(
                self.name, "the account's quota or credit is spent; top it up there", False
            )
        if status == 401:
            return UserError(f"{self.name} does not accept the key; correct {self.key_variable}.")
        if status in (403, 404) and _ABOUT_MODEL.search(about):
            return UserError(
                f"{self.name} does not offer the model {quoted(self.model)!r} to this key; set "
                "LLM_MODEL to one that it does."
            )
        if status == 403:
            return UserError(
                f"{self.name} denies access with this key{said}; check {self.key_variable}."
            )
        if status == 404:
            return UserError(
                f"There is no chat service at that address; check {self.url_variable}."
            )
        return self._passing(status, said, retry_after_s(headers))

    def _passing(self, status: int, said: str, wait_s: float | None) -> ProviderError:
        """For what is neither the key's nor the model's fault; most of it passes."""
        if status == 429:
            return NotBilled(self.name, "too many requests just now", True, wait_s)
        if 300 <= status < 400:
            return NotBilled(
                self.name,
                f"it answers with a redirect, which is not followed; check {self.url_variable}",
                False,
            )
        if status == 408 or status >= 500:
            kind = "it is overloaded" if status in (503, 529) else "it has an internal error"
            return ProviderError(self.name, f"{kind} (status {status})", True, wait_s)
        if status == 409:
            return NotBilled(self.name, "it is busy with the same request", True, wait_s)
        return NotBilled(
            self.name,
            f"it refuses the request (status {status}){said}; another LLM_MODEL may help",
            False,
        )

    def unreachable(self) -> ProviderError:
        """Nothing was sent."""
        what = f"it cannot be reached; if that stays so, check {self.url_variable}"
        return NotBilled(self.name, what, True)

    def lost(self, *, timed_out: bool) -> ProviderError:
        """It may have answered, and billed it."""
        what = "it did not answer in time" if timed_out else "the connection was lost"
        return ProviderError(self.name, what, True)

    def unreadable(self) -> ProviderError:
        return Unreadable(
            self.name,
            f"it sent something that is no answer; if that stays so, check {self.url_variable}",
            True,
        )
