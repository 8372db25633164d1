import contextlib
import hashlib
import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.config import VideoConfig
from pipeline.context import CANCEL_FILE, PROGRESS_FILE, StageContext
from pipeline.errors import ProviderError, StageCancelled, UserError
from pipeline.reel import captions, cover, encoder, probe, reactions, scene, sound
from pipeline.sections import (
    Cutaway,
    Emotion,
    Images,
    Line,
    Script,
    ScriptMetadata,
    Selection,
    SpokenLine,
    Voices,
    Word,
)
from pipeline.shows import Character, Show, VoiceStyle
from pipeline.stages import video

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 108 192">'
    '<rect width="108" height="192" fill="#{}"/></svg>'
)
COLOURS = {"Rex": (200, 40, 40), "Mia": (40, 60, 210)}
TEXTS = (("Rex", "Look, a fridge!"), ("Mia", "Is it open?"), ("Rex", "Now it is."))
STARTS, LASTS, TOTAL = (0.1, 1.3, 2.333), (1.1, 0.95, 0.8), 3.2


def show(folder: Path) -> Show:
    for name, colour in (("rig", "777777"), ("room", "cceecc"), ("pitch", "88cc66")):
        (folder / f"{name}.svg").write_text(SVG.format(colour))
    pair = [
        Character(
            name=name,
            role=role,
            species="cat",
            persona="Naps.",
            colour=colour,
            rig="rig.svg",
            voice=VoiceStyle(blend={"af_nova": 1}),
        )
        for name, role, colour in (("Rex", "dry", "#ffaa00"), ("Mia", "wild", "#22ccff"))
    ]
    return Show(
        name="tiny",
        title="Tiny",
        premise="Two cats.",
        characters=pair,
        backgrounds={"pitch.svg": ("sport",), "room.svg": ("default",)},
        folder=folder,
    )


def make_context(root: Path) -> StageContext:
    scene.fitted.cache_clear()
    scene.listener_sprite.cache_clear()
    folder, revision = root / "attempt", root / "v1"
    folder.mkdir()
    revision.mkdir()
    for name, colour in COLOURS.items():
        image = Image.new("RGBA", (500, 600), (0, 0, 0, 0))
        image.paste((*colour, 255), (80, 60, 420, 600))
        image.save(root / f"{name.lower()}.png")
    for number, seconds in enumerate(LASTS, 1):
        write_voice(revision / f"audio/{number:03}.wav", seconds)
    return StageContext(
        episode=3,
        revision=1,
        folder=folder,
        revision_folder=revision,
        data_dir=root,
        show=show(root),
        config=VideoConfig(),
    )


def write_voice(path: Path, seconds: float) -> None:
    t = np.arange(round(seconds * 24_000)) / 24_000
    wave_form = 0.3 * np.sin(2 * np.pi * 230 * t) * (0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 3 * t)))
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes((wave_form * 32767).astype("<i2").tobytes())


def script(**metadata) -> Script:
    lines = tuple(
        Line(index=n, character=who, text=text, emotion=Emotion.HAPPY)
        for n, (who, text) in enumerate(TEXTS, 1)
    )
    return Script(
        episode=3,
        lines=lines,
        caption="We look into the fridge again. Nobody knows why.",
        metadata=ScriptMetadata(**metadata),
    )


def voices() -> Voices:
    lines = tuple(
        spoken(number, who, text, start, lasts)
        for number, ((who, text), start, lasts) in enumerate(
            zip(TEXTS, STARTS, LASTS, strict=True), 1
        )
    )
    return Voices(episode=3, provider="offline", lines=lines, total_duration=TOTAL)


def spoken(number: int, who: str, text: str, start: float, lasts: float) -> SpokenLine:
    words = text.split()
    each = lasts / len(words)
    timed = [
        Word(text=word, start=start + n * each, end=start + (n + 1) * each)
        for n, word in enumerate(words)
    ]
    return SpokenLine(
        index=number,
        character=who,
        text=text,
        emotion=Emotion.HAPPY,
        audio_file=f"audio/{number:03}.wav",
        start_time=start,
        duration=lasts,
        end_time=start + lasts,
        words=tuple(timed),
        sha256="0" * 64,
        sample_rate=24_000,
    )


def images() -> Images:
    selections = tuple(
        Selection(
            line_index=number,
            character=who,
            emotion=Emotion.HAPPY,
            image_id=number,
            image_path=f"{who.lower()}.png",
            sha256="0" * 64,
        )
        for number, (who, _) in enumerate(TEXTS, 1)
    )
    return Images(episode=3, selections=selections)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One reel that several tests look at."""
    ctx = make_context(tmp_path_factory.mktemp("reel"))
    section = video.run(script(trends=("Smart Fridge",)), voices(), images(), ctx=ctx)
    return section, ctx


@pytest.fixture(scope="module")
def decoded(made):
    _, ctx = made
    with av.open(str(ctx.folder / "reel.mp4")) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture
def ctx(tmp_path) -> StageContext:
    return make_context(tmp_path)


def share(frame, colour) -> float:
    return float((np.abs(frame.astype(int) - colour).max(axis=2) < 40).mean())


def test_the_section_says_what_the_file_is(made):
    section, ctx = made
    reel = (ctx.folder / "reel.mp4").read_bytes()

    assert section.episode == 3
    assert section.sha256 == hashlib.sha256(reel).hexdigest()
    assert section.size_bytes == len(reel)
    assert (section.width, section.height, section.fps) == (1080, 1920, 30)
    assert section.loudness_lufs == pytest.approx(-14, abs=1)
    assert section.peak_dbtp <= -1


def test_the_reel_has_every_frame_of_the_timeline(made, decoded):
    section, _ = made

    assert section.frames == len(decoded) == round(TOTAL * 30)
    assert section.duration_s == pytest.approx(TOTAL, abs=0.04)


def test_the_reel_breaks_no_rule_of_the_platform(made):
    _, ctx = made
    facts = probe.probe(ctx.folder / "reel.mp4")

    assert probe.faults(facts) == ()
    assert facts.moov_first
    assert not facts.edit_list
    assert (facts.audio_codec, facts.sample_rate) == ("aac", 48_000)


def test_the_reel_decodes_without_a_warning_or_a_black_frame(made):
    _, ctx = made

    assert probe.play(ctx.folder / "reel.mp4") == probe.Playback(96, 0, ())


@pytest.mark.parametrize(("first", "speaker", "other"), [(39, "Mia", "Rex"), (70, "Rex", "Mia")])
def test_the_picture_changes_on_the_first_frame_of_the_line(decoded, first, speaker, other):
    assert share(decoded[first - 1], COLOURS[other]) > 0.1
    assert share(decoded[first], COLOURS[speaker]) > 0.1
    assert share(decoded[first], COLOURS[other]) < 0.1


def test_the_word_being_said_is_lit_in_the_colour_of_the_character(decoded):
    assert share(decoded[50][300:700], (0x22, 0xCC, 0xFF)) > 0.005
    assert share(decoded[20][300:700], (0x22, 0xCC, 0xFF)) == 0


def test_the_attempt_holds_the_three_files_and_nothing_half_made(made):
    _, ctx = made

    names = {path.name for path in ctx.folder.iterdir()}
    assert names == {"reel.mp4", "cover.jpg", "storyboard.png", PROGRESS_FILE}


def test_the_cover_is_a_jpeg_of_the_right_size(made):
    section, ctx = made
    path = ctx.folder / "cover.jpg"

    with Image.open(path) as image:
        assert (image.format, image.size) == ("JPEG", (1080, 1920))
    assert path.stat().st_size <= 8_000_000
    assert section.cover_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_storyboard_is_small_enough_for_a_message(made):
    _, ctx = made
    path = ctx.folder / "storyboard.png"

    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > image.height
    assert path.stat().st_size < 1_000_000


def test_progress_rises_to_one(made):
    _, ctx = made
    lines = (ctx.folder / PROGRESS_FILE).read_text().splitlines()
    fractions = [json.loads(line)["fraction"] for line in lines]

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert len(fractions) > 15


@pytest.mark.parametrize(
    ("family", "file"), [("sport", "pitch.svg"), ("food", "room.svg"), ("", "room.svg")]
)
def test_the_backdrop_follows_the_family_of_the_topic(ctx, family, file):
    assert video.backdrop_file(script(family=family), ctx) == file


def test_shots_join_without_a_gap(ctx):
    shots = video.shots(voices(), images(), ctx=ctx, fps=30)

    assert [(shot.first, shot.end) for shot in shots] == [(0, 39), (39, 70), (70, 96)]
    assert [shot.side for shot in shots] == [-1, 1, -1]
    assert [shot.listener.name for shot in shots] == ["mia.png", "rex.png", "mia.png"]


def test_captions_of_the_reel_give_the_dialogue(ctx):
    shots = video.shots(voices(), images(), ctx=ctx, fps=30)
    words = [" ".join(w for card in shot.cards for w in card.words) for shot in shots]

    assert words == [text for _, text in TEXTS]


@pytest.mark.parametrize(
    ("metadata", "title"),
    [({"trends": ("Smart Fridge",)}, "Smart Fridge"), ({}, "We look into the fridge again.")],
)
def test_the_cover_names_the_topic_or_the_captions_first_words(metadata, title):
    assert cover.title(script(**metadata)) == title


@pytest.mark.parametrize(
    ("emotions", "index"),
    [
        ((Emotion.NEUTRAL, Emotion.SURPRISED, Emotion.ANGRY), 3),
        ((Emotion.SURPRISED, Emotion.SURPRISED, Emotion.SAD), 1),
        ((Emotion.SAD, Emotion.SURPRISED, Emotion.NEUTRAL), 1),
    ],
)
def test_the_cover_shows_the_stronger_face_of_hook_and_punch_line(ctx, emotions, index):
    lines = [
        line.model_copy(update={"emotion": emotion})
        for line, emotion in zip(voices().lines, emotions, strict=True)
    ]
    timeline = voices().model_copy(update={"lines": tuple(lines)})
    pictured = scene.Scene(
        shots=video.shots(timeline, images(), ctx=ctx, fps=30),
        backdrop=np.zeros((1920, 1080, 3), np.uint8),
        levels=np.zeros(96),
    )

    assert cover.face(pictured, timeline).index == index


@pytest.mark.parametrize("text", ["Hi", "Donaudampfschifffahrtsgesellschaft", "many words " * 9])
def test_the_title_of_the_cover_is_inside_the_safe_area_and_the_grid(ctx, text):
    pictured = scene.Scene(
        shots=video.shots(voices(), images(), ctx=ctx, fps=30),
        backdrop=np.full((1920, 1080, 3), 120, np.uint8),
        levels=np.zeros(96),
    )
    cover.draw(pictured, voices(), text, ctx.folder / "with.jpg")
    cover.draw(pictured, voices(), "", ctx.folder / "without.jpg")

    with Image.open(ctx.folder / "with.jpg") as one, Image.open(ctx.folder / "without.jpg") as two:
        difference = np.abs(np.asarray(one).astype(int) - np.asarray(two)).max(axis=2) > 60
    rows, columns = np.nonzero(difference)
    assert rows.size > 1_000
    assert rows.min() >= captions.SAFE_TOP
    assert rows.max() <= captions.SAFE_BOTTOM
    assert columns.min() >= captions.SAFE_LEFT
    assert columns.max() <= captions.SAFE_RIGHT


def drawn(ctx: StageContext, line: int, who: str, *, number=40) -> Cutaway:
    """What a model drew for the library: all in one colour."""
    path = ctx.data_dir / f"drawn-{who.lower()}.png"
    Image.new("RGB", (64, 96), (250, 240, 10) if who == "Mia" else (10, 240, 250)).save(path)
    return Cutaway(
        line_index=line,
        character=who,
        emotion=Emotion.SURPRISED,
        image_path=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        image_id=number,
    )


def slow(times: float) -> Voices:
    """The same dialogue, spoken more slowly."""
    data = voices().model_dump()
    for line in data["lines"]:
        for timed in (line, *line["words"]):
            for key in ("start", "end", "start_time", "end_time", "duration"):
                if key in timed:
                    timed[key] *= times
    return Voices.model_validate(data | {"total_duration": TOTAL * times})


def stills(timeline: Voices, chosen: Images, ctx: StageContext) -> list[bytes]:
    """Every fifth frame, painted for the reel's stage without encoding it."""
    found = []

    def keep(paint, *, frames, path, **_):
        found.extend(paint(number).tobytes() for number in range(0, frames, 5))
        raise StageCancelled

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StageCancelled):
        patch.setattr(encoder, "encode", keep)
        patch.setattr(sound, "master", lambda *_: None)
        video.run(script(), timeline, chosen, ctx=ctx)
    return found


def test_a_cutaway_changes_the_end_of_its_line_and_no_other_frame(ctx):
    timeline = slow(3)  # lines of 3.9, 3.1 and 2.6 s
    cut = images().model_copy(update={"cutaways": (drawn(ctx, 2, "Rex"),)})

    before, after = stills(timeline, images(), ctx), stills(timeline, cut, ctx)

    changed = [
        5 * n for n, (one, other) in enumerate(zip(before, after, strict=True)) if one != other
    ]
    assert changed
    assert min(changed) >= 210 - 1.3 * 30
    assert max(changed) < 210


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_drawing_that_is_gone_or_has_changed_leaves_the_reel_as_it_was(ctx, harm):
    cutaway = drawn(ctx, 2, "Rex")
    harm(ctx.data_dir / cutaway.image_path)
    cut = images().model_copy(update={"cutaways": (cutaway,)})

    assert stills(slow(3), cut, ctx) == stills(slow(3), images(), ctx)


def test_a_drawing_as_dark_as_a_black_frame_leaves_the_reel_as_it_was(ctx):
    cutaway = drawn(ctx, 2, "Rex")
    path = ctx.data_dir / cutaway.image_path
    image = Image.new("RGB", (64, 96), (9, 8, 12))
    image.paste((250, 200, 30), (30, 50, 36, 56))
    image.save(path)
    dark = cutaway.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    cut = images().model_copy(update={"cutaways": (dark,)})

    assert stills(slow(3), cut, ctx) == stills(slow(3), images(), ctx)


def test_drawings_that_are_seen_are_told_and_are_in_cover_and_storyboard(ctx):
    cover_drawing = drawn(ctx, 1, "Rex", number=41).model_copy(update={"emotion": Emotion.HAPPY})
    chosen = images().model_copy(
        update={
            "cutaways": (drawn(ctx, 1, "Mia", number=42), drawn(ctx, 2, "Mia", number=43)),
            "cover": cover_drawing,
        }
    )
    timeline = slow(3)
    pictured = scene.Scene(
        shots=reactions.with_cutaways(
            video.shots(timeline, chosen, ctx=ctx, fps=30),
            {2: ctx.data_dir / "drawn-mia.png"},
            fps=30,
        ),
        backdrop=np.zeros((1920, 1080, 3), np.uint8),
        levels=np.zeros(400),
    )
    stage = video.stills(pictured, script(), timeline, chosen, ctx)

    assert [one.image_id for one in stage] == [43, 41]
    with Image.open(ctx.folder / "cover.jpg") as image:
        assert share(np.asarray(image), (10, 240, 250)) > 0.7
    with Image.open(ctx.folder / "storyboard.png") as image:
        assert share(np.asarray(image.convert("RGB")), (250, 240, 10)) > 0.08


def test_a_drawing_of_another_line_is_not_put_on_the_cover(ctx):
    chosen = images().model_copy(update={"cover": drawn(ctx, 2, "Mia")})
    pictured = scene.Scene(
        shots=video.shots(voices(), chosen, ctx=ctx, fps=30),
        backdrop=np.zeros((1920, 1080, 3), np.uint8),
        levels=np.zeros(400),
    )

    assert video.stills(pictured, script(), voices(), chosen, ctx) == []
    with Image.open(ctx.folder / "cover.jpg") as image:
        assert share(np.asarray(image), (250, 240, 10)) < 0.01


def left_in(ctx: StageContext) -> set[str]:
    return {path.name for path in ctx.folder.iterdir()} - {PROGRESS_FILE, CANCEL_FILE}


def children() -> set[str]:
    """Ids of the processes whose parent is this one."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


def test_missing_audio_is_a_sentence_and_leaves_no_reel(ctx):
    (ctx.revision_folder / "audio/002.wav").unlink()

    with pytest.raises(UserError, match="line 2"):
        video.run(script(), voices(), images(), ctx=ctx)

    assert left_in(ctx) == set()


def test_a_missing_picture_is_a_sentence_and_leaves_no_reel(ctx):
    (ctx.data_dir / "mia.png").unlink()

    with pytest.raises(UserError, match=r"line 2, mia\.png, is missing"):
        video.run(script(), voices(), images(), ctx=ctx)

    assert left_in(ctx) == set()


def test_a_broken_picture_is_a_sentence_and_leaves_no_reel(ctx):
    (ctx.data_dir / "mia.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")

    with pytest.raises(UserError, match=r"mia\.png is missing or broken"):
        video.run(script(), voices(), images(), ctx=ctx)

    assert left_in(ctx) == set()


def test_a_line_without_a_selection_is_a_sentence(ctx):
    fewer = images().model_copy(update={"selections": images().selections[:2]})

    with pytest.raises(UserError, match="Line 3 has no picture"):
        video.run(script(), voices(), fewer, ctx=ctx)


def test_cancelling_while_frames_are_painted_stops_ffmpeg_and_leaves_no_reel(ctx, monkeypatch):
    painted = []
    paint = scene.Scene.paint

    def paint_and_ask_to_stop(self, frame):
        painted.append(frame)
        if frame == 12:
            (ctx.folder / CANCEL_FILE).touch()
        return paint(self, frame)

    monkeypatch.setattr(scene.Scene, "paint", paint_and_ask_to_stop)
    before = children()

    with pytest.raises(StageCancelled):
        video.run(script(), voices(), images(), ctx=ctx)

    assert 12 <= max(painted) < 40
    assert children() <= before
    assert left_in(ctx) == set()


def test_an_ffmpeg_that_dies_is_an_error_and_leaves_no_reel(ctx, monkeypatch):
    monkeypatch.setattr(encoder, "PICTURE", ["-vf", "nosuchfilter"])

    with pytest.raises(ProviderError, match="writing the reel failed") as caught:
        video.run(script(), voices(), images(), ctx=ctx)

    assert not caught.value.retryable
    assert left_in(ctx) == set()


def test_a_silent_reel_does_not_leave_the_stage(ctx, monkeypatch):
    monkeypatch.setattr(encoder, "FILE", [*encoder.FILE, "-an"])

    with pytest.raises(ProviderError, match="no sound"):
        video.run(script(), voices(), images(), ctx=ctx)

    assert left_in(ctx) == set()


def test_a_black_reel_does_not_leave_the_stage(ctx, monkeypatch):
    black = np.zeros((1920, 1080, 3), np.uint8)
    monkeypatch.setattr(scene.Scene, "paint", lambda self, frame: black)

    with pytest.raises(ProviderError, match="black frames"):
        video.run(script(), voices(), images(), ctx=ctx)

    assert left_in(ctx) == set()


ENCODE = """
import os, sys
import numpy as np
from pathlib import Path
from pipeline.reel import encoder
black = np.zeros((64, 64, 3), np.uint8)
encoder.encode(lambda n: black, frames=3, fps=30, sound=Path(sys.argv[1]), path=Path("x.mov"))
print(os.environ.get("SECRET_OF_THE_TEST", "nothing"))
"""


def test_the_encoder_keeps_moviepy_from_reading_an_env_file(ctx):
    (ctx.data_dir / ".env").write_text("SECRET_OF_THE_TEST=1\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHON_DOTENV_DISABLED"}
    root = Path(__file__).parents[3]

    done = subprocess.run(
        [sys.executable, "-c", ENCODE, str(ctx.revision_folder / "audio/001.wav")],
        cwd=ctx.data_dir,
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "nothing"
