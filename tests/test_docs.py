"""The README and .env.example keep up with the code."""

import re
from pathlib import Path

import pytest
import typer.main

from bot.cli import app
from bot.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
SETTINGS = sorted(name.upper() for name in Settings.model_fields)


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def env_example():
    return (ROOT / ".env.example").read_text()


def commands_of(command, prefix=""):
    for name, child in command.commands.items():
        below = getattr(child, "commands", None)
        yield from commands_of(child, f"{prefix}{name} ") if below else [f"{prefix}{name}"]


TYPED = sorted(commands_of(typer.main.get_command(app)))


def slash_commands():
    """As the cogs declare them: groups and their commands, and those of the top level."""
    for path in sorted((ROOT / "cogs").glob("[a-z]*.py")):
        text = path.read_text()
        group = re.search(r'hybrid_group\(name="([\w-]+)"', text)
        for owner, name in re.findall(r'@(\w+)\.(?:hybrid_)?command\(\s*name="([\w-]+)"', text):
            yield f"/{name}" if owner == "commands" else f"/{group[1]} {name}"


SLASH = sorted(slash_commands())


def test_the_lists_are_complete():
    assert len(SETTINGS) > 40
    assert {"demo", "db backup", "trends list", "publish"} <= set(TYPED)
    assert {"/make", "/status", "/help", "/publish dry-run", "/script edit"} <= set(SLASH)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_in_the_readme(readme, setting):
    assert re.search(rf"\b{setting}\b", readme)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_in_the_example(env_example, setting):
    assert re.search(rf"^{setting}=", env_example, re.MULTILINE)


@pytest.mark.parametrize("command", TYPED)
def test_every_typed_command_is_in_the_readme(readme, command):
    assert f"emf {command}" in readme


@pytest.mark.parametrize("command", SLASH)
def test_every_slash_command_is_in_the_readme(readme, command):
    assert command in readme


def test_the_example_is_a_valid_env_file_that_changes_nothing():
    example = load_settings(ROOT / ".env.example")
    assert example == load_settings(None)
