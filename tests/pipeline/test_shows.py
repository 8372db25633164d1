import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.sections import Emotion
from pipeline.shows import BUNDLED, ElevenLabsSettings, load_show, read_show


@pytest.fixture
def show_with(tmp_path: Path):
    """The bundled show with one caption template of its own, as a folder."""

    def make(template: str) -> Path:
        folder = tmp_path / "ours"
        shutil.copytree(BUNDLED / "butcher_and_nutsy", folder)
        file = folder / "show.yaml"
        data = yaml.safe_load(file.read_text(encoding="utf-8")) | {"caption_template": template}
        file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        return folder

    return make


def test_the_bundled_show_numbers_its_posts():
    text = load_show("butcher_and_nutsy").post_text(12, "Coffee again.", ("dogs", "nuts"))
    assert text.startswith("Coffee again.")
    assert "No. 12" in text
    assert text.endswith("#dogs #nuts")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{caption} {episode} {name}", "there is no {name}; write {{ for a brace"),
        ("{caption} {episode} {}", "there is no {}"),
        ("{caption.title} {episode}", "there is no {caption.title}"),
        ("{caption} No. 1", "it must contain {episode}"),
        ("{title} {episode}", "it must contain {caption}"),
        ("{caption} {episode", "expected '}'"),
        ("{caption:d} {episode}", "Unknown format code"),
        ("{caption:{width}} {episode}", "there is no {width}"),
    ],
)
def test_a_caption_template_that_cannot_be_filled_is_refused_when_the_show_is_read(
    show_with, template, words
):
    folder = show_with(template)
    with pytest.raises(UserError) as refused:
        read_show(folder)
    assert "show.yaml: caption_template: " in str(refused.value)
    assert words in str(refused.value)


def test_a_template_may_leave_out_title_and_hashtags_and_write_braces(show_with):
    show = read_show(show_with("{{{episode:03d}}} {caption}"))
    assert show.post_text(7, "Tea.", ("nuts",)) == "{007} Tea."


def show_of(tmp_path: Path, **elevenlabs: object) -> Path:
    folder = tmp_path / "ours"
    shutil.copytree(BUNDLED / "butcher_and_nutsy", folder)
    data = yaml.safe_load((folder / "show.yaml").read_text(encoding="utf-8"))
    data["characters"][0]["elevenlabs"] = elevenlabs
    (folder / "show.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return folder


def test_an_emotion_overrides_what_it_names_and_nothing_else(tmp_path):
    folder = show_of(tmp_path, stability=0.6, speed=0.9, emotions={"angry": {"stability": 0.2}})
    style = read_show(folder).characters[0].elevenlabs
    assert style.settings(Emotion.ANGRY) == ElevenLabsSettings(
        stability=0.2, similarity_boost=0.75, style=0.0, speed=0.9, use_speaker_boost=True
    )
    assert style.settings(Emotion.HAPPY).stability == 0.6


def test_the_characters_of_the_bundled_show_sound_different_in_every_emotion():
    dry, wild = load_show("butcher_and_nutsy").characters
    for emotion in Emotion:
        assert dry.elevenlabs.settings(emotion) != wild.elevenlabs.settings(emotion)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"stability": 1.1}, "elevenlabs.stability"),
        ({"speed": 0.6}, "elevenlabs.speed"),
        ({"voice": "../../v1/user"}, "elevenlabs.voice"),
        ({"loudness": 3}, "elevenlabs.loudness"),
        ({"emotions": {"furious": {}}}, "elevenlabs.emotions.furious"),
        ({"emotions": {"angry": {"style": -1}}}, "elevenlabs.emotions.angry.style"),
    ],
)
def test_a_setting_that_the_service_would_refuse_is_named(tmp_path, wrong, where):
    with pytest.raises(UserError, match=where):
        read_show(show_of(tmp_path, **wrong))
