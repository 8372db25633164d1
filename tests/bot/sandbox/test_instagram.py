"""The loopback Instagram refuses what the real one refuses."""

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from bot.sandbox.instagram import Drop, InstagramSandbox, Late, Truncated, refusal

TOKEN = "token"


def box(name, payload=b""):
    return (8 + len(payload)).to_bytes(4, "big") + name + payload


REEL = box(b"ftyp") + box(b"moov") + box(b"mdat", b"x" * 1000)


class Clock:
    now = datetime(2026, 3, 2, tzinfo=UTC)

    def __call__(self):
        return self.now


class Client:
    """Plain HTTP, as a stranger would write it."""

    def __init__(self, session, ig):
        self.session, self.ig = session, ig
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    async def get(self, path, **params):
        url = f"{self.ig.graph_url}/{path}"
        async with self.session.get(url, params=params, headers=self.headers) as answer:
            return await answer.json()

    async def post(self, path, **data):
        url = f"{self.ig.graph_url}/{self.ig.user_id}/{path}"
        async with self.session.post(url, data=data, headers=self.headers) as answer:
            return await answer.json()

    async def create(self, **changes):
        fields = {"media_type": "REELS", "upload_type": "resumable", "caption": "hi", **changes}
        return await self.post("media", **{k: v for k, v in fields.items() if v is not None})

    async def upload(self, uri, data=REEL, **headers):
        given = {"Authorization": f"OAuth {TOKEN}", "offset": "0", "file_size": str(len(data))}
        async with self.session.post(uri, data=data, headers={**given, **headers}) as answer:
            return await answer.json()

    async def uploaded(self, data=REEL):
        container = await self.create()
        await self.upload(container["uri"], data)
        return container["id"]

    async def publish(self, container_id):
        return await self.post("media_publish", creation_id=container_id)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def ig(clock):
    async with InstagramSandbox(TOKEN, now=clock) as ig:
        yield ig


@pytest.fixture
async def client(ig):
    async with aiohttp.ClientSession() as session:
        yield Client(session, ig)


def code(answer):
    error = answer["error"]
    return error["code"], error.get("error_subcode")


async def test_a_reel_becomes_public_in_three_calls(ig, client):
    media = await client.publish(await client.uploaded())

    listed = await client.get(f"{ig.user_id}/media", fields="id,caption,timestamp,permalink")
    assert [entry["id"] for entry in listed["data"]] == [media["id"]]
    assert await client.get(media["id"], fields="permalink") == {
        "id": media["id"],
        "permalink": ig.posts[0].permalink,
    }


async def test_a_wrong_token_is_190(client):
    client.headers = {"Authorization": "Bearer other"}

    assert code(await client.create()) == (190, None)


async def test_the_upload_host_wants_oauth_instead_of_bearer(client):
    container = await client.create()

    refused = await client.upload(container["uri"], Authorization=f"Bearer {TOKEN}")

    assert code(refused) == (190, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"colour": "red"}, (100, None)),
        ({"media_type": "VIDEO"}, (9004, 2207052)),
        ({"upload_type": None}, (100, None)),
        ({"upload_type": None, "video_url": "https://x/y.mp4"}, (100, None)),
        ({"caption": "x" * 2201}, (36004, 2207010)),
        ({"caption": "#a " * 31}, (100, 2207040)),
        ({"caption": "@a " * 21}, (100, 2207040)),
        ({"is_ai_generated": "yes"}, (100, None)),
        ({"thumb_offset": "-1"}, (100, None)),
    ],
    ids=str,
)
async def test_a_bad_container_is_refused(ig, client, changes, expected):
    assert code(await client.create(**changes)) == expected
    assert ig.containers == {}


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"offset": "5"}, "OffsetInvalidError"),
        ({"offset": "x"}, "HeaderError"),
        ({"file_size": "99999"}, "PartialRequestError"),
        ({"file_size": ""}, "HeaderError"),
    ],
    ids=str,
)
async def test_an_upload_must_fit_its_headers(client, headers, kind):
    container = await client.create()

    answer = await client.upload(container["uri"], **headers)

    assert answer["debug_info"]["type"] == kind


async def test_a_cut_upload_says_how_far_it_got_and_goes_on_from_there(ig, client):
    container = await client.create()
    ig.fail("upload", Truncated(400))
    with pytest.raises(aiohttp.ClientError):
        await client.upload(container["uri"])
    status = await client.get(container["id"], fields="video_status")
    rest = {"offset": "400", "file_size": str(len(REEL))}

    answer = await client.upload(container["uri"], REEL[400:], **rest)

    assert status["video_status"]["uploading_phase"]["bytes_transferred"] == 400
    assert answer["success"] is True
    await client.publish(container["id"])
    assert len(ig.posts) == 1


async def test_publishing_before_the_file_is_processed_is_not_ready(ig, client, clock):
    ig.processing_s = 30
    container = await client.uploaded()
    early = await client.publish(container)
    clock.now += timedelta(seconds=30)

    assert code(early) == (9007, 2207027)
    assert "id" in await client.publish(container)


async def test_a_container_is_published_once(ig, client):
    container = await client.uploaded()
    await client.publish(container)

    assert code(await client.publish(container)) == (9007, 2207027)
    assert (len(ig.posts), ig.refused_repeats) == (1, 1)


async def test_a_container_lives_for_a_day(client, clock):
    container = await client.uploaded()
    clock.now += timedelta(hours=24)

    status = await client.get(container, fields="status_code")

    assert status["status_code"] == "EXPIRED"
    assert code(await client.publish(container)) == (-2, 2207020)


@pytest.mark.parametrize(
    "data",
    [b"not a video", box(b"ftyp") + box(b"mdat") + box(b"moov"), box(b"ftyp") + box(b"moov")],
    ids=["text", "index behind", "no data"],
)
async def test_a_file_that_is_no_reel_ends_in_error(client, data):
    container = await client.uploaded(data)

    status = await client.get(container, fields="status_code,status")

    assert status["status_code"] == "ERROR"
    assert "2207026" in status["status"]


async def test_an_unknown_object_is_100_33(client):
    assert code(await client.get("123", fields="status_code")) == (100, 33)


async def test_an_unknown_field_fails_the_call(client):
    assert code(await client.get(await client.uploaded(), fields="colour")) == (100, None)


async def test_the_quota_counts_the_last_day(ig, client, clock):
    ig.quota_total = 1
    await client.publish(await client.uploaded())
    full = await client.publish(await client.uploaded())
    used = await client.get(f"{ig.user_id}/content_publishing_limit", fields="quota_usage,config")
    clock.now += timedelta(hours=25)

    assert code(full) == (9, 2207042)
    assert used["data"][0] == {
        "quota_usage": 1,
        "config": {"quota_total": 1, "quota_duration": 86400},
    }
    assert "id" in await client.publish(await client.uploaded())


async def test_the_listing_is_paged_newest_first(ig, client):
    ids = [(await client.publish(await client.uploaded()))["id"] for _ in range(3)]

    first = await client.get(f"{ig.user_id}/media", limit="2")
    after = first["paging"]["cursors"]["after"]
    second = await client.get(f"{ig.user_id}/media", limit="2", after=after)

    assert [entry["id"] for entry in [*first["data"], *second["data"]]] == ids[::-1]


async def test_a_drop_after_the_call_has_published_all_the_same(ig, client):
    container = await client.uploaded()
    ig.fail("publish", Drop(after=True))

    with pytest.raises(aiohttp.ClientError):
        await client.publish(container)

    assert len(ig.posts) == 1


async def test_faults_are_met_in_order_and_once(ig, client):
    ig.fail("create", refusal(4), refusal(2, status=500))

    answers = [await client.create() for _ in range(3)]

    assert [code(answers[0]), code(answers[1])] == [(4, None), (2, None)]
    assert "id" in answers[2]


async def test_a_late_answer_comes(ig, client):
    ig.fail("create", Late(0.01))

    assert "id" in await client.create()


async def test_parameters_may_come_as_json_or_in_the_query(ig, client):
    url = f"{ig.graph_url}/{ig.user_id}/media"
    body = {"media_type": "REELS", "caption": "hi", "access_token": TOKEN}
    async with client.session.post(url, json=body, params={"upload_type": "resumable"}) as answer:
        assert "uri" in await answer.json()
