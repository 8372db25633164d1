"""The one message that tells how a reel is coming along."""

from dataclasses import replace

import pytest

from cogs._progress import EVERY_S, TOO_OLD_S, Progress
from storage.states import JobState


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def speaking(bot, studio, cpu, clock, says, eventually):
    """Progress that hears from the test alone, the job under way, and its message.

    The clock stands still.
    """
    progress = Progress(bot, clock=clock)
    cpu.holding = True
    episode = await studio.episodes.make("Coffee", "a test")
    await eventually(lambda: cpu.held)
    (job,) = await studio.episodes.open_jobs()
    await progress.begin(bot.get_channel(studio.approval_channel_id), episode)
    message = await says("Episode 1")
    return progress, replace(job, fraction=0.5), message


async def test_the_text_names_topic_share_and_work(speaking, bot, clock):
    progress, job, message = speaking
    clock.now += EVERY_S
    await progress.show(replace(job, note="line 2 of 9"))
    assert message.content.startswith("**Episode 1** — Coffee\n")
    assert message.content.endswith("30% · speaking · line 2 of 9")


async def test_edits_are_at_least_two_seconds_apart(speaking, bot, clock):
    progress, job, message = speaking
    for note in ("a", "b", "c"):
        await progress.show(replace(job, note=note))
    assert message.content.endswith("speaking")
    clock.now += EVERY_S
    await progress.show(replace(job, note="d"))
    await progress.show(replace(job, note="e"))
    assert message.content.endswith("speaking · d")


async def test_the_end_is_told_at_once(speaking, bot):
    progress, job, message = speaking
    await progress.show(replace(job, state=JobState.CANCELLED))
    assert message.content == "**Episode 1** was stopped. `/render start` goes on with it."


async def test_after_the_end_nothing_is_edited_any_more(speaking, bot, clock):
    progress, job, message = speaking
    await progress.show(replace(job, state=JobState.CANCELLED))
    clock.now += EVERY_S
    await progress.show(job)
    assert "was stopped" in message.content


async def test_an_old_message_is_followed_by_a_new_one(speaking, bot, world, clock):
    progress, job, message = speaking
    clock.now += TOO_OLD_S + 1
    await progress.show(replace(job, note="later"))
    first, second = world.messages(world.approvals)
    assert first is message
    assert "later" not in first.content
    assert second.content.endswith("later")
    clock.now += EVERY_S
    await progress.show(replace(job, note="later still"))
    assert "later" not in first.content
    assert second.content.endswith("later still")


async def test_a_message_that_cannot_be_edited_stops_nothing(
    speaking, bot, world, studio, clock, cpu
):
    progress, job, _ = speaking
    world.faults.add("PATCH", "/channels/*/messages/*", status=403, times=99)
    clock.now += EVERY_S
    await progress.show(job)
    cpu.holding = False
    cpu.release()
    await studio.engine.finished(1)
    assert (await studio.episodes.view(1)).preview is not None


async def test_jobs_without_an_episode_are_nobodys_progress(speaking, bot, clock):
    progress, job, message = speaking
    clock.now += EVERY_S
    await progress.show(replace(job, episode_id=None, revision=None, note="fetching"))
    assert "fetching" not in message.content


async def test_a_chain_that_ended_before_its_message_was_there_is_told(
    bot, studio, world, make_draft, says
):
    view, _ = await make_draft()
    await bot.progress.begin(bot.get_channel(world.general.id), view.episode)
    message = await says("is finished", world.general)
    assert message.content == ("**Episode 1** is finished; its draft is in the approval channel.")


async def test_a_failure_says_why_and_how_to_go_on(bot, studio, margot, reply_to, says):
    (studio.folder.path / "video fails").touch()
    await reply_to(margot, "make", {"topic": "Coffee"})
    message = await says("stopped while")
    assert message.content == (
        r"**Episode 1** stopped while drawing and encoding: The \*pencil\* broke. "
        "`/render start` tries again."
    )


async def test_what_failed_can_be_started_again(bot, studio, margot, reply_to, says, draft_of):
    (studio.folder.path / "video fails").touch()
    await reply_to(margot, "make", {"topic": "Coffee"})
    await says("stopped while")
    (studio.folder.path / "video fails").unlink()
    await reply_to(margot, "render start", {"episode": 1})
    await draft_of(1)
