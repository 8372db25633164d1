import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pipeline.config import StudioConfig, VoicesConfig, WriterConfig
from pipeline.estimates import Estimates
from pipeline.facts import Memory, Topic, Topics
from pipeline.prices import load_prices
from pipeline.sections import Brief, Script
from pipeline.shows import load_show

LINES = [
    {"index": 1, "character": "Butcher", "text": "Coffee again?", "emotion": "sarcastic"},
    {"index": 2, "character": "Nutsy", "text": "Yes! Coffee! Yes!", "emotion": "excited"},
]
KNOWN = {
    "brief": Brief(episode=1, topic="Coffee", created_at=datetime.now(UTC)).model_dump(mode="json"),
    "memory": Memory().model_dump(mode="json"),
    "topics": Topics(topics=(Topic(name="Coffee", source="hand"),)).model_dump(mode="json"),
    "script": Script.model_validate({"lines": LINES}).model_dump(mode="json"),
}


@pytest.fixture
def greatest_usd():
    def greatest_usd(stage, **config):
        estimates = Estimates(StudioConfig(**config), load_show("butcher_and_nutsy"), load_prices())
        return estimates.greatest_usd(stage, KNOWN)

    return greatest_usd


@pytest.mark.parametrize("stage", ["pitches", "trends", "script", "voices", "images", "preview"])
def test_what_is_made_here_costs_nothing(greatest_usd, stage):
    assert greatest_usd(stage) == 0.0


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_service_that_writes_costs_something_but_no_fortune(greatest_usd, provider):
    writer = WriterConfig(provider=provider)
    assert 0 < greatest_usd("script", script=writer) < 0.5
    assert 0 < greatest_usd("pitches", pitches=writer) < 0.5


def test_lines_cost_by_their_characters(greatest_usd):
    said = sum(len(line["text"]) for line in LINES)
    usd = greatest_usd("voices", voices=VoicesConfig(provider="elevenlabs"))
    assert usd == pytest.approx(said * 0.30 / 1000, rel=0.2)


def test_estimates_load_no_sdk():
    script = (
        "import sys, pipeline.estimates, pipeline.providers.writers.prompt,"
        " pipeline.providers.voices.costs;"
        "print([n for n in ('openai', 'anthropic', 'elevenlabs', 'httpx', 'torch', 'onnxruntime')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
