"""Audio of ElevenLabs' free plan may be looked at, and never goes out."""

import pytest

from pipeline.errors import UserError
from pipeline.sections import Voices
from pipeline.services.post_events import PostEventKind
from pipeline.services.publishing import SlotOutcome
from storage.states import EpisodeState


@pytest.fixture
async def free_reel(channel):
    """An approved reel whose one line was spoken on the free plan."""
    episode = await channel.approved_reel()
    voices = Voices.model_validate_json(await channel.episodes.section(episode, 1, "voices"))
    (line,) = voices.lines
    spoken = voices.model_copy(update={"lines": (line.model_copy(update={"plan": "free"}),)})
    await channel.db.execute(
        "UPDATE revisions SET voices = ? WHERE episode_id = ?", (spoken.model_dump_json(), episode)
    )
    return episode


async def test_it_is_approved_but_passed_over_with_the_reason(channel, free_reel, slot):
    outcome = await channel.publishing.run_slot(slot)

    assert outcome is SlotOutcome.EMPTY
    assert channel.ig.called("create") == 0
    assert await channel.state(free_reel) is EpisodeState.APPROVED
    (told,) = [event for event in channel.events if event.kind is PostEventKind.BLOCKED]
    assert "Line 1 was spoken on ElevenLabs' free plan" in told.text


async def test_it_cannot_be_posted_by_hand(channel, free_reel):
    with pytest.raises(UserError, match="free plan"):
        await channel.publishing.post_now(free_reel, "anna")
    assert channel.ig.called("create") == 0


async def test_a_dry_run_names_it(channel, free_reel):
    (finding,) = await channel.publishing.dry_run(free_reel)
    assert "upgrade the plan" in finding
