from datetime import timedelta

import pytest

from storage.errors import InvalidTransition, RecordNotFound
from storage.states import EpisodeState

LATER = timedelta(hours=1)


async def test_a_new_episode_is_a_draft_with_an_empty_first_revision(episodes, episode, now):
    assert (episode.state, episode.revision, episode.topic) == (EpisodeState.DRAFT, 1, "pigeons")
    assert (episode.requested_by, episode.created_at) == ("Ann", now)
    assert (await episodes.revision(episode.id, 1)).sections == {}


async def test_a_missing_episode_is_a_sentence(episodes):
    with pytest.raises(RecordNotFound, match=r"There is no episode 77\."):
        await episodes.get(77)


async def test_sections_are_kept_per_revision(episodes, episode):
    await episodes.save_section(episode.id, 1, "script", '{"lines": []}')
    assert await episodes.section(episode.id, 1, "script") == '{"lines": []}'


async def test_a_section_that_is_not_made_is_a_sentence(episodes, episode):
    with pytest.raises(RecordNotFound, match=r"Episode 1 has no video yet\."):
        await episodes.section(episode.id, 1, "video")


async def test_a_section_of_a_missing_revision_is_refused(episodes, episode):
    with pytest.raises(RecordNotFound, match="has no revision 2"):
        await episodes.save_section(episode.id, 2, "script", "{}")


async def test_a_name_that_is_no_section_never_reaches_the_database(episodes, episode):
    with pytest.raises(ValueError, match="no section"):
        await episodes.save_section(episode.id, 1, "number = 9 --", "{}")


async def test_a_new_revision_copies_what_is_named_and_becomes_a_draft(episodes, episode, now):
    await episodes.save_section(episode.id, 1, "brief", "B")
    await episodes.save_section(episode.id, 1, "script", "S")
    await episodes.set_fingerprint(episode.id, 1, "f" * 64)
    await episodes.move(episode.id, EpisodeState.IN_REVIEW, who="studio", now=now)
    revised = await episodes.new_revision(episode.id, copying=["brief"], who="Ann", now=now + LATER)
    revision = await episodes.revision(episode.id, 2)
    assert (revised.revision, revised.state) == (2, EpisodeState.DRAFT)
    assert (revision.sections, revision.fingerprint) == ({"brief": "B"}, None)
    assert (await episodes.revision(episode.id, 1)).sections == {"brief": "B", "script": "S"}


async def test_a_published_episode_has_no_new_revision(episodes, episode, now):
    for state in (EpisodeState.IN_REVIEW, EpisodeState.APPROVED, EpisodeState.PUBLISHED):
        await episodes.move(episode.id, state, who="Ann", now=now)
    with pytest.raises(InvalidTransition, match="is published and cannot become draft"):
        await episodes.new_revision(episode.id, who="Ann", now=now)
    assert (await episodes.get(episode.id)).revision == 1


async def test_a_decision_about_an_old_revision_is_refused(episodes, episode, now):
    await episodes.new_revision(episode.id, who="Ann", now=now)
    with pytest.raises(InvalidTransition, match="moved on to revision 2"):
        await episodes.move(episode.id, EpisodeState.IN_REVIEW, who="Ann", revision=1, now=now)


async def test_of_two_moves_at_once_one_is_made(database, episodes, episode, now):
    await episodes.move(episode.id, EpisodeState.IN_REVIEW, who="studio", now=now)
    await episodes.move(episode.id, EpisodeState.APPROVED, who="Ann", now=now)
    with pytest.raises(InvalidTransition):
        await episodes.move(episode.id, EpisodeState.APPROVED, who="Bob", now=now)
    assert [t.who for t in await episodes.transitions(episode.id)] == ["studio", "Ann"]


async def test_the_queue_has_the_first_to_spoil_in_front(episodes, now):
    for topic, best_before in [("evergreen", None), ("soon", LATER), ("now", LATER / 2)]:
        made = await episodes.create(
            topic=topic, best_before=best_before and now + best_before, now=now
        )
        await episodes.move(made.id, EpisodeState.IN_REVIEW, who="studio", now=now)
        await episodes.move(made.id, EpisodeState.APPROVED, who="Ann", now=now)
    assert [waiting.topic for waiting in await episodes.queue()] == ["now", "soon", "evergreen"]


async def test_the_newest_come_first_and_states_choose(episodes, episode, now):
    other = await episodes.create(topic="cats", now=now)
    await episodes.move(other.id, EpisodeState.REJECTED, who="Ann", now=now)
    assert [e.topic for e in await episodes.newest()] == ["cats", "pigeons"]
    assert [e.topic for e in await episodes.newest(EpisodeState.DRAFT)] == ["pigeons"]


async def test_a_topic_is_set_later(episodes, now):
    made = await episodes.create(now=now)
    changed = await episodes.set_topic(
        made.id, topic="cats", source="google", best_before=now + LATER, now=now
    )
    assert (changed.topic, changed.source, changed.best_before) == ("cats", "google", now + LATER)


async def test_the_topic_of_a_missing_episode_is_refused(episodes, now):
    with pytest.raises(RecordNotFound):
        await episodes.set_topic(9, topic="x", source="hand", best_before=None, now=now)


async def test_latest_sections_are_of_the_newest_revisions_that_have_one(episodes, episode, now):
    await episodes.save_section(episode.id, 1, "script", "old")
    await episodes.new_revision(episode.id, who="Ann", now=now)
    await episodes.save_section(episode.id, 2, "script", "new")
    other = await episodes.create(topic="cats", now=now)
    await episodes.save_section(other.id, 1, "script", "cats")
    assert await episodes.latest_sections("script", 5) == ["cats", "new"]


async def test_a_time_without_a_zone_is_refused(episodes, now):
    with pytest.raises(ValueError, match="time zone"):
        await episodes.create(now=now.replace(tzinfo=None))
