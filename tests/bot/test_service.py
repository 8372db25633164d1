"""What `emf run` wires to the clock."""

from datetime import timedelta

import pytest

from bot.app import open_studio, utc_now
from bot.sandbox.instagram import InstagramSandbox
from bot.scheduler import Schedule
from bot.service import made_by_itself, token_kept
from bot.settings import load_settings
from pipeline.executors import InlineExecutor
from pipeline.services.backlog import SINCE
from pipeline.workflow import Lane
from storage.notes import Notes
from storage.records import to_text


@pytest.fixture
def studio_with(tmp_path):
    def opened(make_cron="", **others):
        values = {"data_dir": tmp_path, "trends": "offline", "make_cron": make_cron, **others}
        settings = load_settings(None, **values)
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


async def test_the_clock_keeps_the_token_fresh(studio_with, tmp_path):
    async with InstagramSandbox("EAAabout0to0end") as ig:
        token = ig.tokens.known[ig.token]
        token.kind, token.expires_at = "USER", utc_now() + timedelta(hours=1)
        linked = {
            "meta_access_token": ig.token,
            "meta_app_id": ig.tokens.app_id,
            "meta_app_secret": ig.tokens.app_secret,
            "instagram_user_id": ig.user_id,
            "instagram_graph_url": ig.graph_url,
            "instagram_upload_url": ig.upload_url,
        }
        async with studio_with(**linked) as studio:
            timed = token_kept(studio)
            assert timed.when <= 24 * 3600
            await timed.run()

    assert ig.called("exchange") == 1
    assert (tmp_path / "secrets" / "instagram.json").is_file()
