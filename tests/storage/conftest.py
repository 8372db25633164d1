from datetime import UTC, datetime

import pytest

from storage.database import Database
from storage.episodes import Episodes
from storage.jobs import Jobs


@pytest.fixture
def now():
    return datetime(2026, 3, 1, 18, 0, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path):
    async with await Database.open(tmp_path / "studio.db") as database:
        yield database


@pytest.fixture
def episodes(database):
    return Episodes(database)


@pytest.fixture
def jobs(database):
    return Jobs(database)


@pytest.fixture
async def episode(episodes, now):
    return await episodes.create(topic="pigeons", requested_by="Ann", now=now)
