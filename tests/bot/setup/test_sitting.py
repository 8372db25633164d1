"""A whole sitting: what is written, when, and what stays as it was."""

import contextlib
import io
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import load_settings


def test_enter_for_everything_leaves_the_settings_as_they_were(sit, env_file):
    text = "# mine\nTIMEZONE=Europe/Paris # home\nexport SHOW=butcher_and_nutsy\nVIDEO_FPS=25\n"
    env_file.write_text(text)
    ending = sit()
    assert ending.code == 0
    assert env_file.read_text() == text
    before = load_settings(None, timezone="Europe/Paris", video_fps=25)
    assert load_settings(env_file) == before


def test_the_file_is_for_its_owner_only_and_nothing_lies_beside_it(sit, env_file, tmp_path):
    env_file.write_text("SHOW=butcher_and_nutsy\n")
    env_file.chmod(0o644)
    sit(times=["Asia/Tokyo", "7:05, 18:30"])
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_the_end_names_the_next_command(sit):
    ending = sit()
    assert "warning  Discord is not set up" in ending.err
    assert ending.out.rstrip().endswith("Next: `emf setup`.")


def test_answers_that_end_early_keep_what_is_left(emf, monkeypatch, written):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert emf("setup").code == 0
    assert "DISCORD_TOKEN" not in written()


def test_times_become_a_crontab_and_the_zone_is_checked(sit, written):
    ending = sit(times=["Paris", "Mars/Base", "Europe/Paris", "7:05, 18:30"])
    assert "Time zone, like Europe/Paris (UTC):" in ending.out
    assert "TIMEZONE: there is no time zone Paris; write one like Europe/Paris." in ending.out
    assert written()["TIMEZONE"] == "Europe/Paris"
    assert written()["PUBLISH_CRON"] == "5 7 * * *;30 18 * * *"
    assert "The next slot:" in ending.out


def test_a_crontab_is_taken_as_it_is_and_a_wrong_one_is_asked_again(sit, written):
    ending = sit(times=["", "every day", "25:00", "0 9 * * 1-5;0 20 * * 0"])
    assert ending.out.count("PUBLISH_CRON:") == 2
    assert written()["PUBLISH_CRON"] == "0 9 * * 1-5;0 20 * * 0"


def test_after_three_wrong_answers_it_goes_on_without(sit, written):
    ending = sit(times=["a", "b", "c", "12:00"])
    assert "This stays as it was" in ending.out
    assert "TIMEZONE" not in written()
    assert written()["PUBLISH_CRON"] == "0 12 * * *"


@pytest.mark.parametrize("answer", ["Europe/\x1b[31mParis", "Europe/\x00Paris", "Europe/\u2028"])
def test_control_characters_are_refused(sit, written, answer):
    ending = sit(times=[f"x{answer}x", "Asia/Tokyo", ""])
    assert "holds a character that no setting has" in ending.out
    assert "\x1b" not in ending.out
    assert written()["TIMEZONE"] == "Asia/Tokyo"


def test_what_pasting_leaves_is_taken_off(sit, written):
    sit(times=["  \x1b[200~Asia/Tokyo\x1b[201~ \r", ""])
    assert written()["TIMEZONE"] == "Asia/Tokyo"


def test_a_dash_empties_a_setting(sit, env_file, written):
    env_file.write_text("TIMEZONE=Asia/Tokyo\n")
    sit(times=["-", ""])
    assert "TIMEZONE" not in written()


def test_a_file_that_cannot_be_read_is_refused_and_stays(sit, env_file):
    env_file.write_text("DISCORD_TOKN=abc\n")
    ending = sit()
    assert (ending.code, env_file.read_text()) == (2, "DISCORD_TOKN=abc\n")
    assert "DISCORD_TOKN in .env is not a setting" in ending.err


def test_the_environment_is_named_for_it_wins(sit, monkeypatch):
    monkeypatch.setenv("TIMEZONE", "Asia/Tokyo")
    assert "wins over .env: DATA_DIR, TIMEZONE, TRENDS." in sit().out


def test_no_lock_of_the_data_is_needed(sit, tmp_path):
    from storage.folder import DataFolder

    with DataFolder(tmp_path / "data").lock("A bot"):
        assert sit(times=["Asia/Tokyo", ""]).code == 0


class Interrupted(io.StringIO):
    """Ctrl+C once the answers are used up."""

    def readline(self, *args):
        line = super().readline(*args)
        if not line:
            raise KeyboardInterrupt
        return line


def test_ctrl_c_leaves_the_file_and_the_next_sitting_goes_on(
    emf, sit, env_file, written, monkeypatch, openai
):
    text = f"TIMEZONE=Asia/Tokyo\nOPENAI_BASE_URL={openai.url}/v1\n"
    env_file.write_text(text)
    answers = ["", "openai", "", openai.key, "gpt-x", ""]
    monkeypatch.setattr("sys.stdin", Interrupted("\n".join(answers) + "\n"))
    ending = emf("setup")
    assert (ending.code, ending.err.count("\n")) == (130, 1)
    assert env_file.read_text() == text
    kept = env_file.with_name(".env.unfinished")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    sit(begin=["y"], writer=["", "", "", ""], budgets=["", ""])
    assert (written()["OPENAI_API_KEY"], written()["LLM_MODEL"]) == (openai.key, "gpt-x")
    assert not kept.exists()


def test_the_answers_of_an_earlier_sitting_may_be_dropped(sit, env_file, written):
    env_file.with_name(".env.unfinished").write_text("TIMEZONE=Asia/Tokyo\n")
    sit(begin=["n"])
    assert "TIMEZONE" not in written()
    assert not env_file.with_name(".env.unfinished").exists()


def test_on_a_terminal_a_secret_is_not_echoed(tmp_path):
    """Other answers are, by the terminal itself; an address that refuses keeps it all offline."""
    api = "DISCORD_API_URL=http://127.0.0.1:9/api/v10\n"
    (tmp_path / ".env").write_text(api)
    here, there = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "TERM": "dumb"}
    command = [sys.executable, "-m", "bot", "setup"]
    with (
        os.fdopen(here, "r+b", buffering=0) as terminal,
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
        ) as setup,
    ):
        os.close(there)
        seen = _until(terminal, b"(not set): ")
        terminal.write(b"tty.canary.token\n")
        seen += _until(terminal, b"Keep it all the same? [y/N] ")
        terminal.write(b"n\n")
        seen += _until(terminal, b"(not set): ")
        terminal.write(b"\n")
        seen += _until(terminal, b"Writer: ")
        setup.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # it has ended already
            terminal.write(b"\n")  # a signal between the prompt and the read waits for a line
        try:
            assert setup.wait(60) == 130
        finally:
            setup.kill()
    assert b"canary" not in seen
    assert (tmp_path / ".env").read_text() == api


def _interrupted(process, terminal):
    """The exit code; Ctrl+C is pressed again where Python has lost the first one in a callback."""
    for patience_s in (20, 20, 20):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # it has ended already
            terminal.write(b"\n")  # a signal between the prompt and the read waits for a line
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(patience_s)
    return None


def _until(terminal, words):
    seen = b""
    while not seen.endswith(words):
        read = terminal.read(1)
        assert read, seen
        seen += read
    return seen
