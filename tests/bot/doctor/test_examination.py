"""What the doctor finds, and that looking changes nothing."""

import sqlite3
from contextlib import closing

import discord
import pytest

from bot.doctor import examination, services
from bot.doctor.examination import examine
from bot.doctor.training import training
from bot.sandbox.discord import DiscordSandbox, Permission
from bot.sandbox.instagram import InstagramSandbox
from bot.settings import load_settings


@pytest.fixture(autouse=True)
def _rest_base(monkeypatch):
    """The doctor points discord.py at DISCORD_API_URL; here it is put back afterwards."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)


@pytest.fixture(autouse=True)
def _without_what_takes_seconds(monkeypatch):
    """The weights of the voice, and PyTorch; each is looked at in a test of its own."""
    slow = (services.offline_voice, training)
    checks = tuple(check for check in examination.CHECKS if check not in slow)
    monkeypatch.setattr(examination, "CHECKS", checks)


@pytest.fixture
async def world():
    async with DiscordSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def settings(world, tmp_path):
    def make(**changes):
        values = {
            "data_dir": tmp_path / "data",
            "trends": "offline",
            "discord_token": world.token,
            "discord_api_url": world.api_url,
            "discord_guild_id": world.guild.id,
            "discord_approval_channel_id": world.approvals.id,
            "discord_approver_role_id": world.approver.id,
        }
        return load_settings(None, **(values | changes))

    return make


@pytest.fixture
def findings(capsys):
    """Exit code and everything printed, on one line each."""

    async def look(settings, *, verbose=False, strict=False):
        code = await examine(settings, verbose=verbose, strict=strict)
        printed = capsys.readouterr()
        return code, " ".join(printed.err.split()), printed.out

    return look


async def test_a_good_channel_has_no_problem(settings, findings):
    code, said, result = await findings(settings())
    assert (code, result) == (0, "Everything needed is there.\n")
    assert "error" not in said


async def test_verbose_shows_what_is_fine(settings, findings):
    _, said, _ = await findings(settings(), verbose=True)
    assert "ok discord.py" in said
    assert "ffmpeg encodes libx264" in said
    assert "#approvals: all permissions are there" in said
    assert "folder: 0 of" in said


async def test_looking_changes_nothing(settings, findings, tmp_path):
    await findings(settings())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"discord_token": "wrong.token"}, "Discord refuses DISCORD_TOKEN"),
        ({"discord_guild_id": 1234}, "check DISCORD_GUILD_ID"),
        ({"discord_approver_role_id": 1234}, "DISCORD_APPROVER_ROLE_ID is no role"),
        ({"discord_approval_channel_id": 1234}, "Discord:"),
        ({"discord_api_url": "http://127.0.0.1:9/api/v10"}, "Discord:"),
        ({"show": "gone"}, "There is no show 'gone'"),
        ({"publisher": "instagram"}, "META_ACCESS_TOKEN and INSTAGRAM_USER_ID"),
    ],
)
async def test_what_is_wrong_is_an_error(settings, findings, changes, words):
    code, said, result = await findings(settings(**changes))
    assert (code, result) == (1, "1 problem(s).\n")
    assert words in said


async def test_missing_permissions_are_named(world, settings, findings):
    world.set_permissions(world.approvals, world.guild.everyone, deny=Permission.ATTACH_FILES)
    code, said, _ = await findings(settings())
    assert code == 1
    assert "In #approvals the bot lacks: Attach Files." in said


async def test_without_discord_it_is_a_warning_that_strict_counts(settings, findings):
    without = settings(discord_token=None)
    code, said, _ = await findings(without)
    assert code == 0
    assert "warning Discord is not set up; give DISCORD_TOKEN, for which `emf setup` asks" in said
    assert (await findings(without, strict=True))[0] == 1


async def test_a_damaged_database_is_an_error(settings, findings, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "studio.db").write_bytes(b"not a database at all" * 100)
    code, said, _ = await findings(settings())
    assert code == 1
    assert "restore a file from backups/" in said


async def test_a_whole_database_is_fine(settings, findings, tmp_path):
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "studio.db")) as database:
        database.execute("CREATE TABLE anything (id)")
    _, said, _ = await findings(settings(), verbose=True)
    assert "the database is whole" in said


@pytest.mark.parametrize(("free", "level"), [(1e9, "error"), (20e9, "warning")])
async def test_a_full_disk_is_told(settings, findings, monkeypatch, free, level):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    _, said, _ = await findings(settings())
    assert f"{level} {free / 1e9:.0f}" in said


async def test_instagram_is_asked_for_its_quota(settings, findings):
    async with InstagramSandbox("meta.token") as instagram:
        linked = settings(
            meta_access_token="meta.token",
            instagram_user_id=instagram.user_id,
            instagram_graph_url=instagram.graph_url,
            instagram_upload_url=instagram.upload_url,
        )
        _, said, _ = await findings(linked, verbose=True)
        assert "instagram: 0 of 50 posts used today" in said
        expired = linked.model_copy(
            update={"meta_access_token": settings(meta_access_token="old").meta_access_token}
        )
        assert (await findings(expired))[0] == 1


async def test_voices_are_looked_at(settings):
    (found,) = await services.offline_voice(settings())
    assert "kokoro" in found.text


def test_the_command_exits_with_the_number_of_the_answer(emf):
    ending = emf("doctor", PUBLISHER="instagram")
    assert ending.code == 1
    assert "1 problem(s)." in ending.out
