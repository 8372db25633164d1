"""What a model drew: on a board first, in the library after a yes, and only while it is in use."""

import json

import pytest

from pipeline.errors import UserError
from pipeline.facts import Gaps
from pipeline.sections import Drawing, Drawings, Emotion, Images, Video
from pipeline.services.pictures import PictureBoards
from pipeline.shows import load_show
from storage.images import Images as ImageRows
from storage.pitches import BoardState
from storage.promotions import Promotions
from storage.states import JobState
from storage.training_images import NewTrainingImage, TrainingImages
from storage.training_runs import TrainingRuns

ALL = tuple(Emotion)


class Studio:
    """The service, and what happens around it."""

    def __init__(self, desk):
        self.desk = desk
        self.boards = PictureBoards(
            db=desk.db,
            folder=desk.folder,
            engine=desk.engine,
            show=load_show("butcher_and_nutsy"),
            clock=desk.clock,
        )
        self.promotions = Promotions(desk.db)
        self.images = ImageRows(desk.db)

    async def promote(self, character="Nutsy", step=100, *, path=None):
        runs = TrainingRuns(self.desk.db)
        names = {run.name: run for run in await runs.newest(limit=50)}
        name = f"{character.lower()}-1"
        run = names.get(name) or await runs.create(
            character=character,
            name=name,
            base="tiny",
            steps=800,
            note="",
            requested_by="Margot",
            now=self.desk.now,
        )
        return await self.promotions.add(
            character=character,
            run_id=run.id,
            step=step,
            path=path or f"models/{name}/promoted-{step}",
            sha256=f"{step:064}",
            who="Margot",
            now=self.desk.now,
        )

    async def gaps(self, board):
        job = await self.desk.jobs.get(board.job_id)
        return Gaps.model_validate(json.loads(job.facts)["gaps"])

    async def drawn(self, board):
        """End the job of a board as the engine would, with a picture per gap."""
        gaps = await self.gaps(board)
        drawings = []
        for emotion in gaps.emotions:
            path = f"library/nutsy/{emotion}/{board.id:064}.png"
            file = self.desk.folder.path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"picture")
            drawings.append(
                Drawing(
                    emotion=emotion,
                    path=path,
                    sha256=f"{board.id:064}",
                    width=512,
                    height=768,
                    score=0.5,
                )
            )
        sheet = self.desk.folder.path / f"library/boards/{board.id}.png"
        sheet.parent.mkdir(exist_ok=True)
        sheet.write_bytes(b"sheet")
        made = Drawings(
            board=board.id, drawings=tuple(drawings), sheet=f"library/boards/{board.id}.png"
        )
        await self.end(board, made)
        return await self.boards.shown(board.id)

    async def end(self, board, result=None, *, error="", state=JobState.FAILED):
        await self.desk.jobs.claim_due(self.desk.now, ("drawings",), 99)
        async with self.desk.db.transaction():
            job = await self.desk.jobs.finish(
                board.job_id,
                JobState.SUCCEEDED if result else state,
                error=error,
                now=self.desk.now,
            )
            if result is not None:
                await self.desk.bookkeeping.settled(job, "drawings", result)
        await self.boards.advance()

    async def library(self):
        """(emotion, promotion) of the drawings that the images stage may show."""
        facts = await self.desk.bookkeeping.facts(None, "images")
        return [p.emotion for p in facts["library"].pictures if p.source == "model"]

    def sheets(self):
        return [path.name for path in (self.desk.folder.path / "library/boards").iterdir()]

    def files(self):
        root = self.desk.folder.path / "library/nutsy"
        return sorted(path.parent.name for path in root.rglob("*.png"))


@pytest.fixture
async def studio(desk):
    return Studio(desk)


@pytest.fixture
async def judged(studio):
    """A promoted model whose drawings were all taken."""
    promotion = await studio.promote()
    board = await studio.boards.fill_gaps(promotion)
    await studio.drawn(board)
    await studio.boards.decide(board.id, range(1, 9), "Margot")
    return promotion


async def test_a_promotion_has_every_emotion_drawn_with_its_model(studio, desk):
    image = NewTrainingImage(
        character="Nutsy",
        sha256="a" * 64,
        source_sha256="b" * 64,
        path="training/nutsy/1.png",
        width=600,
        height=600,
        average_hash="0" * 16,
        sharpness=9.0,
        remarks=(),
        uploaded_by="Margot",
    )
    await TrainingImages(desk.db).add(image, now=desk.now)
    promotion = await studio.promote()

    board = await studio.boards.fill_gaps(promotion)

    gaps = await studio.gaps(board)
    assert (gaps.board, gaps.emotions) == (board.id, ALL)
    assert gaps.model.path == "models/nutsy-1/promoted-100"
    assert gaps.model.pictures == ("training/nutsy/1.png",)
    assert board.state is BoardState.MAKING


async def test_a_promotion_has_one_board_at_a_time(studio, desk):
    promotion = await studio.promote()
    first = await studio.boards.fill_gaps(promotion)

    assert await studio.boards.fill_gaps(promotion) == first
    await studio.boards.advance()
    shown = await studio.drawn(first)
    assert await studio.boards.fill_gaps(promotion) == shown.board
    assert len([job for job in await desk.jobs.open() if job.stage == "drawings"]) == 0


async def test_a_promotion_whose_bot_died_gets_its_board_later(studio):
    await studio.promote()

    await studio.boards.advance()
    await studio.boards.advance()

    (job,) = await studio.desk.jobs.open()
    assert job.stage == "drawings"


async def test_nothing_is_in_the_library_before_somebody_has_said_so(studio):
    board = await studio.boards.fill_gaps(await studio.promote())

    shown = await studio.drawn(board)

    assert shown.board.state is BoardState.OPEN
    assert [(p.number, p.emotion) for p in shown.pictures] == list(enumerate(ALL, 1))
    assert await studio.library() == []
    assert await studio.images.for_characters(["Nutsy"]) == []


async def test_what_was_approved_is_in_the_library_and_the_rest_is_gone(studio):
    promotion = await studio.promote()
    board = await studio.boards.fill_gaps(promotion)
    await studio.drawn(board)

    assert await studio.boards.decide(board.id, {1, 3}, "Margot")

    rows = await studio.images.for_characters(["Nutsy"])
    assert {(row.emotion, row.source, row.promotion_id) for row in rows} == {
        ("happy", "model", promotion.id),
        ("excited", "model", promotion.id),
    }
    assert studio.files() == ["excited", "happy"]
    ended = (await studio.boards.shown(board.id)).board
    assert (ended.state, ended.ended) == (BoardState.CLOSED, "2 of 8 taken by Margot")


async def test_taking_none_leaves_nothing(studio):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)

    await studio.boards.decide(board.id, (), "Margot")

    assert await studio.images.for_characters(["Nutsy"]) == []
    assert studio.files() == []
    (told,) = await studio.boards.untold()
    assert told.ended == "None taken by Margot"


async def test_the_second_judgement_changes_nothing(studio):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)
    await studio.boards.decide(board.id, (), "Margot")

    assert not await studio.boards.decide(board.id, range(1, 9), "Pascal")
    assert await studio.boards.again(board.id, "Pascal") is None
    assert await studio.library() == []


async def test_a_board_in_the_making_cannot_be_judged(studio):
    board = await studio.boards.fill_gaps(await studio.promote())

    assert not await studio.boards.decide(board.id, range(1, 9), "Margot")
    assert (await studio.boards.shown(board.id)).board.state is BoardState.MAKING


async def test_a_number_that_is_not_there_is_nothing(studio):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)

    await studio.boards.decide(board.id, {0, 9, 77, 2}, "Margot")

    assert await studio.library() == [Emotion.SAD]


async def test_a_bot_that_dies_while_it_takes_pictures_has_taken_none(studio, desk, monkeypatch):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)

    async def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("storage.picture_boards.PictureBoards.end", die)
    with pytest.raises(KeyboardInterrupt):
        await studio.boards.decide(board.id, range(1, 9), "Margot")

    assert await studio.library() == []
    assert (await studio.boards.shown(board.id)).board.state is BoardState.OPEN
    assert len(studio.files()) == 8


async def test_others_are_drawn_with_other_seeds(studio):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)

    new = await studio.boards.again(board.id, "Margot")

    assert (await studio.gaps(new)).board == new.id != board.id
    assert (await studio.gaps(new)).emotions == ALL
    assert studio.files() == []
    (told,) = await studio.boards.untold()
    assert told.ended == "Others were asked for by Margot, and are being drawn"


@pytest.mark.parametrize("how", ["taken back", "replaced"])
async def test_no_others_are_drawn_with_a_model_that_is_not_in_use(studio, how):
    promotion = await studio.promote()
    board = await studio.boards.fill_gaps(promotion)
    await studio.drawn(board)
    if how == "replaced":
        await studio.promote(step=200)
    else:
        await studio.promotions.end(promotion.id, who="Margot", now=studio.desk.now)

    assert await studio.boards.again(board.id, "Margot") is None

    (told,) = await studio.boards.untold()
    assert told.ended.endswith("by Margot, and would be of a model that is not in use")
    assert await studio.desk.jobs.open() == []


@pytest.mark.parametrize(
    "end",
    [
        lambda boards, board: boards.decide(board, (), "Margot"),
        lambda boards, board: boards.again(board, "Margot"),
        lambda boards, board: boards.gone(board),
        lambda boards, board: boards.lost(board),
    ],
    ids=["decide", "again", "gone", "lost"],
)
async def test_a_board_that_has_ended_leaves_no_files(studio, end):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)
    assert (len(studio.files()), studio.sheets()) == (8, ["1.png"])

    await end(studio.boards, board.id)

    assert (studio.files(), studio.sheets()) == ([], [])


async def test_only_what_is_missing_is_drawn_again(studio):
    promotion = await studio.promote()
    board = await studio.boards.fill_gaps(promotion)
    await studio.drawn(board)
    await studio.boards.decide(board.id, range(1, 7), "Margot")

    await studio.boards.advance()
    assert await studio.desk.jobs.open() == []  # nobody has asked for more

    new = await studio.boards.draw("nutsy")
    assert (await studio.gaps(new)).emotions == (Emotion.SURPRISED, Emotion.NEUTRAL)


async def test_a_full_library_needs_no_drawing(studio, judged):
    assert await studio.boards.fill_gaps(judged) is None
    with pytest.raises(UserError, match="has a picture for every emotion"):
        await studio.boards.draw("Nutsy")


async def test_without_a_model_drawing_is_a_sentence(studio):
    with pytest.raises(UserError, match="Butcher has no model in use; `/train promote` chooses"):
        await studio.boards.draw("butcher")


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        (JobState.FAILED, "Its model is damaged.", "Its model is damaged."),
        (JobState.CANCELLED, "", "Somebody has stopped the job."),
    ],
)
async def test_a_job_that_fails_fails_its_board(studio, state, error, said):
    board = await studio.boards.fill_gaps(await studio.promote())

    await studio.end(board, error=error, state=state)

    (failed,) = await studio.boards.untold()
    assert (failed.state, failed.ended) == (BoardState.FAILED, said)
    assert await studio.desk.jobs.open() == []


async def test_a_message_that_was_deleted_approves_nothing(studio):
    board = await studio.boards.fill_gaps(await studio.promote())
    await studio.drawn(board)
    await studio.boards.posted(board.id, channel_id=1, message_id=2)

    await studio.boards.gone(board.id)

    assert await studio.library() == []
    assert studio.files() == []
    assert await studio.boards.untold() == []


async def test_a_model_taken_back_takes_its_pictures_along_until_it_returns(studio, judged):
    assert await studio.library() == sorted(ALL, key=lambda emotion: emotion.value)
    other = await studio.promote(step=200)
    assert await studio.library() == []

    await studio.promotions.end(other.id, who="Margot", now=studio.desk.now)
    assert len(await studio.library()) == 8

    await studio.promotions.end(judged.id, who="Margot", now=studio.desk.now)
    assert await studio.library() == []


async def test_a_model_promoted_anew_has_its_pictures_already(studio, judged):
    await studio.promotions.end(judged.id, who="Margot", now=studio.desk.now)

    again = await studio.promote()

    assert again.id != judged.id
    assert len(await studio.library()) == 8
    assert await studio.boards.fill_gaps(again) is None


async def test_models_in_use_are_a_fact_for_the_images(studio, judged):
    facts = await studio.desk.bookkeeping.facts(None, "images")

    (model,) = facts["models"].models
    assert (model.promotion_id, model.character) == (judged.id, "Nutsy")
    assert model.sha256 == judged.sha256


async def test_a_drawing_is_counted_when_a_reel_shows_it(studio, judged, desk):
    episode = await desk.finished()
    first, second, *_ = await studio.images.drawn_by(judged.id)
    section = await desk.rows.section(episode.id, 1, "video")
    seen = Video.model_validate_json(section).model_copy(update={"drawn": (first.id,)})
    job = await desk.engine.queue("video", episode_id=episode.id, revision=1)

    await desk.bookkeeping.settled(job, "images", Images(episode=1, selections=()))
    await desk.bookkeeping.settled(job, "video", seen)

    used = {row.id: row.usage_count for row in await studio.images.drawn_by(judged.id)}
    assert (used[first.id], used[second.id]) == (1, 0)
