"""Every call of every service x whatever can go wrong with it: what people read, what was paid.

The run of the tests ends with the table itself (tests/conftest.py prints it).
"""

import asyncio
import socket

import pytest
from faults.calls import ABSENT, CALLS, FAULTS, meet

from bot.errors import sentence

SENT_AT_MOST = 4
"""By one attempt, of one kind; the engine bounds the attempts."""
CERTAINLY_FREE = ("refused", "429 with a hint", "429", "wrong key", "quota spent")
BILLED = ("dropped after", "timeout", "malformed", "truncated")


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch):
    from pipeline.providers.trends import download, feed, google, hackernews, wikipedia
    from pipeline.providers.voices.elevenlabs import ElevenLabsVoice
    from pipeline.providers.writers import chat
    from pipeline.publishing import renewal, tokens

    monkeypatch.setattr(chat, "READ_TIMEOUT_S", 0.4)
    monkeypatch.setattr(chat, "OWN_SERVER_TIMEOUT_S", 0.4)
    monkeypatch.setattr(ElevenLabsVoice.__init__, "__kwdefaults__", {"timeout_s": 0.4})
    monkeypatch.setattr(tokens, "TIMEOUT_S", 0.4)
    monkeypatch.setattr(renewal, "TIMEOUT_S", 0.4)
    quick = download.Limits(read_s=0.4, total_s=2.0)
    for source in (
        google.GoogleTrends,
        wikipedia.WikipediaTrends,
        hackernews.HackerNewsTrends,
        feed.FeedTrends,
    ):
        defaults = {**source.__init__.__kwdefaults__, "limits": quick}
        monkeypatch.setattr(source.__init__, "__kwdefaults__", defaults)


def cases():
    for service, calls in CALLS.items():
        for call in calls:
            for fault in FAULTS:
                if fault not in ABSENT.get(service, ()):
                    yield pytest.param(service, call, fault, id=f"{service}-{call}-{fault}")


@pytest.mark.parametrize(("service", "call", "fault"), list(cases()))
def test_a_fault_is_one_sentence_and_is_never_booked_too_low(
    service, call, fault, tmp_path, record_property, caplog
):
    seen = asyncio.run(meet(service, call, fault, tmp_path))
    said = sentence(seen.error) if isinstance(seen.error, BaseException) else seen.error
    paid = "" if seen.booked_usd is None else f"${seen.booked_usd:.4f}"
    record_property("fault", [service, call, fault, said, paid, seen.sent])

    assert said, "people are told nothing"
    assert "\n" not in said
    assert len(said) <= 400
    assert said.endswith(".")
    assert ".." not in said
    assert "Error)" not in said, "a person does not know our exceptions"
    assert "our side" not in said, "nobody foresaw it"
    assert not any(secret in said + caplog.text for secret in seen.secrets)
    assert seen.sent <= SENT_AT_MOST
    if seen.booked_usd is not None:
        assert fault not in CERTAINLY_FREE or seen.booked_usd == 0
        assert fault not in BILLED or seen.booked_usd > 0


def test_the_table_knows_every_address_that_a_test_may_reach():
    """A closed port really refuses, or the row `refused` would show something else."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
