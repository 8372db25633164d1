"""Whatever the platform answers and wherever the process dies: at most one post, and exactly
one whenever the platform can tell."""

import pytest

from bot.sandbox.instagram import (
    FAILED_AFTER,
    HTML,
    Drop,
    Expired,
    ForeignUpload,
    Late,
    Lost,
    Reply,
    Truncated,
    refusal,
)
from storage.posts import Posts
from storage.states import PostState

CALLS = ("quota", "create", "upload", "status", "publish", "look_up", "permalink")
PASSING = {
    "dropped before": Drop(),
    "dropped after": Drop(after=True),
    "500 after": FAILED_AFTER,
    "html": HTML,
    "rate limit 4": refusal(4),
    "rate limit 17": refusal(17),
    "rate limit 613": refusal(613),
    "rate limit 80002": refusal(80002),
    "daily limit": refusal(9, 2207042, status=403),
    "redirect": Reply(302, "", headers=(("Location", "http://127.0.0.1:9/"),)),
    "transient": refusal(2),
    "token": refusal(190, 463, status=401),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("call", CALLS)
async def test_one_fault_anywhere_leaves_exactly_one_post(channel, slot, call, fault):
    episode = await channel.approved_reel()
    channel.ig.fail(call, fault)
    channel.ig.fail("publish", *([Drop()] if call == "look_up" else []))

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1
    assert post.media_id == channel.ig.posts[0].id
    assert channel.ig.refused_repeats == 0


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("upload", Truncated(10)),
        ("upload", Truncated(20_000)),
        ("status", refusal(100, 33)),
        ("status", refusal(24, 2207008)),
        ("status", Lost()),
        ("status", Expired()),
        ("upload", Expired()),
        ("upload", Lost()),
        ("publish", Expired()),
        ("publish", refusal(9007, 2207027)),
        ("publish", refusal(-2, 2207020)),
        ("publish", refusal(24, 2207008)),
        ("publish", refusal(100, 33)),
        ("publish", refusal(100, 33, after=True)),
        ("publish", refusal(-1, 2207032, after=True)),
    ],
    ids=repr,
)
async def test_what_the_platform_can_clear_up_leaves_exactly_one_post(channel, slot, call, fault):
    episode = await channel.approved_reel()
    channel.ig.fail(call, fault)

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


async def test_a_late_answer_to_publish_leaves_exactly_one_post(open_channel, slot):
    channel = await open_channel(timeout_s=0.3)
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Late(1))

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert (len(channel.ig.posts), channel.ig.called("publish")) == (1, 1)


async def test_a_lost_container_after_publish_is_asked_about_and_never_repeated(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Lost())

    post = await channel.settle(episode, slot)

    assert post.state is PostState.UNKNOWN
    assert (len(channel.ig.posts), channel.ig.called("publish")) == (0, 1)


async def test_a_published_reel_whose_container_is_lost_is_found_by_its_caption(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Drop(after=True))
    channel.ig.fail("status", Late(0), Lost())

    post = await channel.settle(episode, slot)

    assert post.media_id == channel.ig.posts[0].id
    assert channel.ig.called("publish") == 1


async def test_a_status_that_lags_behind_does_not_publish_again(channel, slot):
    episode = await channel.approved_reel()
    stale = Reply(200, '{"status_code": "FINISHED", "id": "1"}')
    channel.ig.fail("publish", Drop(after=True))
    channel.ig.fail("status", Late(0), *[stale] * 5)

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert (len(channel.ig.posts), channel.ig.called("publish")) == (1, 1)


async def test_a_container_lost_after_a_lost_answer_is_not_replaced(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("publish", Drop())
    channel.ig.fail("status", Late(0), Late(0), Lost())

    post = await channel.settle(episode, slot)

    assert post.state is PostState.UNKNOWN
    assert (channel.ig.called("create"), channel.ig.called("publish")) == (1, 1)


async def test_somebody_elses_newest_post_is_not_taken_for_ours(channel, slot):
    other, ours = await channel.approved_reel(caption="Another one."), await channel.reel()
    await channel.publishing.post_now(other, "anna")
    await channel.reviews.approve(ours, 101)
    channel.ig.fail("publish", Drop())

    post = await channel.settle(ours, slot)

    assert post.media_id == channel.ig.posts[1].id
    assert len(channel.ig.posts) == 2


async def test_an_upload_to_a_foreign_host_is_refused_without_the_token(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.fail("create", ForeignUpload("http://127.0.0.1:9/steal"))

    post = await channel.settle(episode, slot)

    assert post.state is PostState.FAILED
    assert "INSTAGRAM_UPLOAD_URL" in post.error
    assert channel.ig.called("upload") == 0


async def test_a_file_the_platform_cannot_process_fails_after_few_tries(channel, slot):
    episode = await channel.approved_reel()
    status = channel.publisher.status

    async def spoil(container_id):
        channel.ig.containers[container_id].error = "Error: 2207026"
        return await status(container_id)

    channel.publisher.status = spoil

    post = await channel.settle(episode, slot)

    assert post.state is PostState.FAILED
    assert len(channel.ig.containers) <= 10
    assert channel.ig.posts == []


async def test_two_bots_on_one_database_leave_one_post(channel, slot):
    episode = await channel.approved_reel()
    create = channel.publisher.create

    async def create_while_another_bot_does(outgoing):
        container = await create(outgoing)
        posts = Posts(channel.db)
        row = await posts.get(episode, "instagram")
        await posts.move(row, PostState.UPLOADING, container_id="1", upload_url="http://x")
        return container

    channel.publisher.create = create_while_another_bot_does
    await channel.publishing.run_slot(slot)
    channel.publisher.create = create

    post = await channel.settle(episode, slot)

    assert post.state is PostState.PUBLISHED
    assert len(channel.ig.posts) == 1


ALIVE_AND_WELL = {(PostState.PUBLISHED, 1)}


def outcomes(results):
    return {(state, posts) for _, state, posts in results}


async def test_a_kill_at_every_point_leaves_exactly_one_post(every_kill):
    results = await every_kill()

    assert len(results) > 40
    assert outcomes(results) == ALIVE_AND_WELL


LOST_ANSWERS = {
    "publish answered 500 after": ("publish", FAILED_AFTER),
    "publish dropped after": ("publish", Drop(after=True)),
    "publish dropped before": ("publish", Drop()),
    "publish not found after": ("publish", refusal(100, 33, after=True)),
    "create dropped after": ("create", Drop(after=True)),
    "upload dropped after": ("upload", Drop(after=True)),
    "upload truncated": ("upload", Truncated(9000)),
    "status html": ("status", HTML),
    "container expired": ("status", Expired()),
}


@pytest.mark.slow
@pytest.mark.parametrize(("call", "fault"), LOST_ANSWERS.values(), ids=LOST_ANSWERS)
async def test_a_kill_at_every_point_of_a_disturbed_run_leaves_exactly_one_post(
    every_kill, call, fault
):
    results = await every_kill(lambda channel: channel.ig.fail(call, fault))

    assert len(results) > 40
    assert outcomes(results) == ALIVE_AND_WELL


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_kills_at_some_points_of_any_disturbed_run_leave_exactly_one_post(
    every_kill, call, fault
):
    results = await every_kill(lambda channel: channel.ig.fail(call, fault), points=range(5, 80, 4))

    assert outcomes(results) == ALIVE_AND_WELL


@pytest.mark.slow
async def test_a_lost_container_and_a_kill_at_any_point_leave_at_most_one_post(every_kill):
    results = await every_kill(lambda channel: channel.ig.fail("publish", Lost()))

    assert outcomes(results) <= {(PostState.UNKNOWN, 0), (PostState.PUBLISHED, 1)}
    assert (PostState.UNKNOWN, 0) in outcomes(results)


async def test_the_folder_publisher_survives_a_kill_at_every_point(every_kill):
    results = await every_kill(platform="folder")

    assert {state for _, state, _ in results} == {PostState.PUBLISHED}
