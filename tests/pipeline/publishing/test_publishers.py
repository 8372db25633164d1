"""What every publisher promises."""

import pytest

from pipeline.publishing.base import ContainerState, Permanent


async def posted(publisher, outgoing):
    container = await publisher.create(outgoing)
    await publisher.upload(container, outgoing.reel, outgoing.sha256)
    return container, await publisher.publish(container.id)


async def test_a_container_is_finished_once_the_file_is_there(publisher, outgoing):
    container = await publisher.create(outgoing)
    before = await publisher.status(container.id)
    await publisher.upload(container, outgoing.reel, outgoing.sha256)

    after = await publisher.status(container.id)

    assert (before.state, after.state) == (ContainerState.IN_PROGRESS, ContainerState.FINISHED)


async def test_a_published_post_is_found_by_its_caption_and_has_a_link(
    publisher, outgoing, long_ago
):
    container, media_id = await posted(publisher, outgoing)

    found = await publisher.look_up(outgoing.caption, long_ago)

    assert found.id == media_id
    assert found.permalink == await publisher.permalink(media_id)
    assert (await publisher.status(container.id)).state is ContainerState.PUBLISHED


async def test_another_caption_is_not_found(publisher, outgoing, long_ago):
    await posted(publisher, outgoing)

    assert await publisher.look_up(outgoing.caption + "!", long_ago) is None


async def test_nothing_is_found_on_a_fresh_account(publisher, long_ago):
    assert await publisher.look_up("A dog", long_ago) is None


async def test_other_bytes_than_the_approved_ones_are_refused(publisher, outgoing):
    container = await publisher.create(outgoing)

    with pytest.raises(Permanent, match="not the file that was approved"):
        await publisher.upload(container, outgoing.reel, "0" * 64)


async def test_there_is_room_for_a_post(publisher):
    quota = await publisher.quota()

    assert quota.used < quota.total
