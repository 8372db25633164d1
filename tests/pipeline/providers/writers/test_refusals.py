"""What kind of failure a chat service's refusal is."""

import pytest

from pipeline.errors import ProviderError
from pipeline.providers.failures import NotBilled
from pipeline.providers.writers.failures import Service

OPENAI = Service("OpenAI", "OPENAI", "gpt-6-luna", "sk-secret-key")


def refused(status: int, code: str, detail: str) -> ProviderError:
    error = OPENAI.refused(status, code, detail, {"retry-after": "20"})
    assert isinstance(error, NotBilled)
    return error


def test_asking_too_often_passes_although_the_service_names_the_address_of_its_bills():
    error = refused(
        429,
        "rate_limit_exceeded requests",
        "Rate limit reached for gpt-6-luna in organization org-1 on requests per min (RPM): Limit "
        "3, Used 3, Requested 1. Please try again in 20s. You can increase your rate limit by "
        "adding a payment method to your account at https://platform.openai.com/account/billing.",
    )
    assert error.retryable
    assert error.retry_after_s == 20


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        (429, "insufficient_quota", "See https://platform.openai.com/docs/guides/error-codes."),
        (429, "", "You exceeded your current quota, please check your plan and billing details."),
        (400, "invalid_request_error", "Your credit balance is too low; go to Plans & Billing."),
        (402, "billing_error", ""),
    ],
)
def test_a_spent_quota_does_not_pass(status, code, detail):
    assert not refused(status, code, detail).retryable
