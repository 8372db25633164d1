import hashlib
import json
from datetime import UTC, datetime

import pytest

from pipeline.config import ImagesConfig
from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.facts import Library, Picture
from pipeline.providers.images.library import FALLBACKS, LibraryPictures, chain
from pipeline.sections import Emotion, Images, Line, Script
from pipeline.shows import Character, Show, VoiceStyle
from pipeline.stages import images

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

    made = images.run(script, library, ctx=ctx)

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

    made = images.run(script, library, ctx=ctx)

    assert made.missing == ({"character": "Rex", "emotion": "excited"},)
    assert made.stats["images_missing"] == 2


def test_selections_carry_the_name_as_the_show_spells_it(ctx):
    made = images.run(Script(lines=(line(1, "rEX"),)), on_disk(ctx, picture(1, "rex")), ctx=ctx)

    assert made.selections[0].character == "Rex"


def test_a_picture_whose_file_is_gone_is_passed_over_and_kept_in_the_library(ctx):
    library = on_disk(ctx, picture(1), picture(2, used=5))
    (ctx.data_dir / "library/1.png").unlink()

    made = images.run(Script(lines=(line(1),)), library, ctx=ctx)

    assert made.selections[0].image_id == 2
    assert made.stats["pictures_passed_over"] == 1
    assert len(library.pictures) == 2


def test_a_picture_that_changed_on_disk_is_passed_over_and_not_deleted(ctx):
    library = on_disk(ctx, picture(1), picture(2, used=5))
    (ctx.data_dir / "library/1.png").write_bytes(b"other")

    made = images.run(Script(lines=(line(1),)), library, ctx=ctx)

    assert made.selections[0].image_id == 2
    assert (ctx.data_dir / "library/1.png").read_bytes() == b"other"


def test_when_no_file_is_left_nothing_is_written(ctx):
    library = on_disk(ctx, picture(1))
    (ctx.data_dir / "library/1.png").unlink()

    with pytest.raises(UserError, match="no usable picture of Rex"):
        images.run(Script(lines=(line(1),)), library, ctx=ctx)

    assert not (ctx.folder / "image_selections.json").exists()


def test_a_stranger_in_the_script_is_a_sentence(ctx):
    with pytest.raises(UserError, match="no character 'Bob'"):
        images.run(Script(lines=(line(1, "Bob"),)), on_disk(ctx, picture(1)), ctx=ctx)
