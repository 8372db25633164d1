"""The person at the keyboard, or a file of answers: questions out, answers in."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.errors import ProviderError, UserError

T = TypeVar("T")
Options = Sequence[tuple[T, str]]
"""Values and what people read for them."""

TRIES = 3
LONGEST_ANSWER = 4096
PASTE_MARKS = ("\x1b[200~", "\x1b[201~")
"""Some terminals put them around what is pasted."""


class Person:
    """Enter means: keep it. When the answers end, all that is left to ask is kept."""

    def say(self, text: str = "") -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def answer(self, question: str, *, secret: bool = False) -> str:
        """One line, without the blanks and marks that pasting leaves; empty for Enter."""
        text = self._read(f"{question} ", secret=secret)
        for mark in PASTE_MARKS:
            text = text.replace(mark, "")
        text = text.strip()
        if not text.isprintable():
            raise UserError("That holds a character that no setting has; type or paste it again.")
        if len(text) > LONGEST_ANSWER:
            raise UserError("That is too long for a setting; type or paste it again.")
        return text

    def persist(self, attempt: Callable[[], T]) -> T | None:
        """What the attempt gives; after an error with its sentence it begins again, three times."""
        for _ in range(TRIES):
            try:
                return attempt()
            except (UserError, ProviderError) as error:
                self.say(f"  {error}")
        self.say("  This stays as it was; `emf setup` asks again whenever you like.")
        return None

    def choose(self, question: str, options: Options[T], *, present: T | None = None) -> T | None:
        """By number or label; Enter takes the present one. UserError for anything else."""
        for number, (value, label) in enumerate(options, 1):
            mark = "  (now)" if present is not None and value == present else ""
            self.say(f"  {number:2}  {label}{mark}")
        text = self.answer(question)
        if not text:
            return present if any(present == value for value, _ in options) else None
        for number, (value, label) in enumerate(options, 1):
            known = {str(number), str(value), label, label.lstrip("#@")}
            if text.casefold() in {each.casefold() for each in known}:
                return value
        raise UserError(f"Answer with a number from 1 to {len(options)}, or with Enter.")

    def agrees(self, question: str, *, otherwise: bool = False) -> bool:
        """Yes or no; Enter means `otherwise`."""
        text = self.answer(f"{question} [{'Y/n' if otherwise else 'y/N'}]").casefold()
        if text not in ("", "y", "yes", "n", "no"):
            self.say("  That is neither y nor n, so it counts as no.")
        return text.startswith("y") or (not text and otherwise)

    def _read(self, prompt: str, *, secret: bool) -> str:
        if sys.stdin.isatty():
            try:
                return getpass.getpass(prompt) if secret else input(prompt)
            except EOFError:
                self.say()
                return ""
        sys.stdout.write(prompt)
        sys.stdout.flush()
        line = sys.stdin.readline()
        self.say()
        return line
