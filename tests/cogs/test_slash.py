"""Slash commands against the loopback Discord: what people read, and who may do what."""

from datetime import timedelta
from typing import get_args

import pytest

from bot.app import utc_now
from bot.sandbox.discord import NotPossible
from cogs.publishing import Reason
from pipeline.providers.writers.prompt import REASONS
from storage.posts import Posts
from storage.rejections import Rejections
from storage.states import EpisodeState, PostState


@pytest.fixture(autouse=True)
def _bot(bot):
    return bot


@pytest.fixture
def make(make, draft_of):
    """As everywhere, and waits for the draft of a finished reel."""

    async def made(topic="Coffee", until="preview"):
        view = await make(topic, until)
        if until == "preview":
            await draft_of(view.episode.id)
        return view

    return made


LOOKING = [
    ("status", {}),
    ("help", {}),
    ("trends list", {}),
    ("render status", {}),
    ("publish queue", {}),
    ("script show", {"episode": 1}),
    ("publish dry-run", {"episode": 1}),
    ("train status", {}),
    ("train pictures", {"character": "Butcher"}),
]
CHANGING = [
    ("make", {}),
    ("trends fetch", {}),
    ("script pitch", {}),
    ("script choose", {"number": 1}),
    ("script write", {"topic": "Coffee"}),
    ("script edit", {"episode": 1, "line": 1, "text": "No."}),
    ("render start", {"episode": 1}),
    ("render cancel", {"job": 1}),
    ("publish approve", {"episode": 1}),
    ("publish reject", {"episode": 1}),
    ("publish now", {"episode": 1}),
    ("publish pause", {}),
    ("publish resume", {}),
    ("publish confirm", {"episode": 1, "link": "17900000000000001"}),
    ("publish retry", {"episode": 1}),
    ("train upload", {"character": "Butcher"}),
    ("train remove", {"character": "Butcher", "picture": "1"}),
    ("train start", {"character": "Butcher"}),
    ("train pause", {}),
    ("train resume", {}),
    ("train stop", {}),
    ("train promote", {}),
    ("train back", {"character": "Butcher"}),
    ("train drawings", {"character": "Butcher"}),
]


def test_every_command_is_looked_at_here(world):
    synced = {
        " ".join([command["name"], *([option["name"]] if option["type"] == 1 else [])])
        for command in world.commands
        for option in command.get("options") or [{"type": 0}]
    }
    assert synced == {name for name, _ in LOOKING + CHANGING}


@pytest.mark.parametrize(("command", "options"), LOOKING)
async def test_looking_needs_no_role(make, passerby, reply_to, command, options):
    await make()
    reply = await reply_to(passerby, command, options)
    assert reply.is_ephemeral
    assert "role" not in reply.content


@pytest.mark.parametrize(("command", "options"), CHANGING)
async def test_changing_needs_the_approver_role(
    world, studio, make, passerby, reply_to, command, options
):
    before = (await make()).episode
    reply = await reply_to(passerby, command, options)
    assert f"This needs the role {world.approver.mention}" in reply.content
    assert not reply.pings
    assert await studio.episodes.newest() == [before]
    assert not await studio.publishing.is_paused()


@pytest.mark.parametrize(
    ("command", "options"),
    [(name, given) for name, given in LOOKING + CHANGING if "episode" in given],
)
async def test_an_unknown_episode_is_a_sentence(world, margot, reply_to, command, options):
    await reply_to(margot, command, {**options, "episode": 77})
    said = await world.wait_for_message(lambda message: message.content.endswith("."))
    assert "pisode 77" in said.content
    assert "went wrong" not in said.content
    assert not [m for m in world.messages(world.general) if "…" in m.content]


async def test_make_without_a_topic_takes_the_best_trend(studio, margot, reply_to, draft_of):
    reply = await reply_to(margot, "make")
    assert reply.content == "Episode 1 is on its way."
    draft = await draft_of(1)
    view = await studio.episodes.view(1)
    assert view.episode.source == "evergreen"
    assert view.episode.topic in draft.embeds[0]["title"]


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("mass shooting", "Choose another topic"),
        ("東京", "not in Latin letters"),
        ("very " * 40, "longer than 120 characters"),
    ],
)
@pytest.mark.parametrize("command", ["make", "script write"])
async def test_a_refused_topic_is_a_sentence(studio, margot, reply_to, command, topic, words):
    reply = await reply_to(margot, command, {"topic": topic})
    assert words in reply.content
    assert await studio.episodes.newest() == []


async def test_a_written_script_can_be_read_edited_and_made(
    studio, margot, reply_to, says, draft_of
):
    await reply_to(margot, "script write", {"topic": "Coffee"})
    written = await says("is written")
    assert written.embeds[0]["title"] == "Episode 1: Coffee"

    edited = {"episode": 1, "line": 2, "text": "Coffee is soup.", "emotion": "sad"}
    await reply_to(margot, "script edit", edited)
    await draft_of(1, 2)
    shown = await reply_to(margot, "script show", {"episode": 1})
    assert "*(sad)* Coffee is soup." in shown.embeds[0]["description"]
    assert (await studio.episodes.view(1)).episode.state is EpisodeState.IN_REVIEW


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"line": 99, "text": "No."}, "has lines 1 to"),
        ({"line": 1, "text": " "}, "1 to 280 characters"),
        ({"line": 1, "text": "n" * 281}, "1 to 280 characters"),
    ],
)
async def test_an_edit_that_is_no_script_changes_nothing(
    studio, make, margot, reply_to, options, words
):
    before = await make(until="voices")
    reply = await reply_to(margot, "script edit", {"episode": 1, **options})
    assert words in reply.content
    assert await studio.episodes.view(1) == before


async def test_an_emotion_is_one_of_the_eight(margot, world):
    with pytest.raises(NotPossible):
        world.invoke(
            margot, "script edit", {"episode": 1, "line": 1, "text": "No.", "emotion": "smug"}
        )


async def test_render_start_on_a_finished_reel_points_at_the_draft(make, margot, reply_to):
    await make()
    reply = await reply_to(margot, "render start", {"episode": 1})
    assert reply.content == "Episode 1 is finished; its draft is in the channel."


async def test_a_cancelled_job_goes_on_later(
    studio, cpu, margot, reply_to, says, draft_of, eventually
):
    cpu.holding = True
    await reply_to(margot, "make", {"topic": "Coffee"})
    await says("speaking")
    await eventually(lambda: cpu.held)
    job = (await studio.episodes.open_jobs())[0]
    assert f"`job {job.id}` episode 1" in (await reply_to(margot, "render status")).content

    reply = await reply_to(margot, "render cancel", {"job": job.id})
    assert reply.content == f"Job {job.id} is being stopped; `/render start 1` goes on later."
    cpu.release()
    await says("was stopped")

    cpu.holding = False
    await reply_to(margot, "render start", {"episode": 1})
    await draft_of(1)


async def test_a_cancelled_job_without_an_episode_names_none(studio, io, margot, reply_to):
    io.holding = True
    job = await studio.trends.fetch()
    reply = await reply_to(margot, "render cancel", {"job": job.id})
    assert reply.content == f"Job {job.id} is being stopped."
    io.release()


async def test_cancelling_what_has_ended_is_a_sentence(studio, make, margot, reply_to):
    await make()
    ended = (await studio.episodes.jobs_of(1))[0]
    reply = await reply_to(margot, "render cancel", {"job": ended.id})
    assert str(ended.id) in reply.content
    assert "went wrong" not in reply.content


async def test_fetched_trends_fill_the_answer(margot, reply_to, says, world):
    reply = await reply_to(margot, "trends fetch", {"limit": 3})
    await world.wait_until(lambda: "evergreen" in reply.content, 10, "the topics")
    assert len(reply.content.splitlines()) == 3
    listed = await reply_to(margot, "trends list", {"limit": 3})
    assert listed.content == reply.content


async def test_approve_and_reject_by_command(studio, make, margot, reply_to, says):
    await make()
    approved = await reply_to(margot, "publish approve", {"episode": 1})
    assert approved.content == "Episode 1 is approved (1 of 1 approvals)."
    queue = await reply_to(margot, "publish queue")
    assert "episode 1 · Coffee" in queue.content

    rejected = await reply_to(margot, "publish reject", {"episode": 1})
    assert rejected.content == "Episode 1 is rejected (0 of 1 approvals)."
    assert "Nothing is approved" in (await reply_to(margot, "publish queue")).content


async def test_the_reason_of_a_reject_becomes_a_rule(studio, make, margot, reply_to):
    await make()
    asked = {"episode": 1, "reason": "off-character", "words": "she would never whisper"}
    rejected = await reply_to(margot, "publish reject", asked)
    assert rejected.content == "Episode 1 is rejected (0 of 1 approvals)."
    (rule,) = await Rejections(studio.db).recent(utc_now() - timedelta(days=1), 9)
    assert (rule.reason, rule.words) == ("off-character", "she would never whisper")
    assert set(get_args(Reason)) == set(REASONS)


async def test_approving_what_is_not_finished_is_a_sentence(make, margot, reply_to):
    await make(until="script")
    reply = await reply_to(margot, "publish approve", {"episode": 1})
    assert reply.content == "Episode 1 is draft; there is nothing to decide."


async def test_publish_now_posts_an_approved_reel(studio, make, margot, reply_to, says, world):
    await make()
    await reply_to(margot, "publish approve", {"episode": 1})
    assert (await reply_to(margot, "publish dry-run", {"episode": 1})).content == (
        "Episode 1 could go out as it is."
    )
    reply = await reply_to(margot, "publish now", {"episode": 1})
    await world.wait_until(lambda: "is public" in reply.content, 10, "the post")
    assert (await studio.episodes.view(1)).episode.state is EpisodeState.PUBLISHED
    await says("public", world.approvals)


async def test_publish_now_without_an_approval_posts_nothing(studio, make, margot, reply_to, says):
    await make()
    await reply_to(margot, "publish now", {"episode": 1})
    await says("Episode 1 is in review, not approved.")
    assert await studio.publishing.posts() == []


@pytest.mark.parametrize("command", ["status", "publish queue"])
async def test_a_post_that_needs_people_is_shown(studio, make, margot, reply_to, command):
    view = await make()
    await reply_to(margot, "publish approve", {"episode": 1})
    await Posts(studio.db).claim(
        1,
        "folder",
        revision=1,
        fingerprint=view.revision.fingerprint,
        sha256="0" * 64,
        caption="Coffee",
        slot=None,
        now=utc_now(),
    )
    post = await Posts(studio.db).get(1, "folder")
    await Posts(studio.db).move(post, PostState.FAILED, error="The file is *damaged*.")
    reply = await reply_to(margot, command)
    assert r"pisode 1: The file is \*damaged\*." in reply.content


async def test_a_pause_is_shown_and_ends(studio, margot, reply_to):
    await reply_to(margot, "publish pause")
    assert "Posting is paused" in (await reply_to(margot, "publish queue")).content
    assert "Posting is paused" in (await reply_to(margot, "status")).content
    await reply_to(margot, "publish resume")
    assert "paused" not in (await reply_to(margot, "status")).content


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("publish confirm", {"link": "17900000000000001"}),
        ("publish retry", {}),
    ],
)
async def test_there_is_nothing_to_clear_up_before_a_post(
    make, margot, reply_to, says, command, options
):
    await make()
    await reply_to(margot, command, {"episode": 1, **options})
    await says("Episode 1 has not been sent to folder yet.")


async def test_help_names_every_command(margot, reply_to, world):
    shown = (await reply_to(margot, "help")).embeds[0]["description"]
    assert all(f"`/{name}`" in shown for name, _ in LOOKING + CHANGING)


async def test_status_says_what_auto_has_chosen(margot, reply_to):
    shown = (await reply_to(margot, "status")).content
    assert "posts to folder" in shown
    assert "0 in review" in shown
    assert "Nothing is being made right now." in shown


# Autocomplete


async def choices(world, member, command, option, typed, **options):
    asked = world.autocomplete(member, command, option, typed, options=options)
    await asked.answered()
    return asked.choices


async def test_episodes_are_offered_by_number_and_topic(world, make, margot):
    await make("Coffee")
    await make("Homework")
    every = await choices(world, margot, "script show", "episode", "")
    assert [choice["value"] for choice in every] == [2, 1]
    assert every[0]["name"] == "2 · Homework · in review"
    assert [c["value"] for c in await choices(world, margot, "publish now", "episode", "coff")] == [
        1
    ]


async def test_open_jobs_are_offered(world, studio, cpu, margot, make):
    cpu.holding = True
    await studio.episodes.make("Coffee", "a test")
    offered = await choices(world, margot, "render cancel", "job", "")
    assert [choice["name"] for choice in offered if "episode 1" in choice["name"]]


async def test_unused_topics_are_offered(world, studio, margot):
    await studio.trends.fetch()
    await studio.engine.finished()
    offered = await choices(world, margot, "make", "topic", "pig")
    assert [choice["value"] for choice in offered] == ["Pigeons"]
