"""Tokens and the app's secret go to the configured hosts, and to nobody else."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from bot.sandbox.instagram import ForeignUpload, Reply
from pipeline.errors import UserError
from pipeline.publishing.base import Passing, Permanent, PublishError
from pipeline.publishing.renewal import exchange, refresh
from pipeline.publishing.tokens import accounts, inspect_token

TOKEN = "EAAcanary0token0that0nobody0may0see"
SECRET = "app0canary0secret"


class Foreigner:
    """Another service; keeps every byte that anybody sends to it."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.heard = bytearray()
        self.visits = 0


@asynccontextmanager
async def foreign_host():
    async def listen(reader, writer):
        foreigner.visits += 1
        foreigner.heard += await reader.read(1 << 16)
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    foreigner = Foreigner(server.sockets[0].getsockname()[1])
    try:
        yield foreigner
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def foreigner():
    async with foreign_host() as made:
        yield made


async def create(ig, instagram, outgoing):
    await instagram.create(outgoing)


async def publish(ig, instagram, outgoing):
    await instagram.publish("1")


async def quota(ig, instagram, outgoing):
    await instagram.quota()


async def upload(ig, instagram, outgoing):
    container = await instagram.create(outgoing)
    await instagram.upload(container, outgoing.reel, outgoing.sha256)


async def refreshed(ig, instagram, outgoing):
    await refresh(SecretStr(TOKEN), graph_url=ig.graph_url)


async def exchanged(ig, instagram, outgoing):
    app = {"app_id": "1", "app_secret": SecretStr(SECRET)}
    await exchange(SecretStr(TOKEN), graph_url=ig.graph_url, **app)


async def inspected(ig, instagram, outgoing):
    app = {"app_id": "1", "app_secret": SecretStr(SECRET)}
    await inspect_token(SecretStr(TOKEN), graph_url=ig.graph_url, **app)


async def listed(ig, instagram, outgoing):
    await accounts(SecretStr(TOKEN), graph_url=ig.graph_url)


CALLS = [
    (create, "create"),
    (publish, "publish"),
    (quota, "quota"),
    (upload, "upload"),
    (refreshed, "refresh"),
    (exchanged, "exchange"),
    (inspected, "debug_token"),
    (listed, "accounts"),
]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("call", "name"), CALLS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_redirect_to_a_foreign_host_is_not_followed(
    ig, instagram, outgoing, foreigner, call, name, status
):
    to = f"{foreigner.url}/steal?access_token={TOKEN}"
    ig.fail(name, *[Reply(status, "", headers=(("Location", to),))] * 4)

    with pytest.raises(PublishError) as caught:
        await call(ig, instagram, outgoing)

    assert foreigner.visits == 0
    assert "canary" not in f"{caught.value!r}{caught.value.__cause__!r}"


async def test_an_upload_to_a_foreign_host_is_refused_before_anything_is_sent(
    ig, instagram, outgoing, foreigner
):
    ig.fail("create", ForeignUpload(f"{foreigner.url}/ig-api-upload/v26.0/1"))

    with pytest.raises(Permanent, match="INSTAGRAM_UPLOAD_URL"):
        await upload(ig, instagram, outgoing)

    assert foreigner.visits == 0


async def test_the_listener_would_have_heard_it(foreigner):
    """The tests above could fail."""
    with pytest.raises(Passing):
        await refresh(SecretStr(TOKEN), graph_url=foreigner.url)

    assert TOKEN.encode() in foreigner.heard


OPEN = "http://graph.example.com/v26.0"


@pytest.mark.parametrize("call", [refreshed, exchanged, inspected, listed])
@pytest.mark.parametrize("url", [OPEN, "http://127.0.0.1.example.com", "http://10.0.0.1", "ws://x"])
async def test_nothing_travels_in_the_open(instagram, outgoing, call, url):
    class Elsewhere:
        graph_url = url

    with pytest.raises(UserError, match="INSTAGRAM_GRAPH_URL must start with https"):
        await call(Elsewhere, instagram, outgoing)


async def test_the_account_calls_have_the_token_in_no_address(ig, instagram, outgoing):
    await upload(ig, instagram, outgoing)
    await quota(ig, instagram, outgoing)
    await listed(ig, instagram, outgoing)

    assert not any(TOKEN in request.url for request in ig.requests)


@pytest.mark.parametrize("call", [refreshed, exchanged])
async def test_the_renewals_send_the_token_in_the_query_alone(ig, instagram, outgoing, call):
    with pytest.raises(PublishError):
        await call(ig, instagram, outgoing)

    (request,) = ig.requests
    assert TOKEN in request.url
    assert not request.is_authorized
