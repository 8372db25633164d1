import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.reel import pictures
from pipeline.sections import Emotion
from pipeline.shows import load_show

SHOW = load_show("butcher_and_nutsy")


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[pictures.PaintedPicture]]:
    folder = tmp_path_factory.mktemp("library")
    return folder, pictures.paint_library(SHOW, folder)


def test_every_character_has_three_pictures_of_every_emotion(
    painted: tuple[Path, list[pictures.PaintedPicture]],
) -> None:
    _, library = painted

    counts = Counter((p.character, p.emotion) for p in library)

    assert counts == {(c.name, e): 3 for c in SHOW.characters for e in Emotion}
    assert len({p.sha256 for p in library}) == len(library)


def test_what_is_returned_is_what_lies_in_the_folder(
    painted: tuple[Path, list[pictures.PaintedPicture]],
) -> None:
    folder, library = painted

    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert files == {p.path for p in library}
    for picture in library:
        data = (folder / picture.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == picture.sha256


def test_pictures_are_transparent_around_the_character(
    painted: tuple[Path, list[pictures.PaintedPicture]],
) -> None:
    folder, library = painted

    with Image.open(folder / library[0].path) as image:
        assert (image.mode, image.size) == ("RGBA", (library[0].width, library[0].height))
        assert image.getpixel((3, 3)) == (0, 0, 0, 0)
        assert image.getpixel((500, 1000))[3] == 255


def test_painting_again_gives_the_same_bytes(
    painted: tuple[Path, list[pictures.PaintedPicture]], tmp_path: Path
) -> None:
    _, library = painted

    assert pictures.paint_library(SHOW, tmp_path) == library


@pytest.mark.parametrize("file", SHOW.backgrounds)
def test_a_background_fills_the_frame_and_is_calmer_than_a_character(
    file: str, painted: tuple[Path, list[pictures.PaintedPicture]]
) -> None:
    folder, library = painted
    with Image.open(folder / library[0].path) as image:
        character = np.asarray(image).astype(float)

    frame = pictures.background(SHOW, file)

    assert (frame.shape, frame.dtype) == ((1920, 1080, 3), np.uint8)
    assert frame.std() < character[character[..., 3] == 255][:, :3].std()


def test_a_background_of_other_proportions_is_cut_not_stretched(tmp_path: Path) -> None:
    (tmp_path / "wide.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 192">'
        '<rect width="400" height="192" fill="#0000ff"/>'
        '<circle cx="200" cy="96" r="48" fill="#ff0000"/></svg>',
        encoding="utf-8",
    )
    show = SHOW.model_copy(update={"folder": tmp_path, "backgrounds": {"wide.svg": ("default",)}})

    red = pictures.background(show, "wide.svg")[..., 0] > 128

    rows, columns = np.nonzero(red)
    assert abs(np.ptp(rows) - 960) <= 2
    assert abs(np.ptp(columns) - 960) <= 2
    assert abs(columns.mean() - 540) < 2


def test_what_is_see_through_in_a_background_becomes_white(tmp_path: Path) -> None:
    (tmp_path / "thin.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 108 192">'
        '<rect width="54" height="192" fill="#000000" fill-opacity="0.5"/></svg>',
        encoding="utf-8",
    )
    show = SHOW.model_copy(update={"folder": tmp_path, "backgrounds": {"thin.svg": ("default",)}})

    frame = pictures.background(show, "thin.svg")

    assert frame[900, 900].tolist() == [255, 255, 255]
    assert frame[900, 100].tolist() == [127, 127, 127]


def test_an_unknown_background_is_named() -> None:
    with pytest.raises(UserError, match=r"no background moon\.svg"):
        pictures.background(SHOW, "moon.svg")
