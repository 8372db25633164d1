"""What people can ask for about episodes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import UserError
from pipeline.sections import (
    Emotion,
)
from pipeline.services.bookkeeping import SHELF_LIFE
from pipeline.services.episodes import speakable_topic
from storage.errors import RecordNotFound
from storage.states import EpisodeState, JobState

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_a_topic_by_hand_starts_with_the_script(desk):
    episode = await desk.episodes.make("  Flat   Earth ", "Margot")
    view = await desk.episodes.view(episode.id)
    (job,) = await desk.episodes.jobs_of(episode.id)
    assert (view.brief.topic, view.episode.source) == ("Flat Earth", "hand")
    assert (job.stage, job.until_stage) == ("script", "preview")


async def test_without_a_topic_the_best_unused_trend_is_taken(desk):
    await desk.trend("Coffee", score=0.2, source="google")
    await desk.trend("Pigeons", score=0.9, source="google", headlines=("Pigeons win",))
    episode = await desk.episodes.make(None, "Margot")
    view = await desk.episodes.view(episode.id)
    assert (view.brief.topic, view.brief.headlines) == ("Pigeons", ("Pigeons win",))
    assert view.episode.best_before == NOW + SHELF_LIFE
    assert (await desk.episodes.make(None, "Margot")).topic == "Coffee"


async def test_an_evergreen_topic_does_not_spoil(desk):
    await desk.trend("Pigeons", source="evergreen")
    assert (await desk.episodes.make(None, "Margot")).best_before is None


@pytest.mark.parametrize("refused", ["it is too sad", None])
async def test_without_a_usable_trend_the_sources_are_asked_first(desk, refused):
    if refused:
        await desk.trend("Sad News", refused_because=refused)
    episode = await desk.episodes.make(None, "Margot")
    (job,) = await desk.episodes.jobs_of(episode.id)
    assert (job.stage, job.until_stage) == ("trends", "preview")


async def test_yesterdays_trend_is_not_todays(desk):
    await desk.trend("Pigeons", source="google")
    desk.now = NOW + timedelta(days=1)
    assert (await desk.episodes.make(None, "Margot")).topic == ""
    assert (await desk.episodes.make(None, "Margot", days=2)).topic == "Pigeons"


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("", "topic is empty"),
        ("\n\t", "topic is empty"),
        ("x" * 121, "longer than 120"),
        ("mass shooting", "Choose another topic"),
        ("Погода", "not in Latin letters"),
    ],
)
async def test_a_refused_topic_leaves_no_episode(desk, topic, words):
    with pytest.raises(UserError, match=words):
        await desk.episodes.make(topic, "Margot")
    assert await desk.episodes.newest() == []


def test_a_topic_is_cleaned_of_line_breaks():
    assert speakable_topic(" Flat\n Earth ") == "Flat Earth"


async def test_a_script_by_hand_becomes_an_episode(desk, hand_script):
    episode = await desk.episodes.from_script(hand_script(), "Margot")
    view = await desk.episodes.view(episode.id)
    file = desk.folder.revision(episode.id, 1) / "script.json"
    assert view.script.episode == episode.id
    assert (
        json.loads(file.read_text())["lines"] == json.loads(view.script.model_dump_json())["lines"]
    )
    assert await desk.episodes.jobs_of(episode.id) == []


async def test_the_script_of_an_episode_is_that_episode(desk, hand_script):
    episode = await desk.episodes.from_script(hand_script(), "Margot")
    own = (await desk.episodes.view(episode.id)).script
    assert await desk.episodes.from_script(own, "Margot") == episode
    changed = own.model_copy(update={"lines": own.lines[:-1]})
    assert (await desk.episodes.from_script(changed, "Margot")).id == episode.id + 1
    stranger = own.model_copy(update={"episode": 99})
    assert (await desk.episodes.from_script(stranger, "Margot")).id == episode.id + 2


async def test_an_edit_makes_a_new_revision_from_the_voices_on(desk):
    episode = await desk.finished()
    edited = await desk.episodes.edit_line(episode.id, 2, " Tea!  Tea! ", Emotion.SAD, "Margot")
    view = await desk.episodes.view(episode.id)
    assert (edited.revision, edited.state) == (2, EpisodeState.DRAFT)
    line = view.script.lines[1]
    assert (line.text, line.emotion, line.character) == ("Tea! Tea!", Emotion.SAD, "Nutsy")
    assert (view.video, view.revision.fingerprint) == (None, None)
    (job,) = await desk.jobs.open(episode.id)
    assert (job.stage, job.revision, job.until_stage) == ("voices", 2, "preview")


async def test_of_two_edits_at_once_both_are_kept(desk):
    episode = await desk.finished()
    await asyncio.gather(
        desk.episodes.edit_line(episode.id, 1, "One more time!", None, "Margot"),
        desk.episodes.edit_line(episode.id, 3, "And three!", None, "Ann"),
    )
    view = await desk.episodes.view(episode.id)
    assert view.episode.revision == 3
    assert (view.script.lines[0].text, view.script.lines[2].text) == (
        "One more time!",
        "And three!",
    )


async def test_an_edit_closes_the_old_draft_and_stops_the_old_jobs(desk):
    episode = await desk.finished()
    await desk.drafts.posted(7, channel_id=1, episode=episode, fingerprint="f")
    old = await desk.engine.queue("preview", episode_id=episode.id, revision=1)
    await desk.episodes.edit_line(episode.id, 1, "Tea?", None, "Margot")
    assert await desk.drafts.find(7) is None
    assert (await desk.jobs.get(old.id)).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (0, "Tea?", "has lines 1 to 5, not 0"),
        (6, "Tea?", "has lines 1 to 5, not 6"),
        (1, "", "1 to 280 characters"),
        (1, "x" * 281, "1 to 280 characters"),
    ],
)
async def test_a_wrong_edit_changes_nothing(desk, line, text, words):
    episode = await desk.finished()
    before = await desk.episodes.view(episode.id)
    with pytest.raises(UserError, match=words):
        await desk.episodes.edit_line(episode.id, line, text, None, "Margot")
    assert await desk.episodes.view(episode.id) == before


async def test_what_is_not_written_cannot_be_edited(desk):
    episode = await desk.episodes.make("Coffee", "Margot")
    with pytest.raises(UserError, match="has no script yet"):
        await desk.episodes.edit_line(episode.id, 1, "Tea?", None, "Margot")


async def test_made_again_it_starts_with_a_new_script(desk):
    episode = await desk.finished()
    again = await desk.episodes.again(episode.id, "Margot", revision=1)
    view = await desk.episodes.view(episode.id)
    assert (again.revision, view.brief.topic, view.script) == (2, "Coffee again?", None)
    (job,) = await desk.jobs.open(episode.id)
    assert (job.stage, job.revision) == ("script", 2)


async def test_the_second_of_two_clicks_is_harmless(desk):
    episode = await desk.finished()
    await desk.episodes.again(episode.id, "Margot", revision=1)
    assert (await desk.episodes.again(episode.id, "Pascal", revision=1)).revision == 2


async def test_render_queues_the_first_stage_that_is_missing(desk, hand_script):
    episode = await desk.episodes.from_script(hand_script(), "Margot")
    job = await desk.episodes.render(episode.id)
    assert (job.stage, job.until_stage) == ("voices", "preview")
    assert await desk.episodes.render(episode.id) == job


async def test_render_has_nothing_to_do_once_all_is_there(desk, hand_script):
    episode = await desk.episodes.from_script(hand_script(), "Margot")
    assert await desk.episodes.render(episode.id, until="script") is None


async def test_one_stage_alone_goes_no_further(desk, hand_script):
    episode = await desk.episodes.from_script(hand_script(), "Margot")
    job = await desk.episodes.run_stage(episode.id, "images")
    assert (job.stage, job.until_stage) == ("images", "images")


@pytest.mark.parametrize("wish", ["view", "render", "again"])
async def test_an_unknown_episode_is_not_found(desk, wish):
    arguments = (99, "Margot") if wish == "again" else (99,)
    with pytest.raises(RecordNotFound, match="no episode 99"):
        await getattr(desk.episodes, wish)(*arguments)
