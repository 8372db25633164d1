"""Whether a running bot says that it is well."""

import json
import socket

import pytest

from bot.health import PORT_FILE, answering, ask
from bot.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings(None, data_dir=tmp_path)


@pytest.mark.parametrize(("state", "code"), [({"ok": True}, 0), ({"ok": False}, 1), ({}, 1)])
async def test_the_bot_says_how_it_is(settings, tmp_path, capsys, state, code):
    async with answering(tmp_path, lambda: state):
        assert await ask(settings) == code
    assert json.loads(capsys.readouterr().out) == state


async def test_no_bot_is_not_well(settings, capsys):
    assert await ask(settings) == 1
    assert "`emf run` starts one" in capsys.readouterr().err


@pytest.mark.parametrize("left", ["1", "no number", "99999999"])
async def test_what_a_killed_bot_left_behind_is_not_well(settings, tmp_path, left):
    (tmp_path / PORT_FILE).parent.mkdir()
    (tmp_path / PORT_FILE).write_text(left)
    assert await ask(settings) == 1


async def test_a_bot_that_hangs_is_not_well(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("bot.health.TIMEOUT_S", 0.05)
    async with answering(tmp_path, lambda: {"ok": True}):
        port_file = tmp_path / PORT_FILE
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port_file.write_text(str(silent.getsockname()[1]))
            assert await ask(settings) == 1


async def test_a_bot_that_breaks_off_is_not_well(settings, tmp_path):
    def break_off():
        raise ConnectionError

    async with answering(tmp_path, break_off):
        assert await ask(settings) == 1


async def test_the_port_is_gone_after_the_end(tmp_path):
    async with answering(tmp_path, dict):
        assert (tmp_path / PORT_FILE).exists()
    assert not (tmp_path / PORT_FILE).exists()


def test_the_command_asks(emf):
    assert emf("health").code == 1
