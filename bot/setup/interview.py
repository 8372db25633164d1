"""What has been answered so far, and the file that it goes into.

The answers of a finished part are kept in `.env.unfinished`, so that nothing is lost when people
stop in the middle; `.env` itself changes once, at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from bot.env_file import read_text, refuse_unreadable, values_in, with_values, write_privately
from bot.settings import CORRECT_IT, Settings, load_settings
from bot.setup.person import Person
from pipeline.errors import ProviderError, UserError

CLEAR = "-"
"""The answer that empties a setting."""


class Interview:
    """`values` are the file's settings with the answers on top; `outside` are the environment's,
    which win over them when the channel runs."""

    def __init__(self, person: Person, env_file: Path, outside: Mapping[str, str]) -> None:
        self.person = person
        self._outside = outside
        self.env_file = env_file
        self.unfinished = env_file.with_name(f"{env_file.name}.unfinished")
        self._text = self._begin()
        self.values = values_in(self._text)
        self._answers: dict[str, str] = {}

    def _begin(self) -> str:
        refuse_unreadable(self.env_file)
        load_settings(self.env_file if self.env_file.exists() else None)
        if self.unfinished.exists():
            question = "An earlier setup was stopped. Go on with its answers?"
            if self.person.agrees(question, otherwise=True):
                refuse_unreadable(self.unfinished)
                return read_text(self.unfinished)
            self.unfinished.unlink()
        return read_text(self.env_file)

    def settings(self) -> Settings:
        """As they are by now; UserError when the answers do not fit together."""
        given = {**self.values, **self._outside}
        return load_settings(None, **{name.lower(): text for name, text in given.items()})

    def title(self, text: str) -> None:
        self.person.say(f"\n{text}")

    def put(self, name: str, value: str) -> None:
        """An answer; empty means unset."""
        if value == self.values.get(name, ""):
            return
        self._answers[name] = value
        self.values[name] = value
        if not value:
            del self.values[name]

    def name(self, setting: str, provider: str) -> None:
        """Choose a provider by its name, unless `auto` takes it anyway."""
        chosen = {
            "WRITER": Settings.writer_choice,
            "VOICE": Settings.voice_choice,
            "PUBLISHER": Settings.publisher_choice,
        }[setting]
        if chosen(self.settings()) != provider:
            self.put(setting, provider)

    def choose_service(
        self,
        setting: str,
        question: str,
        options: Sequence[tuple[str, str]],
        *,
        present: str,
        set_up: Callable[[Interview], None],
    ) -> None:
        """The first option needs no service; `set_up` asks for what the other one needs."""
        choice = self.person.persist(lambda: self.person.choose(question, options, present=present))
        if choice == options[0][0]:
            self.name(setting, choice)
        elif choice is not None:
            set_up(self)

    def ask(
        self, name: str, question: str, check: Callable[[str], str | None] | None = None
    ) -> str:
        """The setting as it is afterwards.

        `check` raises an error with its sentence, and may give another form of the answer; it
        also looks at the present value when that is kept.
        """
        secret = name in SECRETS
        present = self.values.get(name, "")
        shown = ("set" if present else "not set") if secret else present or _default(name)

        def attempt() -> str:
            text = self.person.answer(f"{question} ({shown}):", secret=secret)
            if text == CLEAR:
                return ""
            value = text or present
            if value and check:
                value = self._checked(value, check)
            if text:
                refuse_wrong(name, value)
            return value

        given = self.person.persist(attempt)
        if given is not None:
            self.put(name, given)
        return self.values.get(name, "")

    def _checked(self, text: str, check: Callable[[str], str | None]) -> str:
        try:
            return check(text) or text
        except ProviderError as error:
            # Perhaps there is no network here, or the service is out of order just now.
            self.person.say(f"  {error}")
            if self.person.agrees("  It could not be checked. Keep it all the same?"):
                return text
            raise UserError("It is not kept.") from None

    def save(self) -> None:
        """Keep the answers so far aside."""
        if self._answers:
            self._text = with_values(self._text, self._answers)
            self._answers.clear()
            write_privately(self.unfinished, self._text)

    def finish(self) -> Settings:
        """Write `.env`; UserError, with the answers still aside, when they do not fit together."""
        self.save()
        settings = self.settings()
        write_privately(self.env_file, self._text)
        self.unfinished.unlink(missing_ok=True)
        return settings


def _default(name: str) -> str:
    """What an empty setting amounts to."""
    return str(Settings.model_fields[name.lower()].default or "empty")


def refuse_wrong(name: str, value: str) -> None:
    """UserError says what is wrong with the value, without naming a file."""
    try:
        load_settings(None, **{name.lower(): value})
    except UserError as error:
        raise UserError(str(error).removesuffix(CORRECT_IT) + ".") from None


def set_outside() -> dict[str, str]:
    """The settings in the environment, by name."""
    names = sorted(name.upper() for name in Settings.model_fields)
    return {name: os.environ[name] for name in names if os.environ.get(name)}


SECRETS = frozenset(
    name.upper()
    for name, field in Settings.model_fields.items()
    if field.annotation == SecretStr | None
)
