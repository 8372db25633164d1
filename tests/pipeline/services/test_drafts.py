"""Which reel lacks its draft, and how large a draft may be."""

from datetime import timedelta

import pytest

from pipeline.errors import UserError
from pipeline.sections import (
    Preview,
)
from pipeline.services.bookkeeping import DEFAULT_UPLOAD_LIMIT
from pipeline.services.drafts import SMALLEST_PREVIEW, TURNED_DOWN_FOR
from storage.states import EpisodeState


async def test_a_finished_reel_without_a_draft_is_missing_one(desk):
    episode = await desk.finished()
    assert [missing.id for missing in await desk.drafts.missing()] == [episode.id]
    await desk.drafts.posted(7, channel_id=1, episode=episode, fingerprint="f")
    assert await desk.drafts.missing() == []
    await desk.drafts.close(7)
    assert [missing.id for missing in await desk.drafts.missing()] == [episode.id]


async def test_a_message_that_is_no_draft_is_not_found(desk):
    assert await desk.drafts.find(12345) is None


async def test_a_smaller_upload_limit_is_kept(desk):
    async def limit():
        return (await desk.bookkeeping.facts(None, "preview"))["limit"].bytes

    assert await limit() == DEFAULT_UPLOAD_LIMIT
    await desk.drafts.set_upload_limit(8_000_000)
    await desk.drafts.set_upload_limit(50_000_000)
    assert await limit() == 8_000_000


async def test_a_refused_preview_is_made_again_smaller(desk):
    episode = await desk.finished()
    await desk.drafts.make_smaller(episode.id)
    (job,) = await desk.jobs.open(episode.id)
    assert (job.stage, job.until_stage) == ("preview", "preview")
    assert (await desk.bookkeeping.facts(job, "preview"))["limit"].bytes == 600_000


async def test_a_preview_does_not_shrink_for_ever(desk):
    episode = await desk.finished()
    tiny = Preview(episode=episode.id, path="p.mp4", size_bytes=SMALLEST_PREVIEW, is_reel=False)
    await desk.rows.save_section(episode.id, 1, "preview", tiny.model_dump_json())
    with pytest.raises(UserError, match="even a tiny preview"):
        await desk.drafts.make_smaller(episode.id)
    assert await desk.jobs.open(episode.id) == []


async def test_a_message_that_was_closed_can_be_the_draft_again(desk):
    episode = await desk.finished()
    await desk.drafts.posted(7, channel_id=1, episode=episode, fingerprint="f")
    await desk.drafts.close(7)
    await desk.drafts.posted(7, channel_id=1, episode=episode, fingerprint="g")
    assert (await desk.drafts.find(7)).fingerprint == "g"
    assert await desk.drafts.shown(episode) == 1


async def test_a_reel_that_was_rejected_long_ago_is_not_watched(desk):
    episode = await desk.finished()
    await desk.drafts.posted(7, channel_id=1, episode=episode, fingerprint="f")
    await desk.rows.move(episode.id, EpisodeState.REJECTED, who="Ann", now=desk.now)
    assert [draft.message_id for draft in await desk.drafts.watched()] == [7]
    desk.now += TURNED_DOWN_FOR + timedelta(seconds=1)
    assert await desk.drafts.watched() == []
    assert await desk.drafts.find(7) is not None
