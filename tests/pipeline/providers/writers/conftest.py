from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.sections import Brief
from pipeline.shows import load_show, read_show

TINY = Path(__file__).parents[3] / "fixtures" / "tiny_show"


@pytest.fixture(scope="session")
def show():
    return load_show("butcher_and_nutsy")


@pytest.fixture(scope="session")
def tiny_show():
    return read_show(TINY)


@pytest.fixture
def brief():
    def make(topic="wordle", *, episode=1, day=4, headlines=()):
        created_at = datetime(2026, 5, day, 9, tzinfo=UTC)
        return Brief(episode=episode, topic=topic, headlines=headlines, created_at=created_at)

    return make
