"""What a stage is told from the database, and what becomes of its result."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import UserError
from pipeline.sections import (
    Emotion,
    Images,
    Selection,
    SourceState,
    TrendItem,
    Trends,
)
from storage.images import Images as ImageRows
from storage.records import NewImage
from storage.states import EpisodeState

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HASH = "0" * 64


async def test_a_finished_reel_is_stamped_and_goes_into_review(desk):
    episode = await desk.finished()
    view = await desk.episodes.view(episode.id)
    assert view.episode.state is EpisodeState.IN_REVIEW
    assert view.revision.fingerprint.startswith(HASH[:40])


async def test_another_preview_does_not_reopen_what_was_decided(desk):
    episode = await desk.finished()
    await desk.rows.move(episode.id, EpisodeState.REJECTED, who="Margot", now=NOW)
    again = (await desk.episodes.view(episode.id)).preview
    job = await desk.engine.queue("preview", episode_id=episode.id, revision=1)
    await desk.bookkeeping.settled(job, "preview", again)
    assert (await desk.episodes.view(episode.id)).episode.state is EpisodeState.REJECTED


async def test_shown_pictures_are_counted(desk):
    rows = ImageRows(desk.db)
    await rows.add(
        [NewImage("Nutsy", "happy", f"library/{n}.png", HASH, 10, 10, "rig") for n in "ab"],
        now=NOW,
    )
    pictures = (await desk.bookkeeping.facts(None, "images"))["library"].pictures
    shown = tuple(
        Selection(
            line_index=n,
            character="Nutsy",
            emotion=Emotion.HAPPY,
            image_id=pictures[0].image_id,
            image_path="library/a.png",
            sha256=HASH,
        )
        for n in (1, 2)
    )
    await desk.bookkeeping.settled(None, "images", Images(episode=1, selections=shown))
    after = (await desk.bookkeeping.facts(None, "images"))["library"].pictures
    assert sorted(picture.usage_count for picture in after) == [0, 2]


async def test_the_writer_remembers_the_last_reels(desk, hand_script):
    await desk.episodes.from_script(hand_script(metadata={"skeleton": "oak"}), "Margot")
    memory = (await desk.bookkeeping.facts(None, "script"))["memory"]
    assert memory.skeletons == ("oak",)
    assert memory.texts[0].startswith("Coffee again? Yes!")


async def test_a_stage_without_facts_gets_none(desk):
    assert await desk.bookkeeping.facts(None, "voices") == {}


def found(*names, headlines=()):
    return Trends(
        items=tuple(
            TrendItem(name=n, score=0.5, timestamp=NOW, source="google", headlines=headlines)
            for n in names
        )
    )


async def test_fetched_topics_are_stored_with_why_they_are_refused(desk):
    job = await desk.trends.fetch()
    await desk.bookkeeping.settled(job, "trends", found("Pigeons", "mass shooting"))
    reasons = {trend.name: trend.refused_because for trend in await desk.trends.listed()}
    assert reasons["Pigeons"] is None
    assert "killing" in reasons["mass shooting"]
    assert [trend.name for trend in await desk.trends.fresh()] == ["Pigeons"]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("Погода", "not in Latin letters"),
        ("1-0", "no words that a voice could say"),
        ("example.com", "a mention or a link"),
        ("word " * 20, "too long to say"),
    ],
)
async def test_a_topic_that_no_voice_can_say_is_listed_with_the_reason_and_never_chosen(
    desk, topic, reason
):
    episode = await desk.episodes.make(None, "Margot")
    (job,) = await desk.jobs.open(episode.id)
    await desk.bookkeeping.settled(job, "trends", found(topic, "Pigeons"))
    reasons = {trend.name: trend.refused_because for trend in await desk.trends.listed()}
    assert reason in reasons[topic]
    assert (await desk.episodes.view(episode.id)).brief.topic == "Pigeons"


async def test_headlines_can_refuse_a_harmless_name(desk):
    job = await desk.trends.fetch()
    await desk.bookkeeping.settled(job, "trends", found("Jo Doe", headlines=("Jo Doe killed",)))
    (trend,) = await desk.trends.listed()
    assert trend.refused_because


async def test_a_fetch_for_an_episode_gives_it_a_topic_or_says_why_not(desk):
    episode = await desk.episodes.make(None, "Margot")
    (job,) = await desk.jobs.open(episode.id)
    with pytest.raises(UserError, match="give one by hand"):
        await desk.bookkeeping.settled(job, "trends", found("mass shooting"))
    await desk.bookkeeping.settled(job, "trends", found("Pigeons"))
    assert (await desk.episodes.view(episode.id)).brief.topic == "Pigeons"


async def fetched(desk, *names, score=0.5, headlines=(), states=()):
    items = tuple(
        TrendItem(name=n, score=score, timestamp=desk.now, source="google", headlines=headlines)
        for n in names
    )
    job = await desk.trends.fetch()
    await desk.bookkeeping.settled(job, "trends", Trends(items=items, sources=states))
    await desk.engine.cancel(job.id)


async def chosen(desk):
    episode = await desk.episodes.make(None, "Margot")
    brief = (await desk.episodes.view(episode.id)).brief
    return None if brief is None else brief.topic


async def test_a_topic_is_not_taken_twice_in_its_window_however_it_is_spelled(desk):
    await fetched(desk, "girona vs real betis")
    assert await chosen(desk) == "girona vs real betis"
    desk.now += timedelta(days=13)
    await fetched(desk, "Real Betis v Girona score")
    assert await chosen(desk) is None
    desk.now += timedelta(days=2)
    await fetched(desk, "Real Betis v Girona score")
    assert await chosen(desk) == "Real Betis v Girona score"


async def test_a_topic_given_by_hand_is_used_as_well(desk):
    await desk.episodes.make("Wordle answers", "Margot")
    await fetched(desk, "wordle 22 april 2025", "Pigeons")
    assert await chosen(desk) == "Pigeons"


async def test_what_is_near_a_sensitive_topic_is_as_sensitive(desk):
    await fetched(desk, "billy vigar", headlines=("Billy Vigar dies after head injury",))
    desk.now += timedelta(days=1)
    await fetched(desk, "billy vigar arsenal")
    assert await chosen(desk) is None
    assert (await desk.bookkeeping.topics(5)).topics == ()


async def test_a_topic_that_is_only_badly_written_does_not_taint_its_neighbours(desk):
    await fetched(desk, "pigeons.com parade", "pigeons parade")
    assert await chosen(desk) == "pigeons parade"


async def test_a_topic_given_by_hand_is_refused_for_the_headlines_it_was_fetched_with(desk):
    await fetched(desk, "billy vigar", headlines=("Billy Vigar dies after head injury",))
    with pytest.raises(UserError, match="in a headline"):
        await desk.episodes.make("Billy Vigar", "Margot")
    assert await desk.jobs.open() == []


async def test_a_topic_of_today_with_a_better_yesterday_is_still_of_today(desk):
    await fetched(desk, "Pigeons", score=0.9)
    desk.now += timedelta(days=1)
    await fetched(desk, "Pigeons", score=0.2)
    assert await chosen(desk) == "Pigeons"


async def test_pitches_are_about_fresh_topics_no_two_of_them_the_same(desk):
    await fetched(desk, "Old Hat", score=0.9)
    desk.now += timedelta(days=2)
    await fetched(desk, "Wordle", score=0.9)
    await fetched(desk, "wordle hints", "Pigeons", score=0.4, headlines=("Coo",))
    topics = await desk.bookkeeping.topics(5)
    assert [topic.name for topic in topics.topics] == ["Wordle", "Pigeons"]
    assert (topics.count, topics.topics[1].headlines) == (5, ("Coo",))


async def test_pitches_leave_out_what_is_near_an_excluded_topic(desk):
    await fetched(desk, "Wordle", "Pigeons")
    topics = await desk.bookkeeping.topics(3, exclude={"wordle answers today"})
    assert [topic.name for topic in topics.topics] == ["Pigeons"]


async def test_a_writer_gets_twelve_topics_at_most(desk):
    await fetched(desk, *(f"Gadget{n} Fair{n}" for n in range(30)))
    assert len((await desk.bookkeeping.topics(5)).topics) == 12


async def test_how_the_sources_did_is_told_to_the_next_fetch(desk):
    failing = SourceState(
        name="google", failures=2, not_before=NOW + timedelta(hours=1), error="it answers 503"
    )
    await fetched(desk, "Pigeons", states=(failing, SourceState(name="wikipedia")))
    sources = (await desk.bookkeeping.facts(None, "trends"))["sources"]
    assert sources.states == (failing, SourceState(name="wikipedia"))
    assert [source.name for source in await desk.trends.failing()] == ["google"]
    await fetched(desk, "Pigeons", states=(SourceState(name="google", answered_at=NOW),))
    assert await desk.trends.failing() == []
