"""The evening on all services: what is asked of them, what is paid, and who sees which key."""

import asyncio
import json
import signal
import sys
from collections import Counter
from dataclasses import dataclass

import aiohttp
import pytest
from standins.deaths import ANSWERED, ARRIVED, BILLED, MOMENTS, Deaths
from standins.server import HTML, Drop, Reply, redirect
from standins.services import APP_SECRET, FEED_TOKEN
from standins.two_shapes import LINES, TwoShapes

from bot.sandbox.instagram import ForeignUpload
from pipeline.prices import load_prices

FETCHED = "wordle"
"""A topic that only the stand-in of Google Trends tells."""


async def board_of(night, number=1):
    """The message of pitches, once they can be chosen."""

    def is_board(message):
        footers = [embed.get("footer", {}).get("text", "") for embed in message.embeds]
        is_ours = any(text.startswith(f"pitches {number} ·") for text in footers)
        return is_ours and len(message.reactions) >= 2

    return await night.discord.wait_for_message(is_board, 90)


async def chosen_pitch(night, count=1):
    """Ask for pitches and choose the first one."""
    night.discord.invoke(night.approver, "script pitch", {"count": count})
    night.discord.react(night.approver, await board_of(night), "1️⃣")


async def goes_out(night, draft):
    assert night.drafts() == [draft]
    await night.approve(draft)
    assert await night.slot_ends() == "posted"
    (post,) = night.instagram.posts
    assert post.sha256 == night.approved_sha256()


def fields_of(draft):
    return {f["name"]: f["value"] for embed in draft.embeds for f in embed.get("fields", ())}


def all_secrets(night, services):
    return [
        *services.keys.values(),
        *(night.instagram.token, APP_SECRET, night.discord.token, FEED_TOKEN),
    ]


def leaks(night, services):
    """(where, secret) for each secret in a file or a message that should not hold it."""
    secrets = all_secrets(night, services)
    kept = night.data_dir / "secrets" / "instagram.json"
    found = []
    for path in (path for path in night.folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        allowed = [night.instagram.token] if path == kept else []
        found += [(path, s) for s in secrets if s.encode() in data and s not in allowed]
    for message in everything_said(night):
        found += [(message, secret) for secret in secrets if secret in message]
    return found


def everything_said(night):
    messages = [
        message
        for channel in (night.discord.general, night.discord.approvals)
        for message in night.discord.messages(channel)
    ]
    texts = [f"{m.content} {json.dumps(m.embeds, ensure_ascii=False)}" for m in messages]
    return [text.replace("\\_", "_") for text in texts]  # as people see it


def strange_keys(night, services):
    """Requests that carried another secret than that of the service they went to."""
    secrets = set(all_secrets(night, services))
    own = {**services.keys, "feeds": FEED_TOKEN}
    found = []
    for name, key in own.items():
        for request in getattr(services, name).requests:
            carried = f"{request.path} {request.query} {request.headers} {request.body}"
            found += [(name, request.call, s) for s in secrets - {key} if s in carried]
    for request in night.instagram.requests:
        carried = f"{request.url} {request.parameters}"
        strangers = secrets - {night.instagram.token}
        found += [("instagram", request.call, s) for s in strangers if s in carried]
    return found


def spent(night, stage):
    """(usd, chars, tokens in, tokens out, is certain) of each call, in the order of sending."""
    return night.rows(
        "SELECT usd, chars, tokens_in, tokens_out, is_certain FROM spend WHERE stage = ?"
        " ORDER BY job_id, attempt, call",
        stage,
    )


@pytest.mark.parametrize("writer", ["openai", pytest.param("anthropic", marks=pytest.mark.slow)])
async def test_an_evening_on_all_services_is_paid_as_billed_and_keeps_every_key(
    open_online_night, writer
):
    settings = {"TRENDS": "auto", "LOG_LEVEL": "DEBUG", "DAILY_BUDGET_USD": "5"}
    async with open_online_night(writer=writer, **settings) as (night, services):
        await night.launch()
        await night.told(night.approver, "trends fetch", FETCHED)
        await chosen_pitch(night, count=3)
        draft = await night.draft(1)
        assert leaks(night, services) == []
        await goes_out(night, draft)
        status = await night.ask(night.approver, "status")
        assert leaks(night, services) == []
        await night.stop()

        chat, call = services.chat(writer)
        assert chat.called(call) == len(chat.billed) == 2
        assert paid_as_billed(night, services, writer)
        assert "characters" in fields_of(draft)["Cost"]
        assert "$" in fields_of(draft)["Cost"]
        assert "Spent: $" in status
        assert strange_keys(night, services) == []
        assert leaks(night, services) == []
        assert {r.call for r in services.feeds.requests} >= {"google", "wikipedia", "item", "feed"}


def paid_as_billed(night, services, writer):
    prices = load_prices()
    chat, _ = services.chat(writer)
    words = spent(night, "pitches") + spent(night, "script")
    assert [(tokens_in, out) for _, _, tokens_in, out, _ in words] == chat.billed
    lines = spent(night, "voices")
    said = services.elevenlabs.texts()
    assert services.elevenlabs.called("speak") == len(lines) == len(said) == LINES
    assert sorted(chars for _, chars, *_ in lines) == sorted(map(len, said))
    per_char = prices.voices["eleven_multilingual_v2"] / 1000
    assert sum(usd for usd, *_ in lines) == pytest.approx(per_char * sum(map(len, said)))
    assert all(certain for *_, certain in words + lines)
    return True


# Deaths at paid calls

AT_ONCE = 4
"""The default of VOICE_CONCURRENCY."""
CALLS = 2 + LINES
"""Paid ones of an evening: the pitches, the script, the lines."""
SLOWLY = {"work_s": 0.3}
"""So that as many lines as may be are spoken at the same time."""


@dataclass(frozen=True)
class Death:
    """Calls that had been asked for until then, and answers that were kept."""

    at: str
    lines_asked: int
    lines_kept: int
    is_answer_kept: bool

    @property
    def lines_lost(self):
        """Over all lives so far."""
        return self.lines_asked - self.lines_kept


def death_of(night, deaths):
    return Death(
        at=deaths.victims[-1],
        lines_asked=deaths.calls.count("speak"),
        lines_kept=len(list(night.data_dir.glob("voices/*/*.json"))),
        is_answer_kept=any(night.data_dir.glob("paid/*/answer-*.json")),
    )


async def has_read_everything(server):
    """What the dead had sent has arrived: it was in the queue before our own requests."""
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"{server.url}/nothing") as answer:
                assert answer.status == 404


async def live_again(night, services, deaths):
    """Start the bot after each death, until it has died as often as was planned."""
    died = []
    while deaths.planned:
        assert await night.ended(240) == -signal.SIGKILL
        await night.nobody_is_left()
        await has_read_everything(services.elevenlabs)
        died.append(death_of(night, deaths))
        assert leaks(night, services) == []
        await night.launch()
    return died


async def evening_of_deaths(open_online_night, planned, *, writer="openai", to_the_end=True):
    """Make a reel and post it, with a bot that dies at these moments of these paid calls.

    Not `to_the_end` it is enough that nothing has to be paid any more.
    """
    settings = {"writer": writer, "voices": SLOWLY, "LOG_LEVEL": "DEBUG"}
    async with open_online_night(**settings) as (night, services):
        deaths = Deaths(lambda: night.process.pid, lambda: not night.alive(), dict(planned))
        chat, chat_call = services.chat(writer)
        deaths.watch(chat, chat_call)
        deaths.watch(services.elevenlabs, "speak")
        await night.launch()
        async with asyncio.TaskGroup() as group:
            living = group.create_task(live_again(night, services, deaths))
            await chosen_pitch(night)
            died = await living
            await night.until(lambda: done(night, "voices"), 240)
        sys.stdout.write(f"{Counter(deaths.calls)} calls; {died}\n")
        assert len(died) == len(planned)
        nothing_kept_was_asked_again(deaths.calls, died)
        every_call_is_booked(night, services, chat, deaths.calls, died)
        if to_the_end:
            await goes_out(night, await night.draft(1, timeout_s=300))
        assert leaks(night, services) == []


def nothing_kept_was_asked_again(calls, died):
    lost = 0
    for death in died:
        assert death.lines_lost - lost <= AT_ONCE
        lost = death.lines_lost
    answers_lost = sum(death.at != "speak" and not death.is_answer_kept for death in died)
    assert calls.count("speak") == LINES + lost
    assert len(calls) - calls.count("speak") == 2 + answers_lost


def every_call_is_booked(night, services, chat, calls, died):
    """Once, and as lost where its answer is; never less than the services want."""
    at_words = sum(death.at != "speak" for death in died)
    words = spent(night, "pitches") + spent(night, "script")
    assert len(words) == len(calls) - calls.count("speak")
    assert sum(not certain for *_, certain in words) <= at_words
    assert sum(out for _, _, _, out, _ in words) >= sum(out for _, out in chat.billed)

    lines = spent(night, "voices")
    certain = [chars for _, chars, *_, is_certain in lines if is_certain]
    assert len(certain) <= LINES
    assert len(lines) >= calls.count("speak")
    assert len(lines) - len(certain) <= AT_ONCE * (len(died) - at_words)
    assert sum(chars for _, chars, *_ in lines) >= sum(map(len, services.elevenlabs.texts()))


async def test_deaths_at_the_pitches_the_script_and_the_lines_cost_what_was_under_way(
    open_online_night,
):
    planned = {1: ANSWERED, 2: BILLED, 7: ARRIVED}
    await evening_of_deaths(open_online_night, planned, to_the_end=False)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("call", range(1, CALLS + 1))
async def test_a_death_at_any_paid_call_costs_what_was_under_way(open_online_night, call, moment):
    await evening_of_deaths(open_online_night, {call: moment})


@pytest.mark.slow
async def test_six_deaths_in_one_evening_cost_what_was_under_way(open_online_night):
    planned = {1: ARRIVED, 2: ANSWERED, 3: ANSWERED, 8: BILLED, 13: ARRIVED, 17: BILLED}
    await evening_of_deaths(open_online_night, planned, writer="anthropic")


# What may be spent

A_DOLLAR_A_CHARACTER = """
openai:
  gpt-6-luna: {tokens_in: 0, tokens_out: 0}
voices:
  eleven_multilingual_v2: 1000
"""


async def test_a_budget_for_three_lines_of_eight_speaks_three_and_goes_on_when_raised(
    open_online_night,
):
    written = [line["text"] for line in TwoShapes().script("Socks")["lines"]]
    budget = {"DAILY_BUDGET_USD": str(sum(map(len, written[:3])))}
    async with open_online_night(voices={"work_s": 0.2}, **budget) as (night, services):
        (night.data_dir / "prices.yaml").write_text(A_DOLLAR_A_CHARACTER)
        await night.launch()
        night.discord.invoke(night.approver, "make", {"topic": "socks"})
        await night.until(lambda: waiting(night))
        status = (await night.ask(night.approver, "status")).replace("\\_", "_")
        for said in (*waiting(night), status):
            assert "waits for the budget" in said
            assert "Line 4 may cost $" in said
            assert "DAILY_BUDGET_USD" in said
        assert "start the bot again to go on now" in waiting(night)[0]
        await night.stop()
        assert services.elevenlabs.called("speak") == 3
        assert sorted(services.elevenlabs.texts()) == sorted(written[:3])

        night.extra["DAILY_BUDGET_USD"] = "100000"
        await night.launch()
        await night.until(lambda: done(night, "voices"))
        assert services.elevenlabs.called("speak") == LINES
        assert sorted(services.elevenlabs.texts()) == sorted(written)
        assert sum(usd for usd, *_ in spent(night, "voices")) == sum(map(len, written))


def waiting(night):
    return [text for text in everything_said(night) if "waits for the budget" in text]


def done(night, stage):
    return night.rows("SELECT 1 FROM jobs WHERE stage = ? AND state = 'succeeded'", stage)


# Audio that must not be published


@pytest.mark.slow
async def test_a_reel_of_the_free_plan_is_shown_and_never_posted(open_online_night):
    async with open_online_night(voices={"plan": "free"}) as (night, services):
        await night.launch()
        night.discord.invoke(night.approver, "make", {"topic": "socks"})
        draft = await night.draft(1)
        assert "free plan" in fields_of(draft)["Cannot go out"]
        night.discord.react(night.approver, draft, "✅")
        await night.until_state("approved")
        assert await night.slot_ends() == "empty"
        assert any("Episode 1 cannot go out: Lines 1, 2" in said for said in everything_said(night))
        await night.told(night.approver, "publish now", "free plan", {"episode": 1})
        assert services.elevenlabs.most_at_once("speak") <= 2
        assert night.instagram.posts == []
        assert night.instagram.called("create") == 0


# Services that are down for good, and services that send us elsewhere

FOR_EVER = 1000
ATTEMPTS = 3
"""Of a job; see pipeline/workflow.py."""
DOWN = (Reply(503, "{}"), Drop(), HTML)
SOURCES = ("google", "wikipedia", "topstories", "feed")


async def failed(night, fault, server, call, command):
    """Use a command while a call of a service always meets a fault; the sentence of its end."""
    sql = "SELECT error FROM jobs WHERE state = 'failed' ORDER BY id DESC"
    before = night.rows(sql)
    server.fail(call, fault, times=FOR_EVER)
    await night.ask(night.approver, *command)
    found = await night.until(lambda: len(now := night.rows(sql)) > len(before) and now)
    error = found[0][0]
    told = f"{error} `/render start` tries again."
    await night.until(lambda: any(told in said for said in everything_said(night)))
    server.forget_faults()
    return error


async def test_a_service_that_is_down_for_good_is_asked_a_few_times_and_then_left_alone(
    open_online_night,
):
    async with open_online_night(TRENDS="auto") as (night, services):
        chat, voice, feeds = services.openai, services.elevenlabs, services.feeds
        await night.launch()
        for fault in DOWN:
            for source in SOURCES:
                feeds.fail(source, fault, times=FOR_EVER)
            asked = len(feeds.requests)
            await night.told(night.approver, "trends fetch", "⚠️")
            assert len(feeds.requests) - asked <= 2 * len(SOURCES)
            feeds.forget_faults()

        command = ("make", {"topic": "Socks"})
        for server, call, at_once in (
            (chat, "chat", 1),
            (voice, "subscription", 1),
            (voice, "speak", AT_ONCE),
        ):
            for fault in DOWN:
                asked = server.called(call)
                error = await failed(night, fault, server, call, command)
                sent = server.called(call) - asked
                sys.stdout.write(f"{call} {type(fault).__name__}: {sent} sent: {error}\n")
                assert error.endswith(".")
                assert 1 <= sent <= ATTEMPTS * at_once
                command = ("render start", {"episode": 1})
        asked = [len(server.requests) for server in (chat, voice, feeds)]
        await night.settled()
        assert [len(server.requests) for server in (chat, voice, feeds)] == asked


class Foreigner:
    """Somebody else's service: keeps every byte that anybody sends to it."""

    def __init__(self):
        self.heard = []
        self.url = ""

    async def listen(self, reader, writer):
        self.heard.append(await reader.read(1 << 16))
        writer.close()


@pytest.fixture
async def foreigner():
    made = Foreigner()
    async with await asyncio.start_server(made.listen, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


async def test_a_service_that_sends_us_elsewhere_is_refused_and_nobody_hears_a_key(
    open_online_night, short_reel, foreigner
):
    async with open_online_night(finished=short_reel, TRENDS="auto") as (night, services):
        away = redirect(f"{foreigner.url}/steal")
        await night.launch()
        for source in (*SOURCES, "item"):
            services.feeds.fail(source, away, times=FOR_EVER)
        await night.told(night.approver, "trends fetch", "⚠️")

        command = ("make", {"topic": "Socks"})
        for server, call in (
            (services.openai, "chat"),
            (services.elevenlabs, "subscription"),
            (services.elevenlabs, "speak"),
        ):
            error = await failed(night, away, server, call, command)
            assert "redirect" in error
            command = ("render start", {"episode": 2})

        elsewhere = ForeignUpload(f"{foreigner.url}/ig-api-upload/v26.0/1")
        night.instagram.fail("create", elsewhere)
        await night.approve(await night.draft(1))
        assert await night.slot_ends() == "failed"
        assert any("INSTAGRAM_UPLOAD_URL" in said for said in everything_said(night))
        assert night.instagram.posts == []
        assert night.instagram.called("upload") == 0
        assert foreigner.heard == []
        assert strange_keys(night, services) == []
        assert leaks(night, services) == []


async def test_the_foreigner_would_have_heard_it(foreigner):
    """The test above could fail."""
    reader, writer = await asyncio.open_connection(*foreigner.url[7:].split(":"))
    writer.write(b"Authorization: Bearer key\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert foreigner.heard == [b"Authorization: Bearer key\r\n\r\n"]
