from datetime import timedelta

import pytest

from storage.rejections import Rejections

HOUR = timedelta(hours=1)


@pytest.fixture
def rejections(database):
    return Rejections(database)


async def test_the_newest_come_first_with_the_topic_of_their_episode(rejections, episode, now):
    await rejections.add(episode.id, 1, 7, "boring", "no surprise", now=now)
    await rejections.add(episode.id, 2, 8, "risky", "", now=now + HOUR)
    newest, oldest = await rejections.recent(now, 5)
    assert (newest.reason, newest.revision, newest.topic) == ("risky", 2, "pigeons")
    assert (oldest.words, oldest.user_id, oldest.at) == ("no surprise", 7, now)


async def test_only_so_many_and_none_that_is_too_old(rejections, episode, now):
    for user in range(5):
        await rejections.add(episode.id, 1, user, "boring", "", now=now + user * HOUR)
    assert [r.user_id for r in await rejections.recent(now + 2 * HOUR, 10)] == [4, 3, 2]
    assert [r.user_id for r in await rejections.recent(now, 2)] == [4, 3]


async def test_a_second_thought_replaces_the_first(rejections, episode, now):
    await rejections.add(episode.id, 1, 7, "boring", "a", now=now)
    await rejections.add(episode.id, 1, 7, "repeat", "b", now=now + HOUR)
    (only,) = await rejections.recent(now, 5)
    assert (only.reason, only.words, only.at) == ("repeat", "b", now + HOUR)


async def test_one_taken_back_is_gone_and_taking_back_twice_is_harmless(rejections, episode, now):
    await rejections.add(episode.id, 1, 7, "boring", "", now=now)
    await rejections.remove(episode.id, 1, 7)
    await rejections.remove(episode.id, 1, 7)
    assert await rejections.recent(now, 5) == []
