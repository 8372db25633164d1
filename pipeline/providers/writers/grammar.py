"""Fills the slots of a sketch.

A slot is `{name}`; the same name gives the same words all through a script, so that a line can
call back to an earlier one. In front of the name `a:` puts the article, `one:` makes a singular.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from pipeline.providers.writers.grammar_data import Grammar
from pipeline.shows import Character, Show

_SLOT = re.compile(r"\{((?:[a-z]+:)*)([a-z_]+)\}")
# By sound: "an umbrella, an hour", but "a unicorn, a one-way ticket".
_VOWEL_SOUND = re.compile(r"(?!uni|use|eu|one)[aeiou]|hour|honest|heir", re.IGNORECASE)
_SENTENCE_START = re.compile(r"(^|[.!?] )([a-zà-ÿ])")


class Slots:
    """The words of one script: fixed values, and banks from which each name picks once."""

    def __init__(
        self,
        fixed: Mapping[str, str],
        banks: Mapping[str, Sequence[str]],
        rng: random.Random,
    ) -> None:
        self._values = dict(fixed)
        self._banks = banks
        self._rng = rng

    def fill(self, template: str) -> str:
        """The template with every slot filled and every sentence begun with a capital."""
        text = _SLOT.sub(self._slot, template)
        return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), text)

    def _slot(self, match: re.Match[str]) -> str:
        name = match[2]
        if name not in self._values:
            # A name that no bank knows is an error in the grammar: KeyError says which.
            self._values[name] = self._rng.choice(self._banks[name])
        text = self._values[name]
        for form in reversed(match[1].split(":")[:-1]):
            text = _FORMS[form](text)
        return text


def slots_for(
    show: Show, family: str, topic_slots: Mapping[str, str], grammar: Grammar, rng: random.Random
) -> Slots:
    """Slots of one script: the topic's, the show's phrases, the family's, then the defaults."""
    dry, wild = (_by_role(show, role) for role in ("dry", "wild"))
    banks = {**grammar.banks, **dry.phrases, **wild.phrases, **grammar.families[family].banks}
    fixed = {
        **topic_slots,
        "dry": _address(dry, show, rng),
        "wild": _address(wild, show, rng),
        "dry_species": dry.species,
        "wild_species": wild.species,
    }
    return Slots(fixed, banks, rng)


def _by_role(show: Show, role: str) -> Character:
    return next(character for character in show.characters if character.role == role)


def _address(character: Character, show: Show, rng: random.Random) -> str:
    """What the other one calls this character; never a name that must not be spoken."""
    return rng.choice(character.nicknames or (character.name,))


def _with_article(noun: str) -> str:
    return f"{'an' if _VOWEL_SOUND.match(noun) else 'a'} {noun}"


def _singular(noun: str) -> str:
    """Of a regular plural; anything else stays as it is."""
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", "")):
        if noun.endswith(ending) and not noun.endswith("ss"):
            return noun.removesuffix(ending) + instead
    return noun


_FORMS = {"a": _with_article, "one": _singular}
