import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import standins.painter
from PIL import Image
from standins.painter import INSTANCE_PROMPT, promoted_model

from pipeline.config import ImagesConfig
from pipeline.context import CANCEL_FILE, PROGRESS_FILE, StageContext
from pipeline.errors import StageCancelled, UserError
from pipeline.facts import Library, Models, Picture
from pipeline.providers.images import diffusion
from pipeline.providers.images.library import FALLBACKS, LibraryPictures, chain
from pipeline.sections import Emotion, Images, Line, Script, ScriptMetadata
from pipeline.shows import Character, Show, VoiceStyle
from pipeline.stages import images
from training.errors import TrainingError

HAPPY, EXCITED, SURPRISED, NEUTRAL = (
    Emotion.HAPPY,
    Emotion.EXCITED,
    Emotion.SURPRISED,
    Emotion.NEUTRAL,
)


def character(name: str, role: str) -> Character:
    return Character(
        name=name,
        role=role,
        species="cat",
        persona="Naps.",
        colour="#22aa44",
        rig="rig.svg",
        voice=VoiceStyle(blend={"af_nova": 1}),
    )


@pytest.fixture
def ctx(tmp_path) -> StageContext:
    (tmp_path / "rig.svg").write_text("<svg/>")
    folder = tmp_path / "attempt"
    folder.mkdir()
    show = Show(
        name="tiny",
        title="Tiny",
        premise="Two cats.",
        characters=(character("Rex", "dry"), character("Mia", "wild")),
        backgrounds={"rig.svg": ("default",)},
        folder=tmp_path,
    )
    return StageContext(
        episode=7,
        revision=1,
        folder=folder,
        revision_folder=folder,
        data_dir=tmp_path,
        show=show,
        config=ImagesConfig(),
    )


def line(index: int, character: str = "Rex", emotion: Emotion = HAPPY) -> Line:
    return Line(index=index, character=character, text="Hm.", emotion=emotion)


def picture(number: int, character="Rex", emotion=HAPPY, used=0, day=None) -> Picture:
    return Picture(
        image_id=number,
        character=character,
        emotion=emotion,
        path=f"library/{number}.png",
        sha256=hashlib.sha256(b"%d" % number).hexdigest(),
        usage_count=used,
        last_used_at=day and datetime(2026, 1, day, tzinfo=UTC),
    )


def on_disk(ctx: StageContext, *pictures: Picture) -> Library:
    (ctx.data_dir / "library").mkdir(exist_ok=True)
    for one in pictures:
        (ctx.data_dir / one.path).write_bytes(b"%d" % one.image_id)
    return Library(pictures=pictures)


def chosen(lines: list[Line], *pictures: Picture) -> list[int]:
    return [s.image_id for s in LibraryPictures().choose(lines, Library(pictures=pictures))]


def test_the_least_used_picture_is_shown():
    assert chosen([line(1)], picture(1, used=3), picture(2, used=1), picture(3, used=2)) == [2]


def test_of_equally_used_pictures_the_one_longest_unseen_is_shown():
    assert chosen([line(1)], picture(1, used=1, day=9), picture(2, used=1, day=2)) == [2]


def test_a_picture_never_shown_comes_before_one_that_was():
    assert chosen([line(1)], picture(1, day=2), picture(2)) == [2]


def test_equal_pictures_are_taken_in_the_order_of_their_ids():
    assert chosen([line(1)], picture(5), picture(3), picture(4)) == [3]


def test_uses_within_the_episode_count():
    lines = [line(n) for n in range(1, 7)]

    assert chosen(lines, picture(1), picture(2), picture(3)) == [1, 2, 3, 1, 2, 3]


def test_a_character_never_shows_one_picture_twice_in_a_row_when_there_is_a_choice():
    lines = [line(n) for n in range(1, 6)]

    assert chosen(lines, picture(1), picture(2, used=100)) == [1, 2, 1, 2, 1]


def test_in_a_row_means_the_lines_of_that_character():
    lines = [line(1), line(2, "Mia"), line(3)]

    assert chosen(lines, picture(1), picture(2, used=9), picture(3, "Mia")) == [1, 3, 2]


def test_the_only_picture_is_shown_again():
    assert chosen([line(1), line(2)], picture(1)) == [1, 1]


def test_letter_case_of_a_character_does_not_matter():
    assert chosen([line(1, "REX"), line(2, "rex")], picture(1, "rEx")) == [1, 1]


@pytest.mark.parametrize(
    ("there", "shown"),
    [
        ((HAPPY, SURPRISED, NEUTRAL), HAPPY),
        ((SURPRISED, NEUTRAL), SURPRISED),
        ((NEUTRAL, Emotion.SAD), NEUTRAL),
        ((Emotion.SAD, Emotion.ANGRY), Emotion.SAD),
    ],
)
def test_a_missing_emotion_falls_back_along_its_chain(there, shown):
    shelf = tuple(picture(n, emotion=emotion) for n, emotion in enumerate(there, 1))

    [selection] = LibraryPictures().choose([line(1, emotion=EXCITED)], Library(pictures=shelf))

    assert selection.emotion == shown
    assert selection.fallback_from == EXCITED


@pytest.mark.parametrize("emotion", Emotion)
def test_every_chain_reaches_every_emotion_once_and_begins_with_its_own(emotion):
    steps = list(chain(emotion))

    assert steps[0] == emotion
    assert sorted(steps) == sorted(Emotion)
    assert emotion not in FALLBACKS[emotion]


def test_a_character_without_pictures_is_a_sentence():
    with pytest.raises(UserError, match="no usable picture of Mia"):
        chosen([line(1), line(2, "Mia")], picture(1))


def test_there_is_one_selection_per_line_and_it_is_written_down(ctx):
    library = on_disk(ctx, picture(1), picture(2, "mia", EXCITED))
    script = Script(lines=(line(1), line(2, "Mia", EXCITED), line(3)))

    made = images.run(script, library, Models(), ctx=ctx)

    assert [s.line_index for s in made.selections] == [1, 2, 3]
    assert made.episode == 7
    assert made.missing == ()
    assert made.stats["images_missing"] == 0
    written = (ctx.folder / "image_selections.json").read_text(encoding="utf-8")
    assert Images.model_validate_json(written) == made
    assert json.loads(written)["selections"][0]["image_path"] == "library/1.png"


def test_missing_pairs_are_listed_once(ctx):
    library = on_disk(ctx, picture(1))
    script = Script(lines=(line(1, emotion=EXCITED), line(2, emotion=EXCITED)))

    made = images.run(script, library, Models(), ctx=ctx)

    assert made.missing == ({"character": "Rex", "emotion": "excited"},)
    assert made.stats["images_missing"] == 2


def test_selections_carry_the_name_as_the_show_spells_it(ctx):
    made = images.run(
        Script(lines=(line(1, "rEX"),)), on_disk(ctx, picture(1, "rex")), Models(), ctx=ctx
    )

    assert made.selections[0].character == "Rex"


def test_a_picture_whose_file_is_gone_is_passed_over_and_kept_in_the_library(ctx):
    library = on_disk(ctx, picture(1), picture(2, used=5))
    (ctx.data_dir / "library/1.png").unlink()

    made = images.run(Script(lines=(line(1),)), library, Models(), ctx=ctx)

    assert made.selections[0].image_id == 2
    assert made.stats["pictures_passed_over"] == 1
    assert len(library.pictures) == 2


def test_a_picture_that_changed_on_disk_is_passed_over_and_not_deleted(ctx):
    library = on_disk(ctx, picture(1), picture(2, used=5))
    (ctx.data_dir / "library/1.png").write_bytes(b"other")

    made = images.run(Script(lines=(line(1),)), library, Models(), ctx=ctx)

    assert made.selections[0].image_id == 2
    assert (ctx.data_dir / "library/1.png").read_bytes() == b"other"


def test_when_no_file_is_left_nothing_is_written(ctx):
    library = on_disk(ctx, picture(1))
    (ctx.data_dir / "library/1.png").unlink()

    with pytest.raises(UserError, match="no usable picture of Rex"):
        images.run(Script(lines=(line(1),)), library, Models(), ctx=ctx)

    assert not (ctx.folder / "image_selections.json").exists()


def test_a_stranger_in_the_script_is_a_sentence(ctx):
    with pytest.raises(UserError, match="no character 'Bob'"):
        images.run(Script(lines=(line(1, "Bob"),)), on_disk(ctx, picture(1)), Models(), ctx=ctx)


LONG = "I have read about this for at least an hour, you know."


def dialogue() -> Script:
    """Rex is angry, Mia is sad at length, Rex is happy."""
    lines = [
        Line(index=n, character=who, text=LONG if n == 2 else "Hm.", emotion=emotion)
        for n, (who, emotion) in enumerate(
            (("Rex", Emotion.ANGRY), ("Mia", Emotion.SAD), ("Rex", HAPPY)), 1
        )
    ]
    return Script(lines=tuple(lines), metadata=ScriptMetadata(family="food", trends=("Soup",)))


def shelves(ctx: StageContext, *drawn: tuple[int, str, Emotion]) -> Library:
    """A rig's picture of each, and what a model drew."""
    rigs = [picture(1, "Rex"), picture(2, "Mia")]
    drawings = [
        picture(n, who, emotion).model_copy(update={"source": "model"}) for n, who, emotion in drawn
    ]
    return on_disk(ctx, *rigs, *drawings)


@pytest.fixture
def painters(monkeypatch):
    with standins.painter.painters(monkeypatch) as ours:
        yield ours


@pytest.fixture
def drawing_ctx(ctx) -> StageContext:
    config = ImagesConfig(provider="diffusion", candidates=3, steps=7)
    return replace(ctx, config=config, revision_folder=ctx.data_dir / "episodes/7/v1")


def test_what_a_model_drew_never_speaks_a_line(ctx):
    library = shelves(ctx, (8, "Rex", HAPPY), (9, "Rex", Emotion.ANGRY))

    made = images.run(dialogue(), library, Models(), ctx=ctx)

    assert [s.image_id for s in made.selections] == [1, 2, 1]


def test_with_nothing_but_drawings_nobody_can_speak(ctx):
    library = on_disk(ctx, picture(1).model_copy(update={"source": "model"}))

    with pytest.raises(UserError, match="no usable picture of Rex"):
        images.run(Script(lines=(line(1),)), library, Models(), ctx=ctx)


def test_drawings_of_the_library_are_cutaways_and_the_cover(ctx):
    library = shelves(ctx, (7, "Rex", Emotion.ANGRY), (8, "Rex", HAPPY), (9, "Mia", Emotion.SAD))

    made = images.run(dialogue(), library, Models(), ctx=ctx)

    assert [(c.line_index, c.character, c.image_id) for c in made.cutaways] == [(2, "Rex", 8)]
    assert (made.cover.line_index, made.cover.image_id) == (1, 7)


@pytest.mark.parametrize(
    ("drawing_day", "rig_day", "shown"),
    [(None, None, True), (None, 3, True), (3, 4, True), (4, 3, False), (4, None, False)],
)
def test_a_cover_is_drawn_when_the_drawing_was_not_seen_last(ctx, drawing_day, rig_day, shown):
    drawing = picture(7, "Rex", Emotion.ANGRY, day=drawing_day).model_copy(
        update={"source": "model"}
    )
    rigs = picture(1, "Rex", Emotion.ANGRY, day=rig_day), picture(2, "Mia")

    made = images.run(dialogue(), on_disk(ctx, *rigs, drawing), Models(), ctx=ctx)

    assert (made.cover is not None) is shown
    assert made.cutaways == ()


def test_without_drawings_the_section_says_what_it_said_before(ctx):
    made = images.run(dialogue(), shelves(ctx), Models(), ctx=ctx)

    assert (made.cutaways, made.cover, made.notes) == ((), None, ())


def test_a_drawing_that_has_changed_on_disk_is_not_shown(ctx):
    library = shelves(ctx, (8, "Rex", HAPPY))
    (ctx.data_dir / "library/8.png").write_bytes(b"other")

    assert images.run(dialogue(), library, Models(), ctx=ctx).cutaways == ()


def test_new_pictures_are_drawn_for_the_episode_with_one_loaded_model(drawing_ctx, painters):
    ctx = drawing_ctx
    models = Models(models=(promoted_model(ctx.data_dir, "Rex"),))

    made = images.run(dialogue(), shelves(ctx), models, ctx=ctx)

    assert painters.opened == ["promoted-100"]
    assert painters.closed == 1
    assert {(a.width, a.height, a.steps) for a in painters.asked} == {(64, 96, 7)}
    (cutaway,) = made.cutaways
    assert (cutaway.line_index, cutaway.character, cutaway.emotion) == (2, "Rex", HAPPY)
    assert made.cover.emotion == Emotion.ANGRY
    for one in (cutaway, made.cover):
        path = ctx.folder / "pictures" / one.image_path.removeprefix("episodes/7/v1/pictures/")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one.sha256
        assert one.image_id is None


def test_progress_rises_with_every_picture_that_is_drawn(drawing_ctx, painters):
    ctx = drawing_ctx
    models = Models(
        models=(promoted_model(ctx.data_dir, "Rex"), promoted_model(ctx.data_dir, "Mia"))
    )

    images.run(dialogue(), shelves(ctx), models, ctx=ctx)

    lines = (ctx.folder / PROGRESS_FILE).read_text().splitlines()
    drawing = [json.loads(line) for line in lines if "drawing" in line]
    assert [told["note"] for told in drawing] == ["drawing Rex, 1 of 2", "drawing Rex, 2 of 2"]
    assert [told["fraction"] for told in drawing] == [0.2, 0.6]


def test_prompts_are_made_of_our_own_words(drawing_ctx, painters):
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))
    script = dialogue().model_copy(update={"caption": "About Ada Lovelace."})
    script = script.model_copy(
        update={"metadata": script.metadata.model_copy(update={"trends": ("Ada Lovelace",)})}
    )

    images.run(script, shelves(drawing_ctx), models, ctx=drawing_ctx)

    asked = {a.prompt for a in painters.asked}
    assert asked == {
        f"{INSTANCE_PROMPT}, {diffusion.FACES[emotion]}, in a kitchen, {diffusion.FRAMING}"
        for emotion in (Emotion.ANGRY, HAPPY)
    }


def test_a_family_nobody_knows_is_drawn_nowhere(drawing_ctx, painters):
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))
    metadata = ScriptMetadata(family="Ada Lovelace, nude")

    images.run(
        dialogue().model_copy(update={"metadata": metadata}),
        shelves(drawing_ctx),
        models,
        ctx=drawing_ctx,
    )

    assert not any("Ada" in a.prompt for a in painters.asked)


def test_a_second_attempt_draws_the_same_and_another_revision_does_not(drawing_ctx, painters):
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))
    library = shelves(drawing_ctx)
    revised = replace(
        drawing_ctx, revision=2, revision_folder=drawing_ctx.data_dir / "episodes/7/v2"
    )

    first = images.run(dialogue(), library, models, ctx=drawing_ctx)
    again = images.run(dialogue(), library, models, ctx=drawing_ctx)
    other = images.run(dialogue(), library, models, ctx=revised)

    assert first == again
    assert first.cover.sha256 != other.cover.sha256


def test_the_library_fills_in_where_there_is_no_model_and_says_so(drawing_ctx, painters):
    library = shelves(drawing_ctx, (8, "Rex", HAPPY))

    made = images.run(dialogue(), library, Models(), ctx=drawing_ctx)

    assert [c.image_id for c in made.cutaways] == [8]
    assert made.notes == ("Rex has no model in use; /train start trains one.",)


def test_a_reel_made_while_a_network_is_trained_says_that_nothing_was_drawn(drawing_ctx, painters):
    library = shelves(drawing_ctx, (8, "Rex", HAPPY))

    made = images.run(dialogue(), library, Models(why="One is trained."), ctx=drawing_ctx)

    assert [c.image_id for c in made.cutaways] == [8]
    assert made.notes == ("One is trained.",)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda f: (f / "pytorch_lora_weights.safetensors").write_bytes(b"x" * 14), "is damaged"),
        (lambda f: (f / "pytorch_lora_weights.safetensors").unlink(), "is missing"),
        (lambda f: (f / "model_info.json").unlink(), "holds no trained model"),
        (
            lambda f: (f / "model_info.json").write_text((f / "model_info.json").read_text() + " "),
            "is not the model that was promoted",
        ),
    ],
)
def test_a_damaged_model_draws_nothing_and_the_reel_goes_on(drawing_ctx, painters, harm, why):
    model = promoted_model(drawing_ctx.data_dir, "Rex")
    harm(drawing_ctx.data_dir / model.path)
    library = shelves(drawing_ctx, (8, "Rex", HAPPY))

    made = images.run(dialogue(), library, Models(models=(model,)), ctx=drawing_ctx)

    assert painters.asked == []
    assert [c.image_id for c in made.cutaways] == [8]
    (note,) = made.notes
    assert note.startswith("Nothing was drawn of Rex: ")
    assert why in note
    assert str(drawing_ctx.data_dir) not in note


def test_without_pytorch_the_note_says_how_to_get_it(drawing_ctx, painters):
    painters.error = ImportError("No module named 'torch'")
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))

    made = images.run(dialogue(), shelves(drawing_ctx), models, ctx=drawing_ctx)

    assert (made.cutaways, made.cover) == ((), None)
    (note,) = made.notes
    assert "`./run install training`" in note


def test_a_gpu_without_room_draws_nothing_and_the_reel_goes_on(drawing_ctx, painters):
    painters.trouble = TrainingError("The GPU has no room to draw 64x96; end what else uses it.")
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))

    made = images.run(dialogue(), shelves(drawing_ctx, (8, "Rex", HAPPY)), models, ctx=drawing_ctx)

    assert [c.image_id for c in made.cutaways] == [8]
    assert made.notes == (
        "Nothing was drawn of Rex: The GPU has no room to draw 64x96; end what else uses it.",
    )
    assert painters.closed == 1


def test_blank_pictures_are_not_shown(drawing_ctx, painters):
    painters.all_blank = True
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))

    made = images.run(dialogue(), shelves(drawing_ctx), models, ctx=drawing_ctx)

    assert (made.cutaways, made.cover) == ((), None)
    assert made.notes == ("2 of 2 drawings of Rex were poor or late.",)
    assert not (drawing_ctx.folder / "pictures").exists()


@pytest.mark.parametrize(("colour", "shown"), [((200, 220, 240), True), ((20, 90, 10), False)])
def test_what_looks_unlike_its_character_is_not_shown(drawing_ctx, painters, colour, shown):
    path = drawing_ctx.data_dir / "training/rex/1.png"
    path.parent.mkdir(parents=True)
    image = Image.new("RGB", (64, 96), colour)
    image.paste((0, 0, 0), (20, 30, 40, 50))
    image.save(path)
    model = promoted_model(drawing_ctx.data_dir, "Rex", pictures=("training/rex/1.png",))

    made = images.run(dialogue(), shelves(drawing_ctx), Models(models=(model,)), ctx=drawing_ctx)

    assert bool(made.cutaways) is shown
    assert bool(made.notes) is not shown


def test_a_cancelled_episode_draws_no_further_candidate(drawing_ctx, painters):
    models = Models(models=(promoted_model(drawing_ctx.data_dir, "Rex"),))
    library = shelves(drawing_ctx)
    (drawing_ctx.folder / CANCEL_FILE).touch()

    with pytest.raises(StageCancelled):
        images.run(dialogue(), library, models, ctx=drawing_ctx)

    assert painters.asked == []
    assert painters.closed == 1
