"""Which topics the show does not joke about, and the sentence that says why.

A name alone does not say why it trends ("billy vigar" had died), so the headlines are read too.
The words are data: sensitive_words.yaml beside this file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

WORDS = Path(__file__).parent / "sensitive_words.yaml"


@dataclass(frozen=True)
class Subject:
    """A sensitive subject; `anywhere` also counts in headlines, `in_name` in the topic only."""

    reason: str
    anywhere: re.Pattern[str]
    in_name: re.Pattern[str]


@dataclass(frozen=True)
class SensitiveWords:
    harmless: re.Pattern[str]
    """Phrases that look sensitive and are not ("star wars"); taken out before anything else."""
    subjects: tuple[Subject, ...]


def refusal(topic: str, headlines: Sequence[str] = ()) -> str | None:
    """Why no reel is made of a topic, as a sentence; None when it is fine."""
    words = _load()
    name = words.harmless.sub(" ", _plain(topic))
    for subject in words.subjects:
        if found := subject.anywhere.search(name) or subject.in_name.search(name):
            return _sentence(topic, subject.reason, found[0])
    for headline in headlines:
        text = words.harmless.sub(" ", _plain(headline))
        for subject in words.subjects:
            if found := subject.anywhere.search(text):
                return _sentence(
                    topic,
                    subject.reason,
                    f"{found[0].strip()}” in a headline: “{text.strip()[:80]}",
                )
    return None


def sensitive_words(text: str) -> list[tuple[str, str]]:
    """What a dialogue must not touch: (reason, word) for each word found, as in a headline."""
    words = _load()
    plain = words.harmless.sub(" ", _plain(text))
    return [
        (subject.reason, found[0].strip())
        for subject in words.subjects
        for found in subject.anywhere.finditer(plain)
    ]


def _sentence(topic: str, reason: str, found: str) -> str:
    shown = "".join(char for char in topic if char.isprintable())[:60]
    return f"No reel about “{shown}”: {reason} (“{found.strip()}”). Choose another topic."


def _plain(text: str) -> str:
    """Lower case, NFKC, without accents and invisible characters, words parted by one space."""
    bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = (c for c in bare if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    words = re.findall(r"[^\W_]+", "".join(kept))
    return f" {' '.join(words)} "


@cache
def _load() -> SensitiveWords:
    data = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    subjects = tuple(
        Subject(
            entry["reason"], _pattern(entry.get("anywhere", "")), _pattern(entry.get("in_name", ""))
        )
        for entry in data["subjects"]
    )
    return SensitiveWords(_pattern(data["harmless"]), subjects)


def _pattern(words: str) -> re.Pattern[str]:
    """Matches any of the comma-separated words as whole words; `*` stands for any ending."""
    entries = [entry for word in words.split(",") if (entry := _plain_entry(word))]
    # (?!) matches nothing: an empty list must not match everything.
    return re.compile(rf" (?:{'|'.join(entries) or '(?!)'})(?= )")


def _plain_entry(word: str) -> str:
    plain = re.escape(_plain(word.replace("*", "")).strip())
    return f"{plain}[^ ]*" if plain and word.strip().endswith("*") else plain
