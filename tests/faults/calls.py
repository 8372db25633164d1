"""One call to one service, met by one fault: what comes of it."""

import contextlib
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from standins import anthropic, elevenlabs, openai
from standins.feeds import Feeds
from standins.server import HTML, Drop, Garbled, Half, Reply, Silence

from bot.sandbox.instagram import InstagramSandbox
from bot.sandbox.instagram import faults as ig
from pipeline.config import TrendsConfig, VoicesConfig, WriterConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError, UserError
from pipeline.facts import Memory, Sources, Topic, Topics
from pipeline.ledger import Ledger
from pipeline.providers import factory
from pipeline.publishing import renewal
from pipeline.publishing.base import Container, Outgoing
from pipeline.publishing.instagram import InstagramPublisher
from pipeline.publishing.token_file import TokenFile
from pipeline.publishing.token_keeper import TokenKeeper
from pipeline.publishing.tokens import accounts, inspect_token
from pipeline.sections import Brief, Emotion, Line, Script
from pipeline.shows import load_show
from pipeline.stages import trends, voices

FINE = "It goes well all the same."
CLOSED = "http://127.0.0.1:9"
"""Nobody listens there."""
WHEN = datetime(2026, 5, 4, 9, tzinfo=UTC)
SHOW = load_show("butcher_and_nutsy")
FAULTS = (
    "refused",
    "dropped before",
    "dropped after",
    "429 with a hint",
    "429",
    "500",
    "503",
    "timeout",
    "malformed",
    "truncated",
    "html",
    "wrong key",
    "quota spent",
)
CALLS = {
    "google": ("google",),
    "wikipedia": ("wikipedia",),
    "hackernews": ("topstories", "item"),
    "feed": ("feed",),
    "openai": ("script", "pitches"),
    "anthropic": ("script", "pitches"),
    "elevenlabs": ("subscription", "speak"),
    "instagram": (
        *("quota", "create", "upload", "status", "publish", "look_up", "permalink"),
        *("me", "debug_token", "exchange", "refresh", "accounts"),
    ),
}
ABSENT = dict.fromkeys(("google", "wikipedia", "hackernews", "feed"), ("wrong key", "quota spent"))
"""These have neither."""


@dataclass(frozen=True)
class Seen:
    """`error` is what was raised, or the sentence that stands for it; `sent` counts requests."""

    error: BaseException | str
    sent: int
    booked_usd: float | None = None
    secrets: tuple[str, ...] = ()


async def meet(service, call, fault, tmp_path):
    match service:
        case "openai" | "anthropic":
            return write(service, call, fault, tmp_path)
        case "elevenlabs":
            return speak(call, fault, tmp_path)
        case "instagram":
            return await post(call, fault, tmp_path)
    return fetch(service, call, fault, tmp_path)


def fault_of(name, *, quota=None):
    hint = (("retry-after", "7"),)
    return {
        "refused": None,
        "wrong key": None,
        "quota spent": quota,
        "dropped before": Drop(),
        "dropped after": Drop(after=True),
        "429 with a hint": Reply(429, "{}", headers=hint),
        "429": Reply(429, "{}"),
        "500": Reply(500, "{}"),
        "503": Reply(503, "{}"),
        "timeout": Silence(),
        "malformed": Garbled(),
        "truncated": Half(),
        "html": HTML,
    }[name]


def arm(server, call, fault, *, quota=None):
    if (what := fault_of(fault, quota=quota)) is not None:
        server.fail(call, what, times=20)


def context(tmp_path, config, **values):
    folder = tmp_path / "attempt"
    folder.mkdir()
    return StageContext(
        episode=1,
        revision=1,
        folder=folder,
        revision_folder=tmp_path / "v1",
        data_dir=tmp_path,
        show=SHOW,
        config=config,
        job=7,
        ledger=Ledger(tmp_path / "paid" / "7" / "receipts-1.jsonl"),
        **values,
    )


def fetch(service, call, fault, tmp_path):
    with Feeds(now=datetime.now(UTC)) as feeds:
        address = CLOSED if fault == "refused" else feeds.url
        none = {"rss_url": "", "wikipedia_url": "", "hackernews_url": "", "feeds": ()}
        own = {
            "google": {"rss_url": feeds.rss_url},
            "wikipedia": {"wikipedia_url": feeds.wikipedia_url},
            "hackernews": {"hackernews_url": feeds.hackernews_url},
            "feed": {"feeds": (feeds.feed_url,)},
        }[service]
        text = json.dumps(own).replace(feeds.url, address)
        config = TrendsConfig(**(none | json.loads(text)))
        arm(feeds, call, fault)
        found = trends.run(Sources(), ctx=context(tmp_path, config))
        said = " ".join(found.failures) or FINE
        sent = feeds.called("topstories" if call == "item" else call)
        return Seen(said, sent)


def write(service, call, fault, tmp_path):
    stand_in = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}[service]
    module = {"openai": openai, "anthropic": anthropic}[service]
    with stand_in() as server:
        key = "sk-canary-of-somebody-else-0123" if fault == "wrong key" else module.KEY
        config = WriterConfig(
            provider=service,
            api_key=SecretStr(key),
            base_url=CLOSED if fault == "refused" else server.base_url,
        )
        arm(server, module.CALL, fault, quota=module.QUOTA_SPENT)
        ctx = context(tmp_path, config)
        error = raised(lambda: _write(call, config, ctx))
        return Seen(error, server.called(module.CALL), ctx.ledger.spent.usd, (key, module.KEY))


def _write(call, config, ctx):
    writer = factory.writer(config, ctx)
    if call == "script":
        return writer.write(Brief(episode=1, topic="wordle", created_at=WHEN), Memory(), SHOW)
    topics = (Topic(name="wordle", source="hand"), Topic(name="girona", source="hand"))
    return writer.pitch(Topics(topics=topics, count=2), Memory(), SHOW)


def speak(call, fault, tmp_path):
    quota = 0 if fault == "quota spent" else 100_000
    with elevenlabs.Elevenlabs(quota=quota) as server:
        key = "sk_canary_of_somebody_else_0123" if fault == "wrong key" else elevenlabs.KEY
        config = VoicesConfig(
            provider="elevenlabs",
            api_key=SecretStr(key),
            base_url=CLOSED if fault == "refused" else server.url,
            voices={"Butcher": elevenlabs.DEEP_VOICE, "Nutsy": elevenlabs.HIGH_VOICE},
        )
        arm(server, call, fault)
        line = Line(index=1, character="Butcher", text="Naturally.", emotion=Emotion.NEUTRAL)
        ctx = context(tmp_path, config)
        error = raised(lambda: voices.run(Script(lines=(line,)), ctx=ctx))
        booked = ctx.ledger.spent.usd if call == "speak" else None
        return Seen(error, server.called(call), booked, (key, elevenlabs.KEY))


def raised(work):
    try:
        work()
    except (ProviderError, UserError) as error:
        return error
    raise AssertionError("nothing went wrong")


USER = "17841400000000000"
NO_FILE = TokenFile(Path("no-such-folder/instagram.json"))
TOKEN = "canary.instagram.token.of.the.channel"
IG_FAULTS = {
    "dropped before": ig.Drop(),
    "dropped after": ig.Drop(after=True),
    "429 with a hint": replace(
        ig.refusal(80002, status=400),
        headers=(("X-Business-Use-Case-Usage", '{"1":[{"estimated_time_to_regain_access":3}]}'),),
    ),
    "429": ig.refusal(4, status=429),
    "500": ig.Reply(500, "{}"),
    "503": ig.Reply(503, "{}"),
    "timeout": ig.Late(1.5),
    "malformed": ig.Reply(200, '{"unexpected": true}', after=True),
    "truncated": ig.Reply(200, '{"id": "179', after=True),
    "html": ig.Reply(200, "<html><body>Log in</body></html>", content_type="text/html"),
    "wrong key": ig.refusal(190, 463, status=401),
    "quota spent": ig.refusal(9, 2207042),
}


async def post(call, fault, tmp_path):
    login = "instagram" if call in ("refresh", "me") else "facebook"
    async with InstagramSandbox(TOKEN, login=login) as sandbox:
        async with contextlib.AsyncExitStack() as stack:
            work = await _prepared(call, fault, sandbox, tmp_path, stack)
            if fault != "refused":
                sandbox.fail(call, *[IG_FAULTS[fault]] * 20)
            before = sandbox.called(call)
            error = await _raised(work)
        assert len(sandbox.posts) <= 1
        return Seen(
            error, sandbox.called(call) - before, secrets=(TOKEN, sandbox.tokens.app_secret)
        )


async def _raised(work):
    """What is lost on the way back may not matter: an upload asks how far it got."""
    try:
        answer = await work()
    except (ProviderError, UserError) as error:
        return error
    # A refused token is a fact with a sentence, not an error.
    return getattr(answer, "problem", "") or FINE


async def _prepared(call, fault, sandbox, tmp_path, stack):
    """The call, after everything that has to come before it has gone well."""
    token, secret = SecretStr(TOKEN), SecretStr(sandbox.tokens.app_secret)
    closed = f"{CLOSED}/v26.0"
    url = closed if fault == "refused" else sandbox.graph_url
    match call:
        case "me" | "debug_token":
            return lambda: inspect_token(
                token, graph_url=url, app_id=sandbox.tokens.app_id, app_secret=secret
            )
        case "accounts":
            return lambda: accounts(token, graph_url=url)
        case "refresh":
            return lambda: renewal.refresh(token, graph_url=url)
        case "exchange":
            app = {"app_id": sandbox.tokens.app_id, "app_secret": secret}
            return lambda: renewal.exchange(token, graph_url=url, **app)
    well = await _publisher(stack, token, sandbox.graph_url, sandbox.upload_url)
    ill = await _publisher(stack, token, url, CLOSED if fault == "refused" else sandbox.upload_url)
    if call == "quota":
        return ill.quota
    if call == "look_up":
        return lambda: ill.look_up("never seen", WHEN)
    outgoing = _outgoing(tmp_path)
    if call == "create":
        return lambda: ill.create(outgoing)
    container = await well.create(outgoing)
    if call == "upload":
        where = Container(container.id, f"{CLOSED}/x") if fault == "refused" else container
        return lambda: ill.upload(where, outgoing.reel, outgoing.sha256)
    await well.upload(container, outgoing.reel, outgoing.sha256)
    if call == "status":
        return lambda: ill.status(container.id)
    if call == "publish":
        return lambda: ill.publish(container.id)
    media_id = await well.publish(container.id)
    return lambda: ill.permalink(media_id)


def now():
    return datetime.now(UTC)


async def _publisher(stack, token, graph_url, upload_url):
    keeper = TokenKeeper(given=token, file=NO_FILE, graph_url=graph_url, clock=now)
    publisher = InstagramPublisher(
        keeper=keeper,
        user_id=USER,
        graph_url=graph_url,
        upload_url=upload_url,
        clock=now,
        timeout_s=0.4,
    )
    stack.push_async_callback(publisher.close)
    return publisher


def _outgoing(tmp_path):
    reel = tmp_path / "reel.mp4"
    box = (8).to_bytes(4, "big")
    reel.write_bytes(box + b"ftyp" + box + b"moov" + box + b"mdat" + bytes(1000))
    return Outgoing(
        episode=1,
        revision=1,
        reel=reel,
        cover=tmp_path / "cover.jpg",
        sha256=hashlib.sha256(reel.read_bytes()).hexdigest(),
        caption="A tower for a nut.",
        ai_label=True,
    )
