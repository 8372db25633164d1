"""Files that somebody has sent become pictures of a character, each judged by itself."""

import hashlib
import io
import resource
import uuid

import numpy as np
import pytest
from PIL import Image, ImageFilter
from standins.strangers import HOSTILE, as_file, moving_webp, photo, where_it_was_taken

from pipeline.config import Config
from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import StageCancelled, UserError
from pipeline.facts import KnownPicture, Upload, Uploads
from pipeline.intake.duplicates import average_hash
from pipeline.sections import RefusedPicture
from pipeline.shows import load_show
from pipeline.stages import intake


@pytest.fixture
def ctx(tmp_path):
    (tmp_path / "training" / "incoming").mkdir(parents=True)
    (tmp_path / "attempt").mkdir()
    return StageContext(
        episode=0,
        revision=0,
        folder=tmp_path / "attempt",
        revision_folder=tmp_path / "episodes",
        data_dir=tmp_path,
        show=load_show("butcher_and_nutsy"),
        config=Config(),
        job=7,
    )


def sent(ctx, files, **facts):
    """The fact for these files, name -> bytes, which lie where uploads lie."""
    uploads = []
    for number, (name, data) in enumerate(files.items(), 1):
        path = f"training/incoming/{uuid.uuid4().hex}"
        (ctx.data_dir / path).write_bytes(data)
        uploads.append(Upload(number=number, path=path, name=name))
    return Uploads(character="butcher", files=tuple(uploads), uploaded_by="Margot", **facts)


def looked_at(ctx, files, **facts):
    return intake.run(sent(ctx, files, **facts), ctx=ctx)


def known(data):
    image = Image.open(io.BytesIO(data))
    sha256 = hashlib.sha256(data).hexdigest()
    return KnownPicture(sha256=sha256, source_sha256=sha256, average_hash=average_hash(image))


def test_a_picture_is_stored_under_the_hash_of_what_is_stored(ctx):
    (picture,) = looked_at(ctx, {"sofa.png": as_file(photo(600, 700))}).taken
    stored = ctx.data_dir / picture.path
    assert picture.path == f"training/butcher/{picture.sha256}.png"
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == picture.sha256
    with Image.open(stored) as image:
        assert np.array_equal(np.asarray(image), np.asarray(photo(600, 700)))
    assert (picture.number, picture.name, picture.width, picture.height) == (
        1,
        "sofa.png",
        600,
        700,
    )
    assert picture.remarks == ()


def test_nothing_of_the_camera_is_stored(ctx):
    data = where_it_was_taken()
    (picture,) = looked_at(ctx, {"holiday.jpg": data}).taken
    stored = (ctx.data_dir / picture.path).read_bytes()
    assert not any(word in stored for word in (b"Exif", b"eXIf", b"Spycam", b"home address"))
    assert picture.source_sha256 == hashlib.sha256(data).hexdigest()


def test_hostile_files_are_refused_one_by_one_and_the_good_ones_taken(ctx):
    result = looked_at(
        ctx, {"good.png": as_file(photo()), **HOSTILE, "too.png": as_file(photo(seed=2))}
    )
    assert [picture.name for picture in result.taken] == ["good.png", "too.png"]
    assert [picture.name for picture in result.refused] == list(HOSTILE)
    for picture in result.refused:
        assert picture.reason.startswith(f"{picture.name} ")
        assert picture.reason.endswith(".")
    assert len(list((ctx.data_dir / "training" / "butcher").glob("*"))) == 3  # and the sheets


def test_a_name_is_never_a_path(ctx):
    names = ["../../escaped.png", "/tmp/escaped.png", "a\\..\\b.png"]
    looked_at(ctx, {name: as_file(photo(seed=n)) for n, name in enumerate(names)})
    assert list(ctx.data_dir.parent.rglob("*escaped*")) == []
    stored = {p.parent for p in ctx.data_dir.rglob("*.png")}
    assert stored == {ctx.data_dir / "training" / "butcher"}


@pytest.mark.parametrize("kind", ["same bytes", "other bytes"])
def test_the_same_picture_twice_is_taken_once(ctx, kind):
    again = as_file(photo(), compress_level=1) if kind == "other bytes" else as_file(photo())
    result = looked_at(ctx, {"one.png": as_file(photo()), "again.png": again})
    assert len(result.taken) == 1
    assert result.refused[0].reason == ("again.png is the same picture as A; send another one.")


def test_a_picture_that_is_there_already_is_refused(ctx):
    data = as_file(photo())
    (picture,) = looked_at(ctx, {"again.png": data}, known=(known(data),)).refused
    name = hashlib.sha256(data).hexdigest()[:8]
    assert picture.reason == (
        f"again.png is the same picture as {name}, which is there already; send another one."
    )


@pytest.mark.parametrize("from_before", [True, False])
def test_much_the_same_is_taken_with_a_remark(ctx, from_before):
    first, second = as_file(photo(600, 600)), as_file(photo(600, 600), "JPEG", quality=50)
    files = {"b.jpg": second} if from_before else {"a.png": first, "b.jpg": second}
    result = looked_at(ctx, files, known=(known(first),) if from_before else ())
    other = known(first) if from_before else result.taken[0]
    assert result.taken[-1].remarks == (f"Much like {other.sha256[:8]}.",)


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (as_file(photo(511, 600)), "Small: 511 x 600; sides of 512 or more are better."),
        (as_file(photo(600, 600).filter(ImageFilter.GaussianBlur(9))), "Looks blurred."),
        (moving_webp(), "It moves; only its first frame is used."),
    ],
)
def test_what_could_be_better_is_remarked(ctx, data, remark):
    assert remark in looked_at(ctx, {"sofa": data}).taken[0].remarks


def test_what_was_too_large_to_be_received_is_told_with_the_others(ctx):
    large = RefusedPicture(number=2, name="b.png", reason="b.png is larger than 20 MB; send less.")
    result = looked_at(ctx, {"a.png": as_file(photo())}, refused=(large,))
    assert result.refused == (large,)


def test_the_sheet_is_a_picture_in_a_folder_of_its_own(ctx):
    result = looked_at(ctx, {"a.png": as_file(photo()), "b.png": b"no"})
    assert result.sheet == "training/butcher/sheets/7.jpg"
    with Image.open(ctx.data_dir / result.sheet) as sheet:
        assert sheet.width == 1080


def test_a_second_attempt_finds_the_same(ctx):
    uploads = sent(ctx, {"a.png": as_file(photo()), "b.png": b"no"})
    assert intake.run(uploads, ctx=ctx) == intake.run(uploads, ctx=ctx)


def test_files_that_are_gone_are_a_sentence(ctx):
    uploads = sent(ctx, {"a.png": as_file(photo())})
    (ctx.data_dir / uploads.files[0].path).unlink()
    with pytest.raises(UserError, match="send them again"):
        intake.run(uploads, ctx=ctx)


def test_a_cancelled_intake_stops_between_two_pictures(ctx):
    (ctx.folder / CANCEL_FILE).touch()
    with pytest.raises(StageCancelled):
        looked_at(ctx, {"a.png": as_file(photo())})


def test_memory_is_limited_while_strangers_bytes_are_decoded_only(ctx, monkeypatch):
    before, during = resource.getrlimit(resource.RLIMIT_AS), []
    real = intake.decode

    def watched(data):
        during.append(resource.getrlimit(resource.RLIMIT_AS))
        return real(data)

    monkeypatch.setattr(intake, "decode", watched)
    looked_at(ctx, {"a.png": as_file(photo())})
    assert 0 < during[0][0] < 2**40
    assert resource.getrlimit(resource.RLIMIT_AS) == before
