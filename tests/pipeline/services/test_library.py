"""The picture library."""

from pipeline.sections import (
    Emotion,
)


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
