"""The picture library."""

import shutil
from concurrent.futures import Future

import pytest

from pipeline.errors import UserError
from pipeline.executors import CallFailed, InlineExecutor, WorkerDied, WorkerTimeout
from pipeline.sections import (
    Emotion,
)
from pipeline.services.library import LibraryService
from pipeline.shows import BUNDLED, load_show
from storage.files import sha256_of
from storage.images import Images


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    """As small as they look on a phone, so that painting them all takes no time."""
    monkeypatch.setattr("pipeline.reel.pictures.WIDTH", 100)
    monkeypatch.setattr("pipeline.reel.pictures.HEIGHT", 120)


async def test_the_library_is_painted_once(desk):
    new = await desk.library.fill()
    pictures = (await desk.bookkeeping.facts(None, "images"))["library"].pictures
    assert len(pictures) == new
    emotions = {(picture.character, picture.emotion) for picture in pictures}
    assert len(emotions) == 2 * len(Emotion)
    assert all((desk.folder.path / picture.path).is_file() for picture in pictures)
    assert await desk.library.fill() == 0


async def test_a_picture_that_is_gone_is_painted_again(desk):
    await desk.library.fill()
    gone = (await desk.bookkeeping.facts(None, "images"))["library"].pictures[0]
    file = desk.folder.path / gone.path
    before = file.read_bytes()
    file.unlink()
    await desk.library.fill()
    assert file.read_bytes() == before


@pytest.fixture
async def painted(desk):
    """The desk after its first start, and one of its pictures."""
    await desk.library.fill()
    return desk, (await desk.bookkeeping.facts(None, "images"))["library"].pictures[0]


async def test_a_picture_that_was_damaged_is_painted_again(painted):
    desk, picture = painted
    file = desk.folder.path / picture.path
    file.write_bytes(file.read_bytes()[:-100])
    assert await desk.library.fill() == 0
    assert sha256_of(file) == picture.sha256


async def test_a_picture_that_is_painted_differently_by_now_gets_its_new_hash(painted):
    desk, picture = painted
    await desk.db.execute(
        "UPDATE image_library SET sha256 = ?, usage_count = 7 WHERE id = ?",
        ("0" * 64, picture.image_id),
    )
    await desk.library.fill()
    images = await Images(desk.db).for_characters([picture.character])
    (row,) = [image for image in images if image.id == picture.image_id]
    assert (row.sha256, row.usage_count) == (sha256_of(desk.folder.path / picture.path), 7)


async def test_a_photo_that_was_exchanged_is_left_alone(painted):
    desk, picture = painted
    await desk.db.execute(
        "UPDATE image_library SET source = 'photo' WHERE id = ?", (picture.image_id,)
    )
    file = desk.folder.path / picture.path
    file.write_bytes(b"a photo")
    assert await desk.library.fill() == 0
    assert file.read_bytes() == b"a photo"


class Breaks(InlineExecutor):
    """A worker that ends every call in one way."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def submit(self, function, /, *args, timeout_s, fresh=False):
        future = Future()
        future.set_exception(self._error)
        return future


def library(desk, *, executor, show=None):
    return LibraryService(
        db=desk.db,
        folder=desk.folder,
        show=show or load_show("butcher_and_nutsy"),
        executor=executor,
        clock=desk.clock,
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CallFailed("Traceback: ZeroDivisionError"), "the log has the details"),
        (WorkerTimeout("no answer within 300 s"), "it takes longer than 300 s"),
        (WorkerDied("the process ended"), "the process that paints was ended"),
    ],
)
async def test_a_show_that_cannot_be_painted_is_a_sentence(desk, error, reason):
    with pytest.raises(UserError) as refused:
        await library(desk, executor=Breaks(error)).fill()
    assert f"the show butcher_and_nutsy cannot be painted ({reason}); " in str(refused.value)
    assert "or choose another SHOW" in str(refused.value)


async def test_the_broken_drawing_of_ones_own_show_is_named(desk):
    folder = desk.folder.path / "shows" / "ours"
    shutil.copytree(BUNDLED / "butcher_and_nutsy", folder)
    (folder / "nutsy.svg").write_text("<svg")
    show = load_show("ours", desk.folder.path)
    with pytest.raises(UserError, match=r"the show ours cannot be painted .*nutsy\.svg"):
        await library(desk, executor=InlineExecutor(), show=show).fill()
