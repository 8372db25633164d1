from pathlib import Path

import pytest

from bot.settings import Settings, forget_environment, load_settings
from pipeline.errors import UserError


@pytest.fixture
def env_file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / ".env"
        path.write_text(text)
        return path

    return write


def test_an_empty_value_means_unset(env_file):
    settings = load_settings(env_file("ALERT_USER_ID=\nDISCORD_TOKEN=\n"))
    assert settings.alert_user_id is None
    assert settings.discord_token is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("DISCORD_TOKN=abc", "DISCORD_TOKN in .env is not a setting"),
        ("APPROVALS_NEEDED=0", "APPROVALS_NEEDED:"),
        ("APPROVALS_NEEDED=many", "APPROVALS_NEEDED:"),
        ("PUBLISH_CRON=every day", "PUBLISH_CRON:"),
        ("PUBLISH_CRON=61 * * * *", "PUBLISH_CRON:"),
        ("TIMEZONE=Paris/France", "TIMEZONE: there is no time zone Paris/France"),
        ("TRENDS_REGION=usa", "TRENDS_REGION:"),
        ("DISCORD_API_URL=http://evil.example/api", "DISCORD_API_URL:"),
        ("INSTAGRAM_GRAPH_URL=http://graph.facebook.com", "INSTAGRAM_GRAPH_URL:"),
        ("DISCORD_API_URL=http://127.0.0.1:80@evil.example/api", "DISCORD_API_URL:"),
        ("OPENAI_BASE_URL=http://api.openai.com/v1", "OPENAI_BASE_URL:"),
        ("ANTHROPIC_BASE_URL=http://192.168.1.5:8080", "ANTHROPIC_BASE_URL:"),
        ("ELEVENLABS_BASE_URL=ftp://127.0.0.1", "ELEVENLABS_BASE_URL:"),
        ("TRENDS_FEEDS=https://a.example/rss http://b.example/rss", "TRENDS_FEEDS:"),
        ("TRENDS_FEEDS=https://a.example/rss,https://b.example/rss", "TRENDS_FEEDS: write a space"),
        ("MAKE_CRON=;", "^MAKE_CRON: there is no line in it; write one"),
        ("PUBLISH_CRON=;", "^PUBLISH_CRON: there is no line in it; write one"),
        ("DISCORD_APPROVER_ROLE_ID=7\nDISCORD_GUILD_ID=7", "DISCORD_APPROVER_ROLE_ID is @everyone"),
        ("SCRIPT_LINES_MIN=9\nSCRIPT_LINES_MAX=8", "SCRIPT_LINES_MIN is greater"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_its_variable(env_file, line, words):
    with pytest.raises(UserError, match=words) as raised:
        load_settings(env_file(line))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("weekday", ["0", "7", "1-5", "sun"])
def test_crontab_weekdays_are_accepted(env_file, weekday):
    assert load_settings(env_file(f"PUBLISH_CRON=0 18 * * {weekday}")).publish_cron


def test_a_wrong_secret_is_not_repeated(env_file):
    with pytest.raises(UserError) as raised:
        load_settings(env_file("APPROVALS_NEEDED=hunter2secret\nDISCORD_TOKEN=abcdefcanary"))
    assert "canary" not in str(raised.value)
    assert "hunter2secret" not in str(raised.value)


SECRETS = [name for name, field in Settings.model_fields.items() if "Secret" in repr(field)]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("text", ["canary\u200b123456", "canaryé123456", "canary\n123456"])
def test_a_key_that_no_header_carries_is_refused_without_being_shown(name, text):
    with pytest.raises(UserError, match=f"{name.upper()}: holds a character") as raised:
        load_settings(None, **{name: text})
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("name", SECRETS)
def test_spaces_around_a_key_are_no_part_of_it(name):
    assert getattr(load_settings(None, **{name: " canary123\n"}), name).get_secret_value() == (
        "canary123"
    )
    assert getattr(load_settings(None, **{name: " \n"}), name) is None


@pytest.mark.parametrize("images", ["library", "diffusion"])
def test_who_chooses_the_pictures_is_a_setting(env_file, images):
    config = load_settings(env_file(f"IMAGES={images}")).studio_config()
    assert config.images.provider == images


def test_the_environment_wins_over_the_file(env_file, monkeypatch):
    monkeypatch.setenv("SHOW", "other")
    assert load_settings(env_file("SHOW=from_file")).show == "other"


def test_every_setting_leaves_the_environment(monkeypatch):
    monkeypatch.setenv("META_ACCESS_TOKEN", "canary")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    forget_environment()
    assert load_settings(None) == Settings()


def test_the_example_file_is_a_valid_one_and_names_every_setting():
    example = Path(__file__).parents[2] / ".env.example"
    load_settings(example)
    names = {line.partition("=")[0] for line in example.read_text().splitlines() if "=" in line}
    assert {name.upper() for name in Settings.model_fields} <= names


@pytest.mark.parametrize("text", ["garbage line", 'DATA_DIR="unclosed', "LOG_LEVEL"])
def test_a_line_that_is_no_setting_is_not_passed_over(env_file, text):
    with pytest.raises(UserError, match="line 2 is not NAME=value"):
        load_settings(env_file(f"SHOW=x\n{text}\n"))


@pytest.mark.parametrize("what", ["folder", "link"])
def test_an_env_file_that_is_no_file_is_refused(tmp_path, what):
    path = tmp_path / ".env"
    path.mkdir() if what == "folder" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a file"):
        load_settings(path)


def test_an_env_file_of_somebody_else_is_one_sentence(env_file, monkeypatch):
    path = env_file("SHOW=x\n")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\); give yourself"):
        load_settings(path)


def test_an_env_file_in_another_encoding_is_one_sentence(tmp_path):
    (tmp_path / ".env").write_bytes("SHOW=caf\xe9".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_settings(tmp_path / ".env")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfSHOW=mine\r\nLOG_LEVEL=debug\r\n")
    settings = load_settings(tmp_path / ".env")
    assert (settings.show, settings.log_level) == ("mine", "DEBUG")


def test_a_home_in_data_dir_is_that_home(env_file, monkeypatch):
    monkeypatch.setenv("HOME", "/home/margot")
    assert load_settings(env_file("DATA_DIR=~/reels")).data_dir == Path("/home/margot/reels")
