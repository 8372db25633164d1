"""Each code that Meta documents, at each call that may meet it: what becomes of the post."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from bot.sandbox.instagram import Expired, Lost, refusal
from pipeline.services.post_events import PostEventKind
from storage.states import PostState


@dataclass(frozen=True)
class Row:
    """`kind` of the event people get, if any; `containers` made until it is public."""

    codes: tuple[int, int]
    words: str = ""
    told: PostEventKind | None = None
    containers: int = 1
    at_least: timedelta = timedelta(0)


def token(code, subcode=0):
    words = "put the new token into META_ACCESS_TOKEN"
    return Row((code, subcode), words, PostEventKind.LOCKED)


def permission(code):
    return Row((code, 0), "`emf doctor` says what META_ACCESS_TOKEN lacks", PostEventKind.LOCKED)


def account(code, subcode):
    return Row((code, subcode), "open it in the Instagram app", PostEventKind.LOCKED)


def limit(code, subcode=0, *, told=None, **wait):
    return Row((code, subcode), "", told, at_least=timedelta(**wait))


TELL_PEOPLE = [
    *(token(190), token(190, 463), token(190, 460), token(102)),
    *(permission(10), permission(200), permission(299)),
    *(account(25, 2207050), account(4, 2207051), account(368, 0)),
]
BACK_OFF = [
    *(limit(code, minutes=5) for code in (4, 17, 32, 613, 80002)),
    limit(9, 2207042, told=PostEventKind.WAITING, hours=1),
]
TRANSIENT = [(1, 0), (2, 0), (-1, 0)]
NEW_CONTAINER = [(-1, 2207001), (-1, 2207032), (-1, 2207053), (-2, 2207003), (-2, 2207020)]
NOT_FOUND = [(100, 33), (24, 2207006), (24, 2207008)]
FIX_INPUT = [
    *((352, 2207026), (9004, 2207052), (36004, 2207010), (100, 2207040), (1, 2207057)),
    (100, 0),
]
EVERY_CALL = ("create", "status", "publish")


async def run(channel, slot):
    """Until it is public or given up; how long that took, and what people were told."""
    episode = await channel.approved_reel()
    started = channel.clock()
    post = await channel.settle(episode, slot)
    return post, channel.clock() - started, [event.kind for event in channel.events]


@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize("row", [*TELL_PEOPLE, *BACK_OFF], ids=lambda row: str(row.codes))
async def test_what_lies_with_us_or_with_people_is_told_or_waited_for(channel, slot, call, row):
    channel.ig.fail(call, refusal(*row.codes))

    post, took, told = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert post.attempts == 1
    assert told == [*([row.told] if row.told else []), PostEventKind.PUBLISHED]
    assert row.words in channel.events[0].text
    assert took >= row.at_least


@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize("codes", TRANSIENT, ids=str)
async def test_a_transient_fault_passes(channel, slot, call, codes):
    channel.ig.fail(call, *[refusal(*codes)] * 2)

    post, _, told = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert (post.attempts, told) == (1, [PostEventKind.PUBLISHED])


@pytest.mark.parametrize("codes", NEW_CONTAINER, ids=str)
async def test_a_useless_container_is_replaced_by_another(channel, slot, codes):
    channel.ig.fail("status", refusal(*codes))

    post, _, told = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert (post.attempts, told) == (2, [PostEventKind.PUBLISHED])


@pytest.mark.parametrize("codes", [*NEW_CONTAINER, *NOT_FOUND], ids=str)
async def test_after_a_publish_call_the_container_is_asked_and_nothing_repeated(
    channel, slot, codes
):
    channel.ig.fail("publish", refusal(*codes, after=True))

    post, _, _ = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert (post.attempts, channel.ig.called("publish")) == (1, 1)


@pytest.mark.parametrize("codes", NEW_CONTAINER, ids=str)
async def test_few_containers_are_tried(channel, slot, codes):
    channel.ig.fail("status", *[refusal(*codes)] * 1000)

    post, _, told = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.FAILED, 0)
    assert channel.ig.called("create") == 10
    assert told == [PostEventKind.FAILED]


@pytest.mark.parametrize("codes", NOT_FOUND, ids=str)
async def test_what_is_not_found_is_polled_for_two_minutes_and_then_made_anew(channel, slot, codes):
    channel.ig.fail("status", *[refusal(*codes)] * 4)

    post, took, _ = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert post.attempts == 2
    assert timedelta(seconds=105) <= took < timedelta(minutes=5)


@pytest.mark.parametrize("codes", NOT_FOUND, ids=str)
async def test_what_is_found_within_two_minutes_is_kept(channel, slot, codes):
    channel.ig.fail("status", *[refusal(*codes)] * 3)

    post, _, _ = await run(channel, slot)

    assert (post.state, post.attempts) == (PostState.PUBLISHED, 1)


async def test_a_container_that_is_not_ready_is_polled_on(channel, slot):
    channel.ig.fail("publish", *[refusal(9007, 2207027)] * 3)

    post, _, told = await run(channel, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert (post.attempts, told) == (1, [PostEventKind.PUBLISHED])


@pytest.mark.parametrize("call", ["create", "publish"])
@pytest.mark.parametrize("codes", FIX_INPUT, ids=str)
async def test_wrong_input_is_told_and_not_sent_again(channel, slot, call, codes):
    channel.ig.fail(call, *[refusal(*codes)] * 9)

    post, _, told = await run(channel, slot)

    assert (post.state, told) == (PostState.FAILED, [PostEventKind.FAILED])
    assert (channel.ig.called("create"), channel.ig.posts) == (1, [])
    assert f"code {codes[0]}" in post.error


async def test_a_file_that_was_found_wanting_is_not_uploaded_again(channel, slot):
    episode = await channel.approved_reel()
    channel.ig.processing_fault = "Error: Media upload has failed with error code 2207026"

    post = await channel.settle(episode, slot)

    assert post.state is PostState.FAILED
    assert "2207026" in post.error
    assert channel.ig.called("upload") == 1


@pytest.mark.parametrize("subcode", [2207001, 2207003, 2207053])
async def test_a_fault_while_processing_is_worth_another_container(channel, slot, subcode):
    episode = await channel.approved_reel()
    channel.ig.processing_fault = f"Error: Media upload has failed with error code {subcode}"
    await channel.publishing.run_slot(slot)
    channel.ig.processing_fault = ""

    post = await channel.settle(episode, slot)

    assert (post.state, len(channel.ig.posts)) == (PostState.PUBLISHED, 1)
    assert post.attempts > 1


@pytest.mark.parametrize("fault", [Lost(), Expired()], ids=str)
async def test_a_container_gone_before_publish_is_made_again(channel, slot, fault):
    channel.ig.fail("status", fault)

    post, _, _ = await run(channel, slot)

    assert (post.state, post.attempts, len(channel.ig.posts)) == (PostState.PUBLISHED, 2, 1)
