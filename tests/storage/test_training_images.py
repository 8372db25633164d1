from dataclasses import replace
from datetime import timedelta

import pytest

from storage.errors import RecordNotFound
from storage.training_images import NewTrainingImage, TrainingImages
from storage.training_uploads import TrainingUploads


@pytest.fixture
def images(database):
    return TrainingImages(database)


@pytest.fixture
def uploads(database):
    return TrainingUploads(database)


@pytest.fixture
async def job(jobs, now):
    return await jobs.queue("intake", until_stage="intake", max_attempts=3, now=now)


def picture(character="Butcher", digit="a"):
    sha256 = digit * 64
    return NewTrainingImage(
        character=character,
        sha256=sha256,
        source_sha256="f" * 64,
        path=f"training/{character.lower()}/{sha256}.png",
        width=600,
        height=700,
        average_hash="0123456789abcdef",
        sharpness=812.5,
        remarks=("Looks blurred.", "Much like 0123abcd."),
        uploaded_by="Margot",
    )


async def test_a_picture_is_kept_with_all_that_is_known_of_it(images, now):
    assert await images.add(picture(), now=now)
    (kept,) = await images.of("butcher")
    assert NewTrainingImage(**{k: getattr(kept, k) for k in picture().__dict__}) == picture()
    assert kept.created_at == now


async def test_a_character_has_a_picture_once_only(images, now):
    assert await images.add(picture(), now=now)
    assert not await images.add(replace(picture(), uploaded_by="Ann"), now=now)
    assert [image.uploaded_by for image in await images.of("Butcher")] == ["Margot"]


async def test_two_characters_may_have_the_same_picture(images, now):
    assert await images.add(picture("Butcher"), now=now)
    assert await images.add(picture("Nutsy"), now=now)
    assert await images.count() == {"butcher": 1, "nutsy": 1}


async def test_the_oldest_comes_first(images, now):
    for digit in "cab":
        await images.add(picture(digit=digit), now=now - timedelta(hours=ord(digit)))
    assert [image.sha256[0] for image in await images.of("Butcher")] == ["c", "a", "b"]


async def test_a_removed_picture_may_come_again(images, now):
    await images.add(picture(), now=now)
    (image,) = await images.of("Butcher")
    assert await images.remove(image.id)
    assert not await images.remove(image.id)
    assert await images.count() == {}
    assert await images.add(picture(), now=now)


async def test_an_upload_is_settled_and_told_once(uploads, job, now):
    await uploads.create(job.id, "Butcher", "Margot", now=now)
    await uploads.posted(job.id, channel_id=4, message_id=5)
    await uploads.settle(job.id, "{}")
    (upload,) = await uploads.untold()
    assert (upload.job_id, upload.character, upload.uploaded_by) == (job.id, "Butcher", "Margot")
    assert (upload.result, upload.channel_id, upload.message_id) == ("{}", 4, 5)

    await uploads.told(job.id, now=now)

    assert await uploads.untold() == []
    assert (await uploads.get(job.id)).told_at == now


async def test_another_job_is_no_upload(uploads, job):
    with pytest.raises(RecordNotFound, match="no upload of pictures"):
        await uploads.get(job.id)
