"""Trends, pictures, metrics, messages and notes."""

import asyncio
from datetime import timedelta

import pytest

from storage.errors import InvalidTransition, RecordNotFound
from storage.images import Images
from storage.messages import Messages
from storage.metrics import Metrics
from storage.notes import Notes
from storage.records import NewImage, NewTrend, TrendSource
from storage.trend_sources import TrendSources
from storage.trends import Trends

DAY = timedelta(days=1)


def trend(now, name="pigeons", *, score=0.5, source="google", **options):
    return NewTrend(name=name, score=score, timestamp=now, source=source, **options)


def picture(number, character="Butcher", emotion="happy"):
    path = f"library/{character}/{emotion}/{number}.png"
    return NewImage(character, emotion, path, "0" * 64, 720, 720, "rig")


@pytest.fixture
def trends(database):
    return Trends(database)


@pytest.fixture
def images(database):
    return Images(database)


@pytest.fixture
def metrics(database):
    return Metrics(database)


@pytest.fixture
def messages(database):
    return Messages(database)


async def test_a_trend_is_stored_once_per_day_and_source(trends, now):
    assert await trends.store([trend(now), trend(now, "PIGEONS")], now=now) == 1
    assert await trends.store([trend(now), trend(now, source="hand")], now=now) == 1
    assert await trends.store([trend(now)], now=now + DAY) == 1


async def test_headlines_and_refusals_are_kept(trends, now):
    sad = trend(now, headlines=("One", "Two"), refused_because="somebody died")
    await trends.store([sad], now=now)
    (stored,) = await trends.newest(5)
    assert (stored.headlines, stored.refused_because) == (("One", "Two"), "somebody died")


async def test_unused_topics_come_once_each_the_best_first(trends, now):
    await trends.store(
        [
            trend(now, "pigeons", score=0.2),
            trend(now, "Pigeons", score=0.9, source="wikipedia"),
            trend(now, "cats", score=0.5),
            trend(now, "war", score=1.0, refused_because="sad"),
        ],
        now=now,
    )
    found = await trends.unused(since=now, limit=9)
    assert [(t.name, t.score) for t in found] == [("Pigeons", 0.9), ("cats", 0.5)]


async def test_a_used_topic_is_not_offered_again_under_another_source(trends, now, episode):
    await trends.store([trend(now), trend(now, source="wikipedia")], now=now)
    await trends.mark_used(1, episode.id)
    assert await trends.unused(since=now, limit=9) == []


async def test_a_topic_used_long_ago_may_come_back(trends, now, episode):
    await trends.store([trend(now)], now=now)
    await trends.mark_used(1, episode.id)
    await trends.store([trend(now + 30 * DAY)], now=now + 30 * DAY)
    assert len(await trends.unused(since=now + 20 * DAY, limit=9)) == 1


async def test_topics_can_be_asked_for_from_a_day_on(trends, now):
    await trends.store([trend(now, "pigeons"), trend(now, "cats", score=0.9)], now=now)
    await trends.store([trend(now, "pigeons", score=0.1)], now=now + DAY)
    today = (now + DAY).date().isoformat()
    found = await trends.unused(since=now, limit=9, fetched=today)
    assert [(t.name, t.score) for t in found] == [("pigeons", 0.1)]


async def test_the_names_of_used_topics_are_those_of_trends_and_of_episodes(
    trends, episodes, episode, now
):
    await trends.store([trend(now, "cats"), trend(now, "dogs")], now=now)
    await trends.mark_used(1, episode.id)
    assert sorted(await trends.names_used(since=now)) == ["cats", "pigeons"]
    assert await trends.names_used(since=now + DAY) == []


async def test_refused_topics_come_once_each(trends, now):
    sad = {"refused_because": "somebody died"}
    await trends.store([trend(now, "war", **sad), trend(now, "cats")], now=now)
    await trends.store([trend(now, "War", source="wikipedia", **sad)], now=now)
    assert [t.name for t in await trends.refused(since=now)] == ["War"]
    assert await trends.refused(since=now + DAY) == []


async def test_how_sources_did_is_replaced_as_a_whole(database, now):
    sources = TrendSources(database)
    fine = TrendSource("google", 0, None, False, "", now)
    bad = TrendSource("wikipedia", 2, now + DAY, True, "it answers 429", None)
    worse = TrendSource("feed:a", 5, now, False, "it answers 503", None)
    await sources.replace([fine, bad, worse])
    assert await sources.all() == [worse, fine, bad]
    assert await sources.failing() == [worse, bad]
    await sources.replace([fine])
    assert await sources.all() == [fine]


async def test_a_trend_is_used_by_one_episode(trends, episodes, episode, now):
    other = await episodes.create(now=now)
    await trends.store([trend(now)], now=now)
    await trends.mark_used(1, episode.id)
    await trends.mark_used(1, episode.id)
    with pytest.raises(InvalidTransition, match="pigeons is the topic of episode 1 already"):
        await trends.mark_used(1, other.id)


async def test_a_missing_trend_is_a_sentence(trends):
    with pytest.raises(RecordNotFound, match="There is no trend 4"):
        await trends.mark_used(4, 1)


async def test_a_picture_is_added_once(images, now):
    assert await images.add([picture(1), picture(1), picture(2)], now=now) == 2
    assert await images.exists("library/Butcher/happy/1.png")
    assert not await images.exists("library/Butcher/happy/3.png")


async def test_pictures_come_for_any_letter_case_the_least_used_first(images, now):
    await images.add([picture(1), picture(2), picture(1, "Nutsy")], now=now)
    await images.count_usage({1: 2, 3: 1}, now=now)
    found = await images.for_characters(["butcher"])
    assert [(image.id, image.usage_count) for image in found] == [(2, 0), (1, 2)]
    assert found[1].last_used_at == now


async def test_usage_counted_at_once_from_two_sides_adds_up(images, now):
    await images.add([picture(1)], now=now)
    await asyncio.gather(*(images.count_usage({1: 1}, now=now) for _ in range(20)))
    assert (await images.for_characters(["Butcher"]))[0].usage_count == 20


async def test_metrics_add_up_to_one_row_per_revision(metrics, episode, now):
    await metrics.record(episode.id, 1, stage="voices", seconds=2.0, peak_rss_mb=500.0, now=now)
    await metrics.record(
        episode.id, 1, stage="video", seconds=3.0, peak_rss_mb=300.0, now=now + DAY
    )
    row = await metrics.get(episode.id, 1)
    assert (row.seconds_audio, row.seconds_video, row.seconds_total) == (2.0, 3.0, 5.0)
    assert (row.seconds_script, row.peak_rss_mb) == (None, 500.0)
    assert (row.timestamp, row.result) == (now + DAY, "succeeded")


async def test_a_failed_stage_is_the_result_until_it_succeeds(metrics, episode, now):
    await metrics.record(episode.id, 1, stage="video", seconds=1.0, result="failed", now=now)
    assert (await metrics.newest(1))[0].result == "failed"
    await metrics.record(episode.id, 1, stage="video", seconds=1.0, now=now)
    assert (await metrics.newest(1))[0].result == "succeeded"


async def test_metrics_of_an_unknown_revision_are_none(metrics):
    assert await metrics.get(1, 1) is None


async def test_a_new_draft_message_closes_the_older_one(messages, episode, now):
    for message_id in (100, 200):
        await messages.add(
            message_id, channel_id=1, kind="draft", episode_id=episode.id, revision=1, now=now
        )
    assert (await messages.get(100)).closed_at == now
    assert (await messages.open_draft(episode.id, 1)).message_id == 200
    assert await messages.open_draft(episode.id, 2) is None


async def test_open_messages_are_listed_by_kind_and_episode(messages, episodes, episode, now):
    other = await episodes.create(now=now)
    for message_id, kind, made in [
        (1, "draft", episode),
        (2, "progress", episode),
        (3, "progress", other),
    ]:
        await messages.add(
            message_id, channel_id=9, kind=kind, episode_id=made.id, revision=1, now=now
        )
    await messages.close(1, now=now)
    assert await messages.open("draft") == []
    assert [m.message_id for m in await messages.open("progress")] == [2, 3]
    assert [m.message_id for m in await messages.open("progress", other.id)] == [3]


async def test_an_unknown_message_is_none(messages):
    assert await messages.get(5) is None


async def test_notes_are_set_replaced_and_removed(database):
    notes = Notes(database)
    await notes.set("paused_at", "then")
    await notes.set("paused_at", "now")
    assert await notes.get("paused_at") == "now"
    await notes.remove("paused_at")
    assert await notes.get("paused_at") is None
