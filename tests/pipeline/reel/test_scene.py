from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.reel import captions, portrait, scene
from pipeline.reel.captions import Card
from pipeline.reel.scene import ENTRANCE, Reaction, Scene, Shot
from pipeline.reel.sprites import HEIGHT, WIDTH, cut_out, lay

RED, BLUE, GROUND = (200, 30, 30), (30, 30, 200), (90, 160, 90)


@pytest.fixture
def paintings(tmp_path):
    scene.fitted.cache_clear()
    scene.listener_sprite.cache_clear()
    for name, colour in (("red", RED), ("blue", BLUE)):
        image = Image.new("RGBA", (500, 600), (0, 0, 0, 0))
        image.paste((*colour, 255), (100, 50, 400, 600))
        image.save(tmp_path / f"{name}.png")
    return tmp_path


def shot(folder, index, name, *, first, end, side=-1, listener=None, cards=(), returning=False):
    return Shot(
        index=index,
        picture=folder / f"{name}.png",
        side=side,
        listener=folder / f"{listener}.png" if listener else None,
        first=first,
        end=end,
        cards=tuple(cards),
        returning=returning,
    )


def painted(shots, *, levels=None, title="") -> Scene:
    backdrop = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    count = shots[-1].end
    return Scene(
        shots=shots,
        backdrop=backdrop,
        levels=np.zeros(count) if levels is None else np.full(count, levels),
        title=title,
    )


def has(frame, colour) -> int:
    return int((np.abs(frame.astype(int) - colour).max(axis=2) < 12).sum())


def test_the_picture_changes_on_the_very_frame_the_line_starts(paintings):
    made = painted(
        [shot(paintings, 1, "red", first=0, end=37), shot(paintings, 2, "blue", first=37, end=60)]
    )

    before, after = made.paint(36), made.paint(37)

    assert has(before, RED) > 100_000
    assert has(before, BLUE) == 0
    assert has(after, BLUE) > 100_000
    assert has(after, RED) == 0


def test_a_frame_is_the_same_whatever_was_painted_before(paintings):
    shots = [
        shot(paintings, 1, "red", first=0, end=20),
        shot(paintings, 2, "blue", first=20, end=40),
    ]
    made = painted(shots)
    in_order = [made.paint(frame) for frame in range(40)]

    again = painted(shots)

    for frame in (39, 12, 25, 3, 20):
        assert (again.paint(frame) == in_order[frame]).all()


def test_a_painted_frame_belongs_to_the_caller(paintings):
    made = painted([shot(paintings, 1, "red", first=0, end=30)])
    made.paint(20)[:] = 0

    assert has(made.paint(20), RED) > 100_000


def test_the_speaker_grows_into_place(paintings):
    made = painted([shot(paintings, 1, "red", first=0, end=30)])
    sizes = [has(made.paint(frame), RED) for frame in (0, 2, ENTRANCE)]

    assert sizes[0] < sizes[1]
    assert sizes[0] < sizes[2]


def test_a_loud_voice_stretches_the_speaker(paintings):
    shots = [shot(paintings, 1, "red", first=0, end=30)]

    quiet = painted(shots).paint(20)
    loud = painted(shots, levels=1.0).paint(20)

    assert top_of(loud, RED) < top_of(quiet, RED) - 20


def top_of(frame, colour) -> int:
    return int(np.argwhere((np.abs(frame.astype(int) - colour).max(axis=2) < 12).any(axis=1))[0, 0])


def test_the_listener_stands_smaller_and_darker_on_the_other_side(paintings):
    made = painted([shot(paintings, 1, "red", first=0, end=30, side=-1, listener="blue")])
    frame = made.paint(20)

    shade = tuple(np.array(BLUE) * np.array(scene.LISTENER_LIGHT))
    columns = np.argwhere((np.abs(frame.astype(int) - shade).max(axis=2) < 8).any(axis=0))
    assert has(frame, BLUE) < has(frame, shade) / 100  # the soft edges
    assert 20_000 < has(frame, shade) < has(frame, RED) / 2
    assert columns.min() > WIDTH / 2


def test_the_title_shows_with_the_first_line_only(paintings):
    made = painted(
        [shot(paintings, 1, "red", first=0, end=20), shot(paintings, 2, "red", first=20, end=40)],
        title="Smart Fridge",
    )

    assert has(made.paint(15), scene.TITLE_COLOUR) > 2_000
    assert has(made.paint(35), scene.TITLE_COLOUR) == 0


@pytest.mark.parametrize("text", ["A", "W" * 120, "🎉 你好", "A rather long topic name for a sign"])
def test_the_title_stays_inside_the_safe_area(text):
    left, top, right, bottom = scene.title_sprite(text).opaque_box

    assert captions.SAFE_LEFT <= left < right <= captions.SAFE_RIGHT
    assert captions.SAFE_TOP <= top < bottom <= captions.SAFE_BOTTOM


def test_the_caption_is_above_the_speakers_face(paintings):
    card = captions.Card(("Wow", "wow", "wow", "wow", "wow"), (0, 5, 9, 12, 15), 0, 30, RED)
    _, _, _, bottom = captions.picture(card, 0).opaque_box

    # A face begins below the ears, in the lower four fifths of its picture.
    face = scene.SPEAKER_FEET - scene.SPEAKER_BOX[1] * 0.8
    assert bottom < face


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"GIF89a"])
def test_a_missing_or_broken_picture_is_a_sentence(paintings, content):
    path = paintings / "red.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    made = painted([shot(paintings, 1, "red", first=0, end=30)])

    with pytest.raises(UserError, match=r"red\.png is missing or broken"):
        made.paint(3)


def test_a_picture_without_transparency_gets_round_corners(paintings):
    Image.new("RGB", (400, 400), RED).save(paintings / "square.png")

    image = scene.fitted(paintings / "square.png", (400, 400))

    assert image.getpixel((0, 0))[3] == 0
    assert image.getpixel((200, 200)) == (*RED, 255)


@pytest.mark.parametrize(("left", "top"), [(-60, -60), (1060, 1900), (-500, 0), (0, 4000)])
def test_what_lies_outside_the_frame_is_cut_off(left, top):
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    sprite = cut_out(Image.new("RGBA", (100, 100), (*RED, 255)), left, top)

    lay(sprite, frame)

    wide = max(0, min(left + 100, WIDTH) - max(left, 0))
    tall = max(0, min(top + 100, HEIGHT) - max(top, 0))
    assert (frame == RED).all(axis=2).sum() == wide * tall


@pytest.mark.parametrize("alpha", [0, 1, 77, 128, 254, 255])
def test_half_transparent_colours_mix_without_overflow(alpha):
    frame = np.full((4, 4, 3), 255, np.uint8)

    lay(cut_out(Image.new("RGBA", (4, 4), (255, 255, 255, alpha)), 0, 0), frame)

    assert frame.min() >= 253


def test_a_reaction_fills_the_frame_to_the_end_of_its_shot_and_captions_stay(paintings):
    portrait.filling.cache_clear()
    Image.new("RGB", (64, 96), BLUE).save(paintings / "drawn.png")
    card = Card(("Hello",), (0,), 0, 90, (255, 170, 0))
    plain = shot(paintings, 2, "red", first=0, end=90, cards=(card,))
    made = painted([replace(plain, reaction=Reaction(paintings / "drawn.png", 60))])
    before = painted([plain])

    assert all((made.paint(n) == before.paint(n)).all() for n in (0, 4, 30, 59))
    for number in (60, 89):
        frame = made.paint(number)
        caption = captions.picture(card, 0)
        left, top, right, bottom = caption.opaque_box
        assert has(frame, RED) == 0
        assert has(frame, BLUE) > 1_700_000
        assert has(frame[top:bottom, left:right], (255, 170, 0)) > 2_000
