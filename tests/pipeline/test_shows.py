import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.shows import BUNDLED, load_show, read_show


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
