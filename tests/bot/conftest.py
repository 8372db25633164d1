"""The command line in this process: what it prints, how it ends, what it leaves behind."""

import logging
import sys
from dataclasses import dataclass

import pytest

from bot.cli import run


@dataclass(frozen=True)
class Ending:
    code: int
    out: str
    err: str


@pytest.fixture
def emf(tmp_path, monkeypatch, capsys):
    """`emf("script", "--topic", "tea", TIMEZONE="UTC")`, in an empty folder, as a person does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", "data")
    monkeypatch.setenv("TRENDS", "offline")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def call(*words: str, **environment: str) -> Ending:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["emf", *words])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        return Ending(int(ended.value.code or 0), printed.out, printed.err)

    yield call
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def script_text():
    """Five good lines."""
    return (
        '{"lines": ['
        '{"character": "Butcher", "text": "Coffee again?", "emotion": "sarcastic"},'
        '{"character": "Nutsy", "text": "Yes! Coffee! Yes!", "emotion": "excited"},'
        '{"character": "Butcher", "text": "You had nine cups.", "emotion": "angry"},'
        '{"character": "Nutsy", "text": "Ten! I can hear colours!", "emotion": "happy"},'
        '{"character": "Butcher", "text": "Then hear me leave.", "emotion": "sad"}]}'
    )
