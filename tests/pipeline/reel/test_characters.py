import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import resvg_py
from PIL import Image

from pipeline.errors import UserError
from pipeline.reel.characters import MOUTHS, Move, Pose, Rig
from pipeline.reel.svg import rasterise, read_svg
from pipeline.sections import Emotion
from pipeline.shows import load_show

SHOW = load_show("butcher_and_nutsy")
RIGS = {character.name: SHOW.folder / character.rig for character in SHOW.characters}
EVERY_RIG = pytest.mark.parametrize("path", RIGS.values(), ids=RIGS)
SIZE = (250, 300)

TINY_EMOTIONS = "".join(f'<emotion name="{e}" head="{i}"/>' for i, e in enumerate(Emotion))
TINY = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 120">
<metadata>{TINY_EMOTIONS}</metadata>
<g data-part="head" data-pivot="50 60"><circle cx="50" cy="50" r="40" fill="#44aa44"/>
<g data-slot="eyes" data-shape="open">
<g data-part="pupils" data-reach="6 4"><circle cx="50" cy="40" r="9" fill="#000000"/></g></g>
<g data-slot="eyes" data-shape="shut"><rect x="40" y="39" width="20" height="3"/></g>
<g data-slot="mouth" data-shape="X"><rect x="30" y="68" width="40" height="3"/></g>
<g data-slot="mouth" data-shape="D"><ellipse cx="50" cy="70" rx="18" ry="12"/></g>
</g></svg>"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.svg"
    path.write_text(TINY, encoding="utf-8")
    return path


def changed(rig: Rig, one: Pose, other: Pose) -> float:
    """The share of all pixels that differ visibly between two poses."""
    return share(rig.render(one, *SIZE), rig.render(other, *SIZE), above=24)


def share(one: np.ndarray, other: np.ndarray, above: int) -> float:
    return float((np.abs(one.astype(int) - other).max(axis=-1) > above).mean())


def reference(svg: str, width: int, height: int) -> np.ndarray:
    png = resvg_py.svg_to_bytes(svg_string=svg, width=width, height=height)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


@EVERY_RIG
@pytest.mark.parametrize("mouth", ["A", "D"])
def test_any_two_emotions_differ_even_without_their_resting_mouths(path: Path, mouth: str) -> None:
    rig = Rig.load(path)

    drawn = [rig.render(Pose(emotion, mouth=mouth), *SIZE) for emotion in Emotion]

    pairs = [share(a, b, above=24) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert len(pairs) == 28
    assert min(pairs) > 0.02


@EVERY_RIG
@pytest.mark.parametrize("emotion", Emotion)
def test_every_emotion_can_open_and_close_its_mouth(path: Path, emotion: Emotion) -> None:
    rig = Rig.load(path)

    assert changed(rig, Pose(emotion, mouth="A"), Pose(emotion, mouth="D")) > 0.01


@EVERY_RIG
def test_every_mouth_differs_from_every_other(path: Path) -> None:
    rig = Rig.load(path)

    drawn = [rig.render(Pose(mouth=mouth), *SIZE) for mouth in MOUTHS]

    assert min(share(a, b, above=24) for i, a in enumerate(drawn) for b in drawn[:i]) > 0.001


@EVERY_RIG
@pytest.mark.parametrize("emotion", Emotion)
def test_a_full_blink_hides_the_pupils(path: Path, emotion: Emotion) -> None:
    rig = Rig.load(path)

    shut = rig.svg(Pose(emotion, blink=1.0, look=(1, 0)))

    assert shut == rig.svg(Pose(emotion, blink=1.0, look=(-1, 0)))
    assert rig.svg(Pose(emotion, look=(1, 0))) != rig.svg(Pose(emotion, look=(-1, 0)))


@EVERY_RIG
def test_a_half_blink_lies_between_open_and_shut(path: Path) -> None:
    rig = Rig.load(path)

    half = changed(rig, Pose(Emotion.EXCITED), Pose(Emotion.EXCITED, blink=0.5))

    assert 0 < half < changed(rig, Pose(Emotion.EXCITED), Pose(Emotion.EXCITED, blink=1.0))


@EVERY_RIG
@pytest.mark.parametrize("emotion", Emotion)
def test_the_fast_renderer_agrees_with_the_reference(path: Path, emotion: Emotion) -> None:
    svg = Rig.load(path).svg(Pose(emotion, mouth="D", tilt=5))

    ours, theirs = rasterise(svg, 500, 600), reference(svg, 500, 600)

    assert share(ours, theirs, above=48) < 0.004
    assert np.abs(ours.astype(int) - theirs).mean() < 1


@EVERY_RIG
@pytest.mark.parametrize("emotion", Emotion)
@pytest.mark.parametrize("tilt", [-4.0, 0.0, 4.0])
def test_a_character_stays_inside_its_canvas(path: Path, emotion: Emotion, tilt: float) -> None:
    alpha = Rig.load(path).render(Pose(emotion, tilt=tilt), *SIZE)[..., 3]

    assert [edge.max() for edge in (alpha[0], alpha[:, 0], alpha[:, -1])] == [0, 0, 0]
    assert 0.3 < (alpha > 0).mean() < 0.7


def test_colours_are_straight_not_premultiplied() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4">'
        '<rect width="4" height="4" fill="#ff8000" fill-opacity="0.5"/></svg>'
    )

    red, green, blue, alpha = rasterise(svg, 4, 4)[2, 2].tolist()

    assert (red, blue, alpha) == (255, 0, 128)
    assert abs(green - 128) <= 1


def test_what_is_no_drawing_cannot_be_rendered() -> None:
    with pytest.raises(ValueError, match="cannot be rendered"):
        rasterise("hello", 10, 10)


def test_a_rig_with_two_mouths_speaks_with_the_nearest(tiny: Path) -> None:
    rig = Rig.load(tiny)

    assert rig.svg(Pose(mouth="E")) == rig.svg(Pose(mouth="D"))
    assert rig.svg(Pose(mouth="A")) == rig.svg(Pose(mouth="X"))
    assert rig.svg(Pose(mouth="A")) != rig.svg(Pose(mouth="E"))


def test_a_glance_moves_the_pupils_by_their_reach(tiny: Path) -> None:
    svg = Rig.load(tiny).svg(Pose(look=(1, -0.5)))

    assert 'transform="translate(6.00 -2.00)"' in svg


def test_moves_add_to_those_of_the_emotion(tiny: Path) -> None:
    pose = Pose(Emotion.SAD, tilt=2, moves={"head": Move(3, dy=4, sy=1.5)})

    svg = Rig.load(tiny).svg(pose)

    assert "translate(0.00 4.00) rotate(6.00 50 60)" in svg
    assert "scale(1.0000 1.5000)" in svg


def test_a_mirrored_pose_is_the_mirror_image(tiny: Path) -> None:
    rig = Rig.load(tiny)

    plain = rig.render(Pose(Emotion.NEUTRAL, look=(1, 0)), 100, 120)
    mirrored = rig.render(Pose(Emotion.NEUTRAL, look=(1, 0), mirror=True), 100, 120)

    assert share(mirrored[:, ::-1], plain, above=48) < 0.01
    assert share(mirrored, plain, above=48) > 0.01


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("<svg", "<!DOCTYPE svg [<!ENTITY a 'b'>]><svg", "tiny.svg has a DOCTYPE"),
        ("<metadata>", "<script>alert(1)</script><metadata>", "tiny.svg holds <script>"),
        ("<metadata>", '<image href="http://x.example/a.png"/><metadata>', "holds <image>"),
        ("<metadata>", '<use href="#a"/><metadata>', "holds <use>"),
        ("<metadata>", "<foreignObject/><metadata>", "holds <foreignObject>"),
        ("<circle", '<circle href="file:///etc/passwd"', "'href' on <circle>"),
        ("<circle", '<circle onclick="x()"', "'onclick' on <circle>"),
        ("<circle", '<circle style="fill:url(http://x.example)"', "'style' on <circle>"),
        ("<circle", '<circle stroke="URL( http://x.example/#a)"', "'stroke' on <circle>"),
        ('viewBox="0 0 100 120"', "", "tiny.svg has no viewBox"),
        ('viewBox="0 0 100 120"', 'viewBox="0 0 nan 120"', "tiny.svg has no viewBox"),
        ('viewBox="0 0 100 120"', 'viewBox="0 0 a b"', "tiny.svg has no viewBox"),
        ("</svg>", "", "tiny.svg is not SVG"),
        ("svg xmlns", "svg other", "tiny.svg is not an SVG drawing"),
        ("</svg>", "<g>" * 50 + "</g>" * 50 + "</svg>", "nests groups deeper than 40"),
        ('data-shape="D"', 'data-shape="C"', "tiny.svg has no layer mouth D"),
        ('data-shape="shut"', 'data-shape="closed"', "tiny.svg has no layer eyes shut"),
        ('<emotion name="angry" head="4"/>', "", "tiny.svg has no emotion angry"),
        ('name="angry" head="4"', 'name="angry" brows="up"', "no layer brows up"),
        ('name="angry" head="4"', 'name="angry" head="left"', "'left' is not a number"),
        ('data-reach="6 4"', 'data-reach="6"', 'has data-reach="6"; write 2 number'),
        ('data-pivot="50 60"', 'data-pivot="a b"', 'has data-pivot="a b"'),
    ],
)
def test_a_hostile_or_broken_rig_is_refused_in_one_sentence(
    tiny: Path, old: str, new: str, sentence: str
) -> None:
    tiny.write_text(TINY.replace(old, new), encoding="utf-8")

    with pytest.raises(UserError) as refusal:
        Rig.load(tiny)

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_rig_in_another_encoding_is_refused(tiny: Path) -> None:
    tiny.write_text(TINY, encoding="utf-16")

    with pytest.raises(UserError, match="not SVG in UTF-8"):
        Rig.load(tiny)


def test_a_huge_file_is_refused_before_it_is_parsed(tiny: Path) -> None:
    tiny.write_text(TINY + " " * 2_000_000, encoding="utf-8")

    with pytest.raises(UserError, match="larger than"):
        read_svg(tiny)


def test_a_missing_rig_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nobody\.svg cannot be read"):
        Rig.load(tmp_path / "nobody.svg")


def test_threads_may_draw_at_the_same_time() -> None:
    rigs = [Rig.load(path) for path in RIGS.values()]
    alone = [rig.render(Pose(), *SIZE) for rig in rigs]

    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda n: rigs[n % 2].render(Pose(), *SIZE), range(40)))

    assert all(np.array_equal(image, alone[n % 2]) for n, image in enumerate(drawn))
