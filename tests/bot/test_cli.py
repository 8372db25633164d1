"""What `emf` refuses: one sentence, exit code 2, and nothing is written."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.folder import DataFolder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def is_one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith(".\n") and "Traceback" not in text


def without_lines(script: str, count: int) -> str:
    data = json.loads(script)
    return json.dumps({"lines": (data["lines"] * 20)[:count]})


@pytest.mark.parametrize("stage", ["voices", "images"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text.replace("Nutsy", "Bob"), "no character 'Bob'"),
        (lambda text: text.replace("Coffee again?", ""), "`text` of line 1 is empty"),
        (lambda text: text.replace("Coffee again?", "  "), "ine 1"),
        (lambda text: without_lines(text, 3), "3"),
        (lambda text: without_lines(text, 40), "40"),
        (lambda text: "Dear Butcher,", "is not JSON"),
        (lambda text: "", "is not JSON"),
        (lambda text: text.replace("sarcastic", "smug"), "`emotion` of line 1 must be one of"),
        (
            lambda text: text.replace('"sad"', '"sad", "audio_file": "../../etc/passwd"'),
            "`audio_file` of line 5 is not a part of a script",
        ),
    ],
)
def test_a_wrong_script_is_refused(emf, tmp_path, script_text, stage, spoil, words):
    (tmp_path / "mine.json").write_text(spoil(script_text))
    before = tree(tmp_path)
    ending = emf(stage, "mine.json")
    assert ending.code == 2
    assert is_one_sentence(ending.err)
    assert words in ending.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("voices", "gone.json"), "There is no file gone.json"),
        (("voices", "."), "is not a file"),
        (("script", "--topic", "mass shooting"), "Choose another topic"),
        (("make", "--topic", "plane crash"), "Choose another topic"),
        (("demo", "--topic", "plane crash", "--dir", "evening"), "Choose another topic"),
        (("script", "--topic", "東京"), "not in Latin letters"),
        (("make", "--topic", "东京"), "not in Latin letters"),
        (("script", "--topic", " "), "The topic is empty"),
        (("script", "--topic", "very " * 40), "longer than 120 characters"),
        (("script", "--topic", "tea", "--from-trends"), "not both"),
        (("script", "--topic", "tea", "--output", "gone/tea.json"), "cannot be written"),
        (("script", "--days", "99"), "Invalid value for '--days'"),
        (("script", "--topic"), "requires an argument"),
        (("video", "99"), "There is no database"),
        (("video", "ninety"), "Invalid value for 'episode'"),
        (("publish", "99"), "There is no database"),
        (("publish", "99", "--dry-run"), "There is no database"),
        (("trends", "list"), "There is no database"),
        (("db", "check"), "There is no database"),
        (("db", "backup", "copy.db"), "There is no database"),
        (("db", "backup", "gone/copy.db"), "There is no folder gone"),
        (("dance",), "No such command 'dance'"),
        (("run",), "DISCORD_TOKEN, DISCORD_GUILD_ID"),
    ],
)
def test_a_wrong_wish_is_refused(emf, tmp_path, words, said):
    ending = emf(*words)
    assert ending.code == 2
    assert is_one_sentence(ending.err)
    assert said in ending.err
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("command", [("db", "init"), ("script", "--topic", "tea"), ("run",)])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PUBLISH_CRON", "every day", "PUBLISH_CRON: `every day` is not a crontab line"),
        ("PUBLISH_CRON", "0 18 * * 8", "PUBLISH_CRON: `0 18 * * 8` cannot be read"),
        ("PUBLISH_CRON", "0 0 31 2 *", "PUBLISH_CRON: `0 0 31 2 *` never comes"),
        ("MAKE_CRON", "noon", "MAKE_CRON: `noon` is not a crontab line"),
        ("APPROVALS_NEEDED", "0", "APPROVALS_NEEDED"),
    ],
)
def test_a_wrong_setting_is_refused(emf, tmp_path, command, name, value, said):
    token = {"DISCORD_TOKEN": "abc.def", "DISCORD_GUILD_ID": "1"}
    ids = {"DISCORD_APPROVAL_CHANNEL_ID": "2", "DISCORD_APPROVER_ROLE_ID": "3"}
    ending = emf(*command, **token, **ids, **{name: value})
    assert ending.code == 2
    assert is_one_sentence(ending.err)
    assert said in ending.err
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ELEVENLABS_VOICE_BUTCHER": "abc"}, "Nutsy has no voice at ElevenLabs; set ELEVENLABS_"),
        ({"VOICE": "offline", "PUBLISHER": "instagram"}, "Instagram needs META_ACCESS_TOKEN"),
        ({"VOICE": "offline", "META_ACCESS_TOKEN": "EAA0"}, "Instagram needs META_ACCESS_TOKEN"),
    ],
)
@pytest.mark.parametrize("command", ["make", "run"])
def test_half_of_an_account_is_refused_before_anything_is_paid_or_written(
    emf, tmp_path, command, given, said
):
    discord = ("TOKEN", "GUILD_ID", "APPROVAL_CHANNEL_ID", "APPROVER_ROLE_ID")
    ids = {f"DISCORD_{name}": str(number) for number, name in enumerate(discord, 1)}
    ending = emf(command, ELEVENLABS_API_KEY="sk_key", **ids, **given)
    assert (ending.code, is_one_sentence(ending.err)) == (2, True)
    assert said in ending.err
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("show", ["gone", "../secrets"])
def test_an_unknown_show_is_refused(emf, tmp_path, show):
    ending = emf("script", "--topic", "tea", SHOW=show)
    assert (ending.code, is_one_sentence(ending.err)) == (2, True)
    assert show in ending.err
    assert tree(tmp_path) == {}


def test_everyone_cannot_be_the_approver_role(emf, tmp_path):
    ending = emf("db", "init", DISCORD_GUILD_ID="7", DISCORD_APPROVER_ROLE_ID="7")
    assert (ending.code, is_one_sentence(ending.err)) == (2, True)
    assert "@everyone" in ending.err
    assert tree(tmp_path) == {}


def test_an_unknown_name_in_the_env_file_is_refused(emf, tmp_path):
    (tmp_path / ".env").write_text("DISCORD_TOKN=abc\n")
    ending = emf("db", "init")
    assert (ending.code, is_one_sentence(ending.err)) == (2, True)
    assert "DISCORD_TOKN" in ending.err
    assert list(tree(tmp_path)) == [".env"]


@pytest.mark.parametrize(
    "command",
    [("db", "init"), ("script", "--topic", "tea"), ("make",), ("trends", "fetch")],
)
@pytest.mark.parametrize("place", ["file/data", "/proc/nowhere"])
def test_a_data_dir_that_cannot_be_written_is_refused(emf, tmp_path, command, place):
    (tmp_path / "file").write_text("")
    ending = emf(*command, DATA_DIR=place)
    assert (ending.code, is_one_sentence(ending.err)) == (2, True)
    assert f"DATA_DIR={place} cannot be written" in ending.err
    assert list(tree(tmp_path)) == ["file"]


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("script", "--topic", "tea"), "/script write"),
        (("make",), "/make"),
        (("trends", "fetch"), "/trends fetch"),
    ],
)
def test_a_writing_command_beside_a_bot_names_the_slash_command(emf, tmp_path, command, instead):
    with DataFolder(tmp_path / "data").lock("A bot"):
        before = tree(tmp_path)
        ending = emf(*command)
        assert tree(tmp_path) == before
    assert (ending.code, is_one_sentence(ending.err)) == (2, True)
    assert "A bot" in ending.err
    assert f"For this one: {instead}." in ending.err


def test_sunday_may_be_written_as_weekday_seven(emf):
    assert emf("db", "init", PUBLISH_CRON="0 18 * * 7").code == 0


@pytest.mark.parametrize(
    "command", [("video", "99"), ("publish", "99"), ("publish", "99", "--dry-run")]
)
def test_an_unknown_episode_changes_nothing(emf, tmp_path, command):
    emf("db", "init")
    names = set(tree(tmp_path))
    ending = emf(*command)
    assert (ending.code, ending.err) == (2, "There is no episode 99.\n")
    assert set(tree(tmp_path)) == names


@pytest.mark.parametrize("command", [(), ("db",), ("trends",)])
def test_without_a_command_the_help_is_shown(emf, command):
    ending = emf(*command)
    assert ending.code == 2
    assert "Usage:" in ending.out


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_help_loads_neither_torch_nor_moviepy_nor_discord(record_testsuite_property):
    began = time.monotonic()
    loaded = python(
        "import sys, atexit; sys.argv = ['emf', '--help']\n"
        "heavy = ('torch', 'moviepy', 'discord', 'numpy', 'onnxruntime', 'PIL', 'pydantic')\n"
        "atexit.register(lambda: print('loaded:', [n for n in heavy if n in sys.modules]))\n"
        "from bot.__main__ import main; main()"
    )
    record_testsuite_property("emf_help_s", round(time.monotonic() - began, 2))
    assert "publish" in loaded
    assert loaded.strip().endswith("loaded: []")


def test_python_m_bot_is_the_same_command():
    module = [sys.executable, "-m", "bot", "dance"]
    done = subprocess.run(module, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "No such command 'dance'; see `emf --help`.\n"
