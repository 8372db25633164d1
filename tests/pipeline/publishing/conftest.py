import hashlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from bot.sandbox.instagram import InstagramSandbox
from pipeline.publishing.base import Outgoing
from pipeline.publishing.folder import FolderPublisher
from pipeline.publishing.instagram import InstagramPublisher
from pipeline.publishing.token_file import TokenFile
from pipeline.publishing.token_keeper import TokenKeeper

TOKEN = "EAAcanary0token0that0nobody0may0see"


def box(name, payload=b""):
    return (8 + len(payload)).to_bytes(4, "big") + name + payload


@pytest.fixture
def reel(tmp_path):
    path = tmp_path / "reel.mp4"
    path.write_bytes(box(b"ftyp") + box(b"moov") + box(b"mdat", bytes(range(256)) * 4000))
    return path


@pytest.fixture
def outgoing(reel, tmp_path):
    cover = tmp_path / "cover.jpg"
    cover.write_bytes(b"\xff\xd8\xff cover")
    return Outgoing(
        episode=7,
        revision=1,
        reel=reel,
        cover=cover,
        sha256=hashlib.sha256(reel.read_bytes()).hexdigest(),
        caption="A dog walks in.\n\nButcher & Nutsy No. 7\n#dogs",
        ai_label=True,
        thumb_offset_ms=900,
    )


@pytest.fixture
async def ig():
    async with InstagramSandbox(TOKEN) as ig:
        yield ig


@pytest.fixture
async def open_instagram(tmp_path):
    """Opens publishers of a loopback Instagram; `changes` are addresses and the clock."""
    async with AsyncExitStack() as stack:

        def open_one(ig, **changes):
            given = {
                "graph_url": ig.graph_url,
                "upload_url": ig.upload_url,
                "clock": lambda: datetime.now(UTC),
                **changes,
            }
            keeper = TokenKeeper(
                given=SecretStr(TOKEN),
                file=TokenFile(tmp_path / "secrets" / "instagram.json"),
                graph_url=given["graph_url"],
                clock=given["clock"],
            )
            publisher = InstagramPublisher(
                keeper=keeper, user_id=ig.user_id, **{"timeout_s": 5, **given}
            )
            stack.push_async_callback(publisher.close)
            return publisher

        yield open_one


@pytest.fixture
def instagram(ig, open_instagram):
    return open_instagram(ig)


@pytest.fixture(params=["instagram", "folder"])
def publisher(request, tmp_path):
    if request.param == "folder":
        return FolderPublisher(tmp_path / "posts")
    return request.getfixturevalue("instagram")


@pytest.fixture
def long_ago():
    return datetime(2020, 1, 1, tzinfo=UTC)
