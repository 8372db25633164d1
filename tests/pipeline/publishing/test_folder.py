import json
import os
from pathlib import Path

import pytest

from pipeline.publishing.base import ContainerState, Passing, StartOver
from pipeline.publishing.folder import FolderPublisher


@pytest.fixture
def folder(tmp_path):
    return FolderPublisher(tmp_path / "posts")


async def published(folder, outgoing):
    container = await folder.create(outgoing)
    await folder.upload(container, outgoing.reel, outgoing.sha256)
    return await folder.publish(container.id)


async def test_a_post_is_a_folder_with_everything_that_went_out(folder, outgoing, tmp_path):
    await published(folder, outgoing)

    post = tmp_path / "posts" / "7"
    assert (post / "reel.mp4").read_bytes() == outgoing.reel.read_bytes()
    assert (post / "cover.jpg").read_bytes() == outgoing.cover.read_bytes()
    assert (post / "caption.txt").read_text(encoding="utf-8") == outgoing.caption
    assert json.loads((post / "post.json").read_text())["sha256"] == outgoing.sha256


async def test_nothing_is_visible_before_publish(folder, outgoing, tmp_path):
    container = await folder.create(outgoing)
    await folder.upload(container, outgoing.reel, outgoing.sha256)

    assert [path.name for path in (tmp_path / "posts").iterdir()] == [".7.part"]


async def test_publishing_again_changes_nothing(folder, outgoing, tmp_path):
    first = await published(folder, outgoing)

    assert await folder.publish("7") == first
    assert [path.name for path in (tmp_path / "posts").iterdir()] == ["7"]


async def test_an_interrupted_container_is_made_afresh(folder, outgoing):
    await folder.create(outgoing)

    assert await published(folder, outgoing) == "7"


async def test_an_incomplete_container_is_not_published(folder, outgoing):
    await folder.create(outgoing)

    with pytest.raises(StartOver):
        await folder.publish("7")


async def test_a_container_that_disappeared_is_expired(folder):
    assert (await folder.status("7")).state is ContainerState.EXPIRED


async def test_an_upload_into_a_container_that_disappeared_starts_over(folder, outgoing, tmp_path):
    container = await folder.create(outgoing)
    (tmp_path / "posts" / ".7.part").rename(tmp_path / "elsewhere")

    with pytest.raises(StartOver):
        await folder.upload(container, outgoing.reel, outgoing.sha256)


async def test_a_folder_that_cannot_be_written_waits(outgoing, tmp_path):
    (tmp_path / "posts").write_text("a file where the folder should be")

    with pytest.raises(Passing, match="cannot be used"):
        await FolderPublisher(tmp_path / "posts").create(outgoing)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"caption": 1}'])
async def test_a_damaged_post_hides_no_other(folder, outgoing, tmp_path, damage, long_ago):
    await published(folder, outgoing)
    (tmp_path / "posts" / "3").mkdir()
    (tmp_path / "posts" / "3" / "post.json").write_text(damage)

    assert (await folder.look_up(outgoing.caption, long_ago)).id == "7"


async def test_an_unreadable_post_hides_no_other(folder, outgoing, tmp_path, long_ago):
    await published(folder, outgoing)
    (tmp_path / "posts" / "3" / "post.json").mkdir(parents=True)

    assert (await folder.look_up(outgoing.caption, long_ago)).id == "7"


async def test_all_files_are_on_the_disk_before_the_rename(folder, outgoing, tmp_path, monkeypatch):
    synced, replace = set(), Path.replace

    def note(descriptor):
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def note_at_the_end(path, target):
        synced.add(f"renamed {path.name}")
        at_rename[path.name] = set(synced)
        return replace(path, target)

    at_rename = {}
    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", note_at_the_end)
    await published(folder, outgoing)

    assert {"post.json", "caption.txt", "cover.jpg", "reel.mp4.part", ".7.part"} <= at_rename[
        ".7.part"
    ]
