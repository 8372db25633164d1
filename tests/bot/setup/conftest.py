"""One sitting of `emf setup`, with the answers typed ahead and services on this machine."""

import asyncio
import io
import threading
from contextlib import contextmanager

import discord
import pytest
from standins.anthropic import KEY as ANTHROPIC_KEY
from standins.anthropic import Anthropic
from standins.elevenlabs import KEY, Elevenlabs
from standins.openai import KEY as OPENAI_KEY
from standins.openai import OpenAI

from bot.doctor import examination, machine, services
from bot.doctor.training import training
from bot.env_file import values_in
from bot.sandbox.discord import DiscordSandbox
from bot.sandbox.instagram import InstagramSandbox

TOKEN = "loopback.canary.discord"
META_TOKEN = "EAAcanary0meta0token"
CANARIES = (TOKEN, META_TOKEN, OPENAI_KEY, ANTHROPIC_KEY, KEY, "canary")


@pytest.fixture(autouse=True)
def _rest_base(monkeypatch):
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)


@pytest.fixture(autouse=True)
def _short_doctor(monkeypatch):
    """The doctor's own tests look at this machine; here it looks at what was answered."""
    slow = (machine.python_and_packages, machine.ffmpeg, services.offline_voice, training)
    checks = tuple(check for check in examination.CHECKS if check not in slow)
    monkeypatch.setattr(examination, "CHECKS", checks)


@contextmanager
def running(sandbox):
    """An async sandbox in a thread of its own: the setup is sync and has loops of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(sandbox.__aenter__(), loop).result(10)
    try:
        yield sandbox
    finally:
        asyncio.run_coroutine_threadsafe(sandbox.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def world():
    with running(DiscordSandbox(token=TOKEN)) as sandbox:
        yield sandbox


@pytest.fixture
def instagram():
    with running(InstagramSandbox(META_TOKEN)) as sandbox:
        yield sandbox


@pytest.fixture
def openai():
    with OpenAI(models=("gpt-5-mini", "gpt-x")) as service:
        yield service


@pytest.fixture
def anthropic():
    with Anthropic(models=("claude-haiku-4-5",)) as service:
        yield service


@pytest.fixture
def elevenlabs():
    with Elevenlabs(plan="creator", used=1_000, quota=99_000) as service:
        yield service


@pytest.fixture
def env_file(tmp_path):
    return tmp_path / ".env"


@pytest.fixture
def sit(emf, env_file, monkeypatch):
    """`sit(discord=[...], writer=[...])`: the answers of each part; what is left out is Enter.

    No key may be printed.
    """

    def answer(**parts):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(_all(parts)) + "\n"))
        ending = emf("setup")
        for canary in CANARIES:
            assert canary not in ending.out + ending.err
        return ending

    return answer


def _all(parts):
    order = {"begin": [], "discord": [""], "writer": [""], "voices": [""], "instagram": [""]}
    order |= {"times": ["", ""], "budgets": []}
    assert parts.keys() <= order.keys()
    return [line for name, usual in order.items() for line in parts.get(name, usual)]


@pytest.fixture
def written(env_file):
    """The settings in .env."""
    return lambda: values_in(env_file.read_text())
