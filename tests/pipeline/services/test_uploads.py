"""Pictures that people send: received, looked at by the engine, listed and removed."""

import asyncio
import errno
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from standins.strangers import HOSTILE, as_file, photo

from pipeline.config import StudioConfig
from pipeline.engine import Engine
from pipeline.errors import UserError
from pipeline.executors import InlineExecutor
from pipeline.services import incoming
from pipeline.services.bookkeeping import Bookkeeping
from pipeline.services.gpu import Gpu
from pipeline.services.incoming import IncomingFile, shown_name
from pipeline.services.uploads import MOST_PICTURES, Uploads
from pipeline.shows import load_show
from pipeline.workflow import Lane
from storage.database import Database
from storage.errors import StorageUnusable
from storage.folder import DataFolder
from storage.jobs import Jobs
from storage.records import Job
from storage.states import JobState
from storage.training_images import NewTrainingImage, TrainingImages
from storage.training_uploads import TrainingUploads

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LIMIT = incoming.LARGEST_FILE


@dataclass
class Studio:
    """The service over a real engine, which works here once `work` is called."""

    db: Database
    folder: DataFolder
    executors: dict

    def __post_init__(self):
        show = load_show("butcher_and_nutsy")
        self.engine = Engine(
            self.db,
            self.folder,
            executors=self.executors,
            config=StudioConfig(),
            show=show,
            hooks=Bookkeeping(
                self.db, show=show, mark=lambda *parts: "", clock=lambda: NOW, gpu=Gpu()
            ),
            on_event=lambda event: self.uploads.heard(event),
            clock=lambda: NOW,
        )
        self.uploads = Uploads(
            db=self.db, folder=self.folder, engine=self.engine, show=show, clock=lambda: NOW
        )
        self.images = TrainingImages(self.db)
        self.jobs = Jobs(self.db)

    async def take(self, **files):
        return await self.uploads.take("butcher", sent(**files), "Margot")

    async def work(self):
        await self.engine.start()
        await self.engine.finished()

    async def taken(self, **files):
        job = await self.take(**files)
        await self.work()
        return await self.uploads.upload(job.id)

    def arrived(self):
        return list((self.folder.path / "training" / "incoming").glob("*"))

    def stored(self):
        return {path.name for path in (self.folder.path / "training" / "butcher").glob("*.png")}


@pytest.fixture
async def studio(tmp_path):
    folder = DataFolder(tmp_path)
    async with await Database.open(folder.database) as db:
        studio = Studio(db, folder, {lane: InlineExecutor() for lane in Lane})
        yield studio
        await studio.engine.stop()


def offered(name, data, size_bytes=None):
    async def read():
        return data

    return IncomingFile(name, len(data) if size_bytes is None else size_bytes, read)


def sent(**files):
    return [offered(f"{name}.png", data) for name, data in files.items()]


def picture(seed):
    return as_file(photo(seed=seed))


def row(digit):
    sha256 = f"{digit:064x}"
    return NewTrainingImage(
        character="Butcher",
        sha256=sha256,
        source_sha256=sha256,
        path=f"training/butcher/{sha256}.png",
        width=600,
        height=600,
        average_hash=f"{digit:016x}",
        sharpness=500,
        remarks=(),
        uploaded_by="Ann",
    )


# What becomes of an upload


async def test_good_pictures_become_rows_and_files_and_bad_ones_sentences(studio):
    files = {"one": picture(1), "bomb": HOSTILE["zip-bomb.png"], "two": picture(2)}
    upload = await studio.taken(**files, script=HOSTILE["text.png"])
    images = await studio.uploads.of("BUTCHER")
    assert [image.sha256 for image in images] == [p.sha256 for p in upload.intake.taken]
    assert studio.stored() == {f"{image.sha256}.png" for image in images}
    assert [p.number for p in upload.intake.refused] == [2, 4]
    assert (upload.character, upload.uploaded_by) == ("Butcher", "Margot")
    assert await studio.uploads.counts() == {"Butcher": 2, "Nutsy": 0}
    assert studio.arrived() == []


async def test_in_a_worker_process_it_is_the_same(studio, pools):
    studio = Studio(studio.db, studio.folder, pools)
    upload = await studio.taken(one=picture(1), passes=HOSTILE["passes.jpg"])
    assert [p.name for p in upload.intake.taken] == ["one.png"]
    assert [p.name for p in upload.intake.refused] == ["passes.png"]
    assert len(studio.stored()) == 1
    await studio.engine.stop()


async def test_two_uploads_at_once_of_the_same_picture_make_one_row(studio):
    both = [await studio.take(a=picture(1)), await studio.take(b=picture(1), c=picture(2))]
    await studio.work()
    first, second = [(await studio.uploads.upload(job.id)).intake for job in both]
    assert [p.name for p in (*first.taken, *second.taken)] == ["a.png", "c.png"]
    assert "another upload at the same time" in second.refused[0].reason
    assert len(await studio.uploads.of("Butcher")) == len(studio.stored()) == 2


async def test_a_picture_sent_before_is_refused(studio):
    await studio.taken(a=picture(1))
    job = await studio.take(b=picture(1))
    await studio.engine.finished()
    (refused,) = (await studio.uploads.upload(job.id)).intake.refused
    (there,) = await studio.uploads.of("Butcher")
    assert f"is the same picture as {there.sha256[:8]}, which is there" in refused.reason


async def test_what_has_ended_is_untold_until_it_is_told(studio):
    job = await studio.take(a=picture(1))
    await studio.uploads.posted(job.id, channel_id=4, message_id=5)
    assert await studio.uploads.untold() == []
    await studio.work()
    (upload,) = await studio.uploads.untold()
    assert (upload.job.id, upload.message_id, len(upload.intake.taken)) == (job.id, 5, 1)
    await studio.uploads.told(job.id)
    assert await studio.uploads.untold() == []


async def test_a_full_disk_is_a_sentence_and_keeps_nothing(studio, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(incoming, "_to_disk", full)
    with pytest.raises(StorageUnusable, match="No space left on device"):
        await studio.take(one=picture(1))
    assert studio.arrived() == []
    assert await studio.jobs.open() == []


async def test_an_upload_cut_off_after_its_job_is_looked_at_all_the_same(studio, monkeypatch):
    create = studio.uploads._uploads.create

    async def cut_off(*given, **keywords):
        await create(*given, **keywords)
        await studio.db._run("COMMIT", ())
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(studio.uploads._uploads, "create", cut_off)
        with pytest.raises(asyncio.CancelledError):
            await studio.take(one=picture(1))
    await studio.uploads.tidy()
    await studio.work()
    assert len(studio.stored()) == 1


async def test_an_upload_and_its_job_are_read_at_one_moment(studio, monkeypatch):
    job = await studio.take(a=picture(1))
    get, working = TrainingUploads.get, []

    async def settled_meanwhile(rows, job_id):
        row = await get(rows, job_id)
        working.append(asyncio.create_task(studio.work()))
        await asyncio.wait(working, timeout=0.3)  # it cannot settle before both are read
        return row

    with monkeypatch.context() as patch:
        patch.setattr(TrainingUploads, "get", settled_meanwhile)
        upload = await studio.uploads.upload(job.id)
    await working[0]
    assert (upload.job.state, upload.intake) == (JobState.QUEUED, None)
    assert (await studio.uploads.upload(job.id)).intake is not None


# What is kept of the files


async def test_bytes_wait_under_a_name_of_ours_for_our_eyes_only(studio):
    job = await studio.uploads.take(
        "Butcher", [offered("../../x\u202egnp.\nexe" + "n" * 300, picture(1))], "Margot"
    )
    (file,) = studio.arrived()
    (fact,) = json.loads(job.facts)["uploads"]["files"]
    assert fact["path"] == f"training/incoming/{file.name}"
    assert (len(file.name), file.stat().st_mode & 0o777) == (32, 0o600)
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.read_bytes() == picture(1)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("sofa.png", "sofa.png"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("a\nb\r\n\tc.png", "a b c.png"),
        ("\u200b\u2066", "file 3"),
        ("n" * 300 + ".jpeg", "n" * 29 + "…" + "n" * 25 + ".jpeg"),
    ],
)
def test_a_name_is_shown_as_typed_in_one_short_line(typed, shown):
    assert shown_name(typed, 3) == shown


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_files_of_a_job_that_came_to_nothing_are_removed(studio, how):
    job = await studio.take(a=picture(1), b=picture(2))
    assert len(studio.arrived()) == 2
    if how == "cancelled":
        await studio.engine.cancel(job.id)
    else:
        studio.arrived()[0].unlink()
        await studio.work()
    assert (await studio.jobs.get(job.id)).state == how
    assert studio.arrived() == []


async def test_leftovers_are_removed_at_start_and_what_is_needed_stays(studio):
    await studio.taken(a=picture(1))
    job = await studio.uploads.take("Nutsy", sent(b=picture(2)), "Margot")
    kept, training = studio.stored(), studio.folder.path / "training"
    (training / "incoming" / ("0" * 32)).write_bytes(b"left by a crash")
    (training / "butcher" / ("0" * 64 + ".png")).write_bytes(b"of a job that was killed")
    (training / "butcher" / ("." + "0" * 64 + ".png.17.part")).write_bytes(b"half of one")
    (training / "butcher" / "my own.png").write_bytes(b"put there by hand")

    await studio.uploads.tidy()

    assert studio.stored() == kept | {"my own.png"}
    assert [f"training/incoming/{file.name}" for file in studio.arrived()] == [
        file["path"] for file in json.loads(job.facts)["uploads"]["files"]
    ]


async def test_pictures_of_an_upload_under_way_are_no_leftovers(studio):
    await studio.take(a=picture(1))
    written = studio.folder.path / "training" / "butcher" / ("0" * 64 + ".png")
    written.parent.mkdir()
    written.write_bytes(b"stored by the worker, not settled yet")
    await studio.uploads.tidy()
    assert written.exists()


async def test_files_that_are_arriving_are_no_leftovers(studio):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly():
        yield picture(1)[:100]
        begun.set()
        await go_on.wait()
        yield picture(1)[100:]

    taking = asyncio.create_task(
        studio.uploads.take("Butcher", [IncomingFile("a.png", 100, slowly())], "Margot")
    )
    await begun.wait()
    await studio.uploads.tidy()
    go_on.set()
    job = await taking
    await studio.work()
    assert len((await studio.uploads.upload(job.id)).intake.taken) == 1


# What is refused before anything is looked at


async def test_a_file_that_is_declared_too_large_is_not_downloaded(studio):
    async def read():
        raise AssertionError("it was downloaded")

    job = await studio.uploads.take(
        "Butcher", [IncomingFile("big.png", LIMIT + 1, read), offered("a.png", picture(1))], "Ann"
    )
    await studio.work()
    intake = (await studio.uploads.upload(job.id)).intake
    assert [(p.number, p.reason) for p in intake.refused] == [
        (1, "big.png is larger than 20 MB; send a smaller copy.")
    ]
    assert [p.number for p in intake.taken] == [2]


async def test_a_file_that_is_larger_than_declared_is_cut_off_and_forgotten(studio, monkeypatch):
    monkeypatch.setattr(incoming, "LARGEST_FILE", 1024**2)
    given = []

    async def endless():
        while True:
            given.append(1)
            yield bytes(256 * 1024)

    with pytest.raises(UserError, match=r"a\.png is larger than 1 MB; send a smaller copy\."):
        await studio.uploads.take("Butcher", [IncomingFile("a.png", 5, endless())], "Margot")
    assert len(given) == 5
    assert studio.arrived() == []
    assert await studio.jobs.open() == []


async def test_a_download_that_breaks_keeps_nothing(studio):
    async def broken():
        yield b"half"
        raise ConnectionError("gone")

    files = [*sent(a=picture(1)), IncomingFile("b.png", 9, broken())]
    with pytest.raises(ConnectionError):
        await studio.uploads.take("Butcher", files, "Margot")
    assert studio.arrived() == []
    assert await studio.jobs.open() == []


@pytest.mark.parametrize(
    ("character", "count", "words"),
    [
        ("Pierre", 1, "no character 'Pierre'"),
        ("../..", 1, "no character"),
        ("Butcher", 0, "at least one picture of Butcher"),
        ("Butcher", 11, "at most 10 pictures at once, not 11"),
    ],
)
async def test_what_cannot_be_an_upload_is_a_sentence(studio, character, count, words):
    with pytest.raises(UserError, match=words):
        await studio.uploads.take(character, [offered("a.png", b"a")] * count, "Margot")
    assert studio.arrived() == []


async def test_a_character_has_sixty_pictures_at_most_those_on_their_way_included(studio):
    for digit in range(MOST_PICTURES - 3):
        await studio.images.add(row(digit), now=NOW)
    await studio.take(a=picture(1), b=picture(2))
    with pytest.raises(UserError, match="has 59, so there is room for 1 more"):
        await studio.take(c=picture(3), d=picture(4))
    await studio.take(c=picture(3))
    with pytest.raises(UserError, match="has 60, so there is no room for more"):
        await studio.take(d=picture(4))


async def test_two_uploads_that_arrive_at_once_do_not_pass_the_limit_together(studio):
    for digit in range(MOST_PICTURES - 1):
        await studio.images.add(row(digit), now=NOW)
    both = await asyncio.gather(
        studio.take(a=picture(1)), studio.take(b=picture(2)), return_exceptions=True
    )
    assert sorted(type(end) is Job for end in both) == [False, True]
    assert len(studio.arrived()) == 1


# Removing


@pytest.mark.parametrize("which", ["2", 2, " 2 ", "sha", "SHA"])
async def test_a_picture_is_removed_by_its_number_or_its_hash(studio, which):
    await studio.taken(a=picture(1), b=picture(2))
    kept, gone = await studio.uploads.of("Butcher")
    name = {"sha": gone.sha256[:6], "SHA": gone.sha256[:6].upper()}.get(which, which)
    assert await studio.uploads.remove("butcher", name, "Margot") == gone
    assert await studio.uploads.of("Butcher") == [kept]
    assert studio.stored() == {f"{kept.sha256}.png"}


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("0", "there is no number 0"),
        ("3", "has 2 pictures; there is no number 3"),
        ("ffff", "No picture of Butcher begins with ffff"),
        ("0000", "2 pictures of Butcher begin with 0000"),
        ("abc", "by its number or by the first 4 or more digits"),
        ("../../x", "by its number or by the first 4 or more digits"),
        ("²", "by its number or by the first 4 or more digits"),
    ],
)
async def test_what_names_no_single_picture_is_a_sentence(studio, which, words):
    for digit in (1, 2):
        await studio.images.add(row(digit), now=NOW)
    with pytest.raises(UserError, match=words):
        await studio.uploads.remove("Butcher", which, "Margot")
    assert len(await studio.uploads.of("Butcher")) == 2


async def test_nothing_is_removed_while_new_pictures_are_looked_at(studio):
    await studio.images.add(row(1), now=NOW)
    await studio.take(a=picture(1))
    with pytest.raises(UserError, match="are being looked at"):
        await studio.uploads.remove("Butcher", 1, "Margot")


async def test_a_removed_picture_may_be_sent_again(studio):
    await studio.taken(a=picture(1))
    await studio.uploads.remove("Butcher", 1, "Margot")
    job = await studio.take(a=picture(1))
    await studio.engine.finished()
    assert len((await studio.uploads.upload(job.id)).intake.taken) == len(studio.stored()) == 1
