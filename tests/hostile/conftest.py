"""A whole studio on a real database, with a canary in its bible and stand-ins for its services."""

import io
import logging
import os
import shutil
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from hostile.texts import CANARY
from standins.feeds import Feeds
from standins.nonsense import Nonsense
from standins.openai import KEY, OpenAI

from bot.app import open_studio
from bot.logs import set_up_logging
from bot.settings import Settings, load_settings
from pipeline.executors import InlineExecutor
from pipeline.shows import BUNDLED, load_show
from pipeline.workflow import Lane

SHOW = "butcher_and_nutsy"


@pytest.fixture(autouse=True)
def _no_power_fails(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def data_dir(tmp_path):
    """With a show of its own, whose bible has the canary."""
    folder = tmp_path / "data" / "shows" / SHOW
    shutil.copytree(BUNDLED / SHOW, folder)
    bible = folder / "show.yaml"
    bible.write_text(bible.read_text().replace("\nrules:\n", f"\nrules:\n  - {CANARY}\n", 1))
    return tmp_path / "data"


@pytest.fixture
def feeds():
    with Feeds(now=datetime.now(UTC)) as service:
        yield service


@pytest.fixture
def model():
    with OpenAI(answers=Nonsense()) as service:
        yield service


@pytest.fixture
def log():
    """All that is logged, one line per record."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging("INFO", [KEY], structured=True, stream=stream)
    yield stream
    root.handlers[:], root.level = before


@pytest.fixture
def open_here(data_dir, feeds, model, monkeypatch):
    """`async with open_here() as studio`; its engine is not started."""
    usual = Settings.studio_config

    def with_all_topics(settings):
        config = usual(settings)
        return config.model_copy(
            update={"trends": config.trends.model_copy(update={"limit": 1000})}
        )

    monkeypatch.setattr(Settings, "studio_config", with_all_topics)

    @asynccontextmanager
    async def opened(**changes):
        settings = load_settings(
            None,
            data_dir=data_dir,
            openai_api_key=KEY,
            openai_base_url=model.base_url,
            trends_rss_url=feeds.rss_url,
            trends_wikipedia_url=feeds.wikipedia_url,
            trends_hackernews_url="",
            **changes,
        )
        executors = {lane: InlineExecutor() for lane in Lane}
        async with open_studio(settings, "a test", executors=executors) as studio:
            yield studio

    return opened


@pytest.fixture
async def studio(open_here):
    async with open_here() as studio:
        yield studio


@pytest.fixture
def canary_show(data_dir):
    return load_show(SHOW, data_dir)
