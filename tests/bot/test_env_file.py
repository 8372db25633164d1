"""`.env` is changed without losing what people wrote, and reads back what was typed."""

import random
import stat

import pytest

from bot.env_file import read_text, values_in, with_values, write_privately, written
from bot.settings import load_settings
from pipeline.errors import UserError

HARD = [
    "plain",
    "two words",
    "a#b",
    "a #b",
    "#a",
    "it's",
    'say "hi"',
    "'quoted'",
    '"quoted"',
    """both ' and " # here""",
    "back\\slash",
    "ends in a backslash\\",
    "'odd # \\",
    "\\' \\\" \\n # x",
    "$HOME",
    "${HOME}",
    "${HOME:-x} # ${",
    "${:-$}",
    "}${",
    "café 東京 🐿️",
    "0 18 * * *;30 9 * * 1-5",
    "a=b=c",
    "export X=1",
    "`id`",
]


@pytest.mark.parametrize("value", HARD)
def test_the_application_reads_exactly_what_was_typed(tmp_path, value):
    path = tmp_path / ".env"
    path.write_text(with_values("LLM_MODEL=before\nSHOW='other'\n", {"LLM_MODEL": value}))
    settings = load_settings(path)
    assert (settings.llm_model, settings.show) == (value, "other")


def test_any_printable_text_reads_back():
    dice = random.Random(7)
    for _ in range(300):
        value = "".join(dice.choices("ab '\"\\#$%{}:-=é  ", k=dice.randint(1, 12))).strip()
        text = with_values("A=1 # note\nB='2'\n", {"A": value, "C": value})
        assert values_in(text) == {"B": "2"} | ({"A": value, "C": value} if value else {})


@pytest.mark.parametrize("value", ["simple", "two words", "a#b", "it's", "0 18 * * *", "sk-123"])
def test_what_needs_no_quotes_gets_none(value):
    assert written(value) == value


@pytest.mark.parametrize("value", ["a\nb", "a\rDISCORD_TOKEN=x", "a\x1b[0m", "a\x00", "a\u2028b"])
def test_no_line_break_or_control_character_is_written(value):
    with pytest.raises(ValueError, match="holds a line break"):
        written(value)


BEFORE = """\
# My channel
export SHOW = 'mine'  # the show

  TIMEZONE=Europe/Paris   # home
VIDEO_FPS=25
# DATA_DIR=elsewhere
DISCORD_TOKEN= # to come
LLM_MODEL=#x
LOG_LEVEL=\
"""


def test_comments_order_and_other_lines_stay():
    after = with_values(
        BEFORE,
        {
            "TIMEZONE": "Asia/Tokyo",
            "SHOW": "it's # new",
            "DISCORD_TOKEN": "t.o.k",
            "LLM_MODEL": "y",
            "LOG_LEVEL": "DEBUG",
            "DATA_DIR": "here",
        },
    )
    assert (
        after
        == """\
# My channel
export SHOW ='it\\'s # new'  # the show

  TIMEZONE=Asia/Tokyo   # home
VIDEO_FPS=25
# DATA_DIR=elsewhere
DISCORD_TOKEN=t.o.k # to come
LLM_MODEL=y
LOG_LEVEL=DEBUG
DATA_DIR=here
"""
    )


def test_a_value_that_is_taken_away_leaves_its_line_empty():
    assert with_values("SHOW=mine # x\n", {"SHOW": ""}) == "SHOW= # x\n"


def test_nothing_to_change_changes_no_byte():
    assert with_values(BEFORE, {}) == BEFORE


def test_of_a_name_that_is_there_twice_the_one_that_counts_is_changed():
    assert with_values("SHOW=a\nSHOW=b\n", {"SHOW": "c"}) == "SHOW=a\nSHOW=c\n"


def test_a_value_over_several_lines_is_replaced_whole():
    assert with_values('SHOW="a\nb"\nX=1\n', {"SHOW": "c"}) == "SHOW=c\nX=1\n"


def test_line_ends_of_windows_stay(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfSHOW=a\r\nLLM_MODEL=b\r\n")
    text = with_values(read_text(path), {"SHOW": "c", "LOG_LEVEL": "INFO"})
    assert text == "SHOW=c\r\nLLM_MODEL=b\r\nLOG_LEVEL=INFO\r\n"


def test_a_new_file_begins_with_the_example(tmp_path):
    (tmp_path / ".env.example").write_text("# the bot\nDISCORD_TOKEN=\n")
    assert with_values(read_text(tmp_path / ".env"), {"DISCORD_TOKEN": "x"}) == (
        "# the bot\nDISCORD_TOKEN=x\n"
    )


def test_only_the_owner_can_read_it(tmp_path):
    path = tmp_path / ".env"
    path.write_text("old")
    path.chmod(0o644)
    write_privately(path, "SHOW=new\n")
    assert path.read_text() == "SHOW=new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / ".env").symlink_to(tmp_path / "real")
    write_privately(tmp_path / ".env", "SHOW=new\n")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").read_text() == "SHOW=new\n"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match=r"cannot be written .*make its folder writable"):
        write_privately(tmp_path / "taken" / ".env", "SHOW=new\n")
