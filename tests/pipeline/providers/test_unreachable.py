"""What people read when a service is not there, which a wrong address looks like as well."""

import pytest

from pipeline.providers.voices import failures as voices
from pipeline.providers.writers.failures import Service


@pytest.mark.parametrize(
    ("failure", "variable"),
    [
        (voices.unreachable(), "ELEVENLABS_BASE_URL"),
        (Service("OpenAI", "OPENAI", "gpt", "sk").unreachable(), "OPENAI_BASE_URL"),
    ],
    ids=["voices", "writer"],
)
def test_a_service_that_cannot_be_reached_names_the_setting_of_its_address(failure, variable):
    assert f"it cannot be reached; if that stays so, check {variable}" in str(failure)
    assert failure.retryable
