"""What people read about money."""

from dataclasses import replace

import pytest

from cogs._costs import cost_text, spent_lines, usd
from cogs._embeds import jobs_text
from pipeline.budget import Budget
from pipeline.ledger import Cost, Intent, Receipt
from pipeline.services.spending import EpisodeCost, Overview, Spent
from storage.spend import Total
from storage.states import JobState


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (0.0004, "$0.0004"),
        (0.00000001, "$0.000001"),
        (0.012, "$0.012"),
        (0.9999, "$1.00"),
        (1234.5, "$1,234.50"),
    ],
)
def test_sums_are_readable(amount, text):
    assert usd(amount) == text


OPENAI = Total(usd=0.002, tokens_in=2000, tokens_out=310, calls=1)
ELEVENLABS = Total(usd=0.01, chars=812, calls=8)
BOTH = Total(usd=0.012, chars=812, tokens_in=2000, tokens_out=310, calls=9)
COST = EpisodeCost(
    revision=BOTH,
    by_provider={"elevenlabs": ELEVENLABS, "openai": OPENAI},
    by_stage={"voices": ELEVENLABS, "script": OPENAI},
    episode=BOTH,
)


def test_a_cost_is_one_line():
    assert cost_text(COST) == (
        "$0.012 · elevenlabs $0.010, openai $0.002 · voices $0.010, script $0.002"
        " · 812 characters, 2,310 tokens"
    )


def test_what_was_not_paid_for_is_free():
    assert cost_text(EpisodeCost(Total(), {}, {}, Total())) == "free"


def test_other_revisions_and_lost_answers_are_told():
    free = EpisodeCost(Total(), {}, {}, BOTH)
    assert cost_text(free) == "free · $0.012 with its other revisions"
    lost = replace(COST, revision=replace(BOTH, lost=2))
    assert cost_text(lost).endswith(" · 2 calls had no answer and count in full")


def test_without_money_the_status_has_one_line_about_it():
    nothing = Overview(Spent(Total(), None), Spent(Total(), None), None, {}, {}, {}, (), ())
    assert spent_lines(nothing) == ["Spent: $0.00 today · $0.00 this month."]


@pytest.fixture
async def paid(studio, make):
    """An episode that has cost something, one answer lost."""
    view = await make(until="script")
    job = (await studio.episodes.jobs_of(view.episode.id))[-1]
    at = studio.engine._clock()
    cost = Cost(usd=0.25, chars=100)
    receipts = [
        Receipt(
            intent=Intent(
                call=call,
                provider="elevenlabs",
                model="m",
                what=f"line {call}",
                greatest=cost,
                at=at,
            ),
            cost=cost,
            is_certain=call > 1,
        )
        for call in (1, 2)
    ]
    await Budget(studio.db, clock=studio.engine._clock).book(job, receipts)
    return view


async def test_the_status_tells_what_was_spent_on_what(bot, paid, margot, reply_to):
    text = (await reply_to(margot, "status")).content
    assert "Spent: $0.500 today · $0.500 this month." in text
    assert "This month: script $0.500 · elevenlabs $0.500 · episodes 1 $0.500." in text
    assert "1 call had no answer and counts in full: line 1 of episode 1 (elevenlabs)." in text


async def test_a_draft_tells_what_it_has_cost(bot, paid, studio, draft_of):
    await studio.episodes.render(1)
    draft = await draft_of(1)
    fields = {field["name"]: field["value"] for field in draft.embeds[0]["fields"]}
    assert fields["Cost"].startswith("$0.500 · elevenlabs $0.500 · script $0.500 · 200 characters")


@pytest.fixture
async def waiting(bot, studio, cpu, eventually, says):
    """A reel whose voices wait for the budget, and its progress message."""
    cpu.holding = True
    episode = await studio.episodes.make("Coffee", "a test")
    await eventually(lambda: cpu.held)
    await bot.progress.begin(bot.get_channel(studio.approval_channel_id), episode)
    message = await says("Episode 1")
    (job,) = await studio.episodes.open_jobs()
    waits = replace(
        job,
        state=JobState.QUEUED,
        error_kind="budget",
        error="Line 4 may cost *$0.04*.",
        fraction=0.5,
    )
    return waits, message


async def test_a_reel_that_waits_for_the_budget_says_so_at_once(bot, waiting):
    job, message = waiting
    await bot.progress.show(replace(job, state=JobState.RUNNING, fraction=0.4))
    await bot.progress.show(job)
    assert message.content.endswith(
        "· waits for the budget\n"
        r"Line 4 may cost \*$0.04\*. Raise it and start the bot again to go on now, "
        f"or stop it with `/render cancel {job.id}`."
    )


def test_a_job_that_waits_is_listed_as_that(waiting_job):
    assert "speaking · waits for the budget" in jobs_text([waiting_job])


@pytest.fixture
def waiting_job(waiting):
    return waiting[0]


async def test_the_status_lists_who_waits(studio, bot, margot, reply_to, monkeypatch, waiting_job):
    async def listed(error_kind):
        return [waiting_job] if error_kind == "budget" else []

    monkeypatch.setattr(studio.spending._jobs, "queued_because", listed)
    text = (await reply_to(margot, "status")).content
    assert r"⏳ Episode 1 waits for the budget: Line 4 may cost \*$0.04\*." in text
