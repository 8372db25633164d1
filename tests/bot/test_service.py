"""What `emf run` wires to the clock."""

from datetime import timedelta

import pytest

from bot.app import open_studio, utc_now
from bot.scheduler import Schedule
from bot.service import made_by_itself
from bot.settings import load_settings
from pipeline.executors import InlineExecutor
from pipeline.services.backlog import SINCE
from pipeline.workflow import Lane
from storage.notes import Notes
from storage.records import to_text


@pytest.fixture
def studio_with(tmp_path):
    def opened(make_cron):
        settings = load_settings(None, data_dir=tmp_path, trends="offline", make_cron=make_cron)
        return open_studio(settings, "A test", executors={lane: InlineExecutor() for lane in Lane})

    return opened


async def test_without_make_cron_nothing_is_made_by_itself(studio_with):
    async with studio_with("") as studio:
        posts = Schedule("0 18 * * *", studio.settings.zone())
        assert await made_by_itself(studio, posts) == ()


async def test_pitches_are_asked_for_when_make_cron_had_a_slot(studio_with):
    async with studio_with("0 0 1 1 *") as studio:
        posts = Schedule("0 18 * * *", studio.settings.zone())
        at_slots, safety_net = await made_by_itself(studio, posts)
        await safety_net.run()
        assert await studio.episodes.open_jobs() == []

        a_year_ago = to_text(utc_now() - timedelta(days=366))
        await Notes(studio.db).set(SINCE, a_year_ago)
        await at_slots.run()
        (job,) = await studio.episodes.open_jobs()
        assert job.stage == "trends"
        assert await studio.pitching.is_any_alive()
