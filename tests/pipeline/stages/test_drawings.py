"""The library's gaps, filled: the best candidate per emotion, and a sheet for people to judge."""

import hashlib

import pytest
import standins.painter
from PIL import Image
from standins.painter import promoted_model

from pipeline.config import ImagesConfig
from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import ProviderError, StageCancelled, UserError
from pipeline.facts import Gaps
from pipeline.providers.images import diffusion
from pipeline.sections import Emotion
from pipeline.shows import load_show
from pipeline.stages import drawings
from training.errors import TrainingError

ALL = tuple(Emotion)


@pytest.fixture
def painters(monkeypatch):
    with standins.painter.painters(monkeypatch) as ours:
        yield ours


@pytest.fixture
def ctx(tmp_path) -> StageContext:
    folder = tmp_path / "attempt"
    folder.mkdir()
    return StageContext(
        episode=0,
        revision=0,
        folder=folder,
        revision_folder=folder,
        data_dir=tmp_path,
        show=load_show("butcher_and_nutsy"),
        config=ImagesConfig(candidates=3, steps=5, guidance=6.0),
    )


@pytest.fixture
def gaps(ctx):
    model = promoted_model(ctx.data_dir, "Nutsy")

    def made(*emotions, board=1, pictures=()):
        own = model.model_copy(update={"pictures": pictures})
        return Gaps(board=board, model=own, emotions=emotions)

    return made


def learned(ctx, colour):
    """A picture that the character was trained with."""
    path = ctx.data_dir / "training/nutsy/1.png"
    path.parent.mkdir(parents=True)
    image = Image.new("RGB", (64, 96), (200, 220, 240))
    image.paste(colour, (16, 16, 48, 60))
    image.save(path)
    return (path.relative_to(ctx.data_dir).as_posix(),)


def test_each_emotion_gets_one_picture_under_the_hash_of_what_is_in_it(ctx, gaps, painters):
    made = drawings.run(gaps(*ALL), ctx=ctx)

    assert [drawing.emotion for drawing in made.drawings] == list(ALL)
    for drawing in made.drawings:
        data = (ctx.data_dir / drawing.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == drawing.sha256
        assert drawing.path == f"library/nutsy/{drawing.emotion}/{drawing.sha256}.png"
        with Image.open(ctx.data_dir / drawing.path) as image:
            assert image.size == (drawing.width, drawing.height) == (64, 96)
    assert painters.opened == ["promoted-100"]
    assert painters.closed == 1


def test_a_model_is_asked_for_portraits_in_its_own_words(ctx, gaps, painters):
    drawings.run(gaps(Emotion.SAD), ctx=ctx)

    assert len(painters.asked) == 3
    for asked in painters.asked:
        assert asked.prompt.startswith(f"{standins.painter.INSTANCE_PROMPT}, sad face")
        assert (asked.width, asked.height, asked.steps, asked.guidance) == (64, 96, 5, 6.0)
        assert "cartoon" not in asked.negative
        assert "side" not in asked.negative


@pytest.mark.parametrize(
    ("resolution", "size"), [(512, (512, 768)), (768, (768, 1152)), (64, (64, 96)), (40, (40, 64))]
)
def test_portraits_are_as_wide_as_the_model_has_learned(resolution, size):
    assert diffusion.portrait_size(resolution) == size
    assert not any(side % 8 for side in size)


def test_the_candidate_nearest_to_what_was_learned_is_kept(ctx, gaps, painters):
    seeds = [diffusion.seed_of(1, 1, Emotion.HAPPY, n) for n in range(3)]
    wanted = tuple(hashlib.sha256(str(seeds[2]).encode()).digest()[:3])

    made = drawings.run(gaps(Emotion.HAPPY, pictures=learned(ctx, wanted)), ctx=ctx)

    assert [asked.seed for asked in painters.asked] == seeds
    (drawing,) = made.drawings
    with Image.open(ctx.data_dir / drawing.path) as image:
        assert image.getpixel((32, 38)) == wanted
    assert 0 < drawing.score <= 1


def test_a_second_attempt_draws_the_same_and_another_board_does_not(ctx, gaps, painters):
    first = drawings.run(gaps(Emotion.SAD), ctx=ctx)
    again = drawings.run(gaps(Emotion.SAD), ctx=ctx)
    other = drawings.run(gaps(Emotion.SAD, board=2), ctx=ctx)

    assert first == again
    assert first.drawings[0].sha256 != other.drawings[0].sha256


def test_the_sheet_shows_every_picture_and_is_small_enough_for_a_message(ctx, gaps, painters):
    made = drawings.run(gaps(*ALL), ctx=ctx)

    path = ctx.data_dir / made.sheet
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > image.height
        assert image.width >= 4 * 360
    assert path.stat().st_size < 4_000_000


def test_blank_candidates_are_passed_over(ctx, gaps, painters):
    blank = [diffusion.seed_of(1, 1, Emotion.HAPPY, n) for n in (0, 2)]
    painters.blank = frozenset(blank)

    (drawing,) = drawings.run(gaps(Emotion.HAPPY), ctx=ctx).drawings

    with Image.open(ctx.data_dir / drawing.path) as image:
        assert image.getpixel((0, 0)) == (200, 220, 240)


def test_a_model_that_draws_nothing_fails_with_a_sentence(ctx, gaps, painters):
    painters.all_blank = True

    with pytest.raises(ProviderError, match="the model of Nutsy draws blank pictures"):
        drawings.run(gaps(Emotion.HAPPY), ctx=ctx)

    assert not (ctx.data_dir / "library").exists()


def test_what_is_drawn_when_time_runs_out_is_shown(ctx, gaps, painters, monkeypatch):
    monkeypatch.setattr(drawings, "MOST_S", -1.0)

    made = drawings.run(gaps(*ALL), ctx=ctx)

    assert len(made.drawings) == 1
    assert len(painters.asked) == 1


def test_cancelling_stops_before_the_next_candidate(ctx, gaps, painters):
    (ctx.folder / CANCEL_FILE).touch()

    with pytest.raises(StageCancelled):
        drawings.run(gaps(*ALL), ctx=ctx)

    assert painters.asked == []
    assert painters.closed == 1


def test_without_pytorch_it_says_how_to_get_it(ctx, gaps, painters):
    painters.error = ImportError("No module named 'torch'")

    with pytest.raises(UserError, match=r"`\./run install training`"):
        drawings.run(gaps(Emotion.HAPPY), ctx=ctx)


def test_a_gpu_without_room_is_a_sentence(ctx, gaps, painters):
    painters.trouble = TrainingError("The GPU has no room to draw 64x96; end what else uses it.")

    with pytest.raises(UserError, match="no room to draw 64x96"):
        drawings.run(gaps(Emotion.HAPPY), ctx=ctx)

    assert painters.closed == 1


def test_weights_that_were_changed_are_not_loaded(ctx, gaps, painters):
    asked = gaps(Emotion.HAPPY)
    (ctx.data_dir / asked.model.path / "pytorch_lora_weights.safetensors").write_bytes(b"other")

    with pytest.raises(UserError, match="is damaged; promote the checkpoint again"):
        drawings.run(asked, ctx=ctx)

    assert painters.opened == []


def test_a_training_picture_that_cannot_be_read_is_passed_over(ctx, gaps, painters):
    pictures = learned(ctx, (1, 2, 3))
    (ctx.data_dir / pictures[0]).write_bytes(b"no picture")

    (drawing,) = drawings.run(gaps(Emotion.HAPPY, pictures=pictures), ctx=ctx).drawings

    assert drawing.score == 0
