"""What Discord does on a bad day, and people in a hurry."""

import asyncio
import subprocess

import imageio_ffmpeg
import pytest

POST = "/channels/*/messages"


async def goes_out(night):
    draft = await night.draft(1)
    assert night.drafts() == [draft]
    await night.approve(draft)
    assert await night.slot_ends() == "posted"
    assert len(night.instagram.posts) == 1


def what_the_decoder_says(clip):
    decoded = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), *("-v", "error", "-i", "-", "-f", "null", "-")],
        input=clip,
        capture_output=True,
        check=True,
    )
    return decoded.stderr


async def test_a_preview_that_is_too_large_is_made_smaller_until_it_fits(open_night):
    limit_bytes = 500_000
    async with open_night(upload_limit_bytes=limit_bytes) as night:
        await night.launch()
        draft = await night.draft(1)
        (clip,) = (each for each in draft.attachments if each.filename.endswith(".mp4"))
        assert len(clip.data) < limit_bytes
        assert what_the_decoder_says(clip.data) == b""
        await goes_out(night)


async def test_a_draft_that_discord_fails_to_take_comes_later(night):
    fault = night.discord.faults.add("POST", POST, times=2, status=503)
    await night.launch(repair_s=1)
    await goes_out(night)
    assert fault.times == 0


async def test_a_refused_first_connection_to_the_gateway_is_tried_again(night):
    fault = night.discord.faults.add("GET", "/gateway", times=2, status=503)
    await night.launch()
    assert fault.times == 0
    await goes_out(night)


@pytest.mark.parametrize("path", ["/users/@me", "/gateway/bot", "/applications/*"])
async def test_a_discord_that_is_down_at_the_start_is_waited_for(night, path):
    fault = night.discord.faults.add("*", path, times=2, status=503)
    await night.launch()
    assert fault.times == 0
    await goes_out(night)


@pytest.mark.parametrize(
    "drop",
    [
        "reconnect",
        "invalid",
        pytest.param("resumable", marks=pytest.mark.slow),
        pytest.param("closed", marks=pytest.mark.slow),
    ],
)
async def test_a_dropped_gateway_loses_no_approval(night, drop):
    await night.launch()
    draft = await night.draft(1)
    gateway = night.discord.gateway
    before = gateway.identifies + gateway.resumes
    {
        "reconnect": gateway.reconnect,
        "resumable": lambda: gateway.invalidate(resumable=True),
        "invalid": lambda: gateway.invalidate(resumable=False),
        "closed": lambda: gateway.close(4000),
    }[drop]()
    night.discord.react(night.approver, draft, "✅")
    await night.until(lambda: gateway.identifies + gateway.resumes > before)
    await night.until_state("approved")
    assert await night.slot_ends() == "posted"
    assert len(night.instagram.posts) == 1


async def test_discord_being_away_at_the_slot_posts_nothing_until_it_is_back(night):
    await night.launch()
    await night.approve(await night.draft(1))
    await night.schedule_runs()
    reads = night.discord.faults.add("GET", POST + "/*", times=1000, status=403)
    key = night.slot()
    await night.until(lambda: reads.times < 999)
    assert night.instagram.called("publish") == 0
    night.discord.faults.clear()
    sql = "SELECT 1 FROM slots WHERE slot = ? AND outcome = 'posted'"
    await night.until(lambda: night.rows(sql, key))
    assert len(night.instagram.posts) == 1


async def test_two_wishes_for_a_reel_at_once_make_two_episodes_on_two_topics(empty_night):
    await empty_night.launch()
    second = empty_night.discord.add_member("Colette", [empty_night.discord.approver])
    await asyncio.gather(
        *(empty_night.ask(who, "script write") for who in (empty_night.approver, second))
    )
    written = "SELECT topic FROM episodes JOIN revisions ON id = episode_id WHERE script NOT NULL"
    await empty_night.until(lambda: len(empty_night.rows(written)) == 2)
    topics = {topic for (topic,) in empty_night.rows(written)}
    assert len(topics) == 2
