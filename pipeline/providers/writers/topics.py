"""What a topic is made of: the form a voice can say, its family, and the slots it gives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from pipeline.checks import forbidden
from pipeline.errors import UserError
from pipeline.providers.writers.grammar_data import Family, load_grammar

LONGEST_TOPIC = 60  # a line has 140 characters, and the topic is half a line at most

_MARKUP = re.compile(r"<[^>]*>|[*_~`|<>{}\[\]\\^#=]")
_UNSPOKEN = {"Cc", "Cf", "Co", "Cn", "Cs", "So", "Sk", "Mn", "Me"}
_VERSUS = re.compile(r"^(.{2,28}?) (?:vs?\.?|versus|against) (.{2,28})$", re.IGNORECASE)
_OUTAGE = re.compile(
    r"^(?:is |why is )?(.{2,24}?) (?:down|outage|not working|offline|störung|panne)\b",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"^(.{3,36}?) (?:season \d+|series \d+|episode \d+|trailer|movie|film|finale|cast"
    r"|ending explained)\b.*$",
    re.IGNORECASE,
)


def spoken_topic(topic: str) -> str:
    """The topic as it stands in a line: plain Latin words with headline capitals.

    Raises UserError when a voice cannot say it.
    """
    composed = unicodedata.normalize("NFKC", topic)
    if re.search(r"@|://|\bwww\.|\b\w+\.(?:com|net|org|io|de|fr|gg|ly)\b", composed, re.IGNORECASE):
        raise UserError(
            f"The topic {_short(topic)} has a mention or a link; give it in plain words."
        )
    text = "".join(_plain(char) for char in composed)
    text = " ".join(_MARKUP.sub(" ", text).split()).strip(" .,;:!?'\"-–—…()/&+")
    letters = [char for char in text if char.isalpha()]
    if not letters:
        raise UserError(f"The topic {_short(topic)} has no words that a voice could say.")
    if any("LATIN" not in unicodedata.name(char, "") for char in letters):
        raise UserError(
            f"The topic {_short(topic)} is not in Latin letters, which the voices cannot say; "
            "write it in Latin letters."
        )
    if wrong := next(forbidden(text), None):  # no line may have it, so no line could name it
        raise UserError(f"The topic {_short(topic)} {wrong}; give it in plain words.")
    if len(text) > LONGEST_TOPIC:
        raise UserError(
            f"The topic {_short(topic)} is too long to say in one breath; "
            f"shorten it to {LONGEST_TOPIC} characters."
        )
    return text if any(char.isupper() for char in text) else _with_capitals(text)


def family_of(topic: str, headlines: Sequence[str], families: Mapping[str, Family]) -> str:
    """The family by the shape of the topic, its words, then the words of its headlines."""
    if _OUTAGE.match(topic):
        return "outage"
    if _VERSUS.match(topic):
        return "sport"
    found = _best_family(topic, families)
    if found == "unknown" and _is_person(topic):
        return "celebrity"
    if found == "unknown" and headlines:
        return _best_family(" ".join(headlines), families)
    return found


def derived_slots(spoken: str) -> dict[str, str]:
    """What the shape of a topic gives: `a` and `b`, `subject`, `title`, `person`."""
    slots = {"topic": spoken, "title": spoken}
    if _is_person(spoken):
        slots["person"] = spoken
    if match := _VERSUS.match(spoken):
        slots |= {"a": match[1], "b": match[2]}
    if match := _OUTAGE.match(spoken):
        slots["subject"] = match[1]
    if match := _TITLE.match(spoken):
        slots["title"] = match[1]
    return slots


def topic_hashtag(spoken: str) -> str:
    """The words of a topic as one hashtag; empty when it would be too long or too short to help."""
    words = re.findall(r"[^\W_]+", spoken)
    tag = "".join(word[:1].upper() + word[1:] for word in words)
    return tag if 3 <= len(tag) <= 30 and not tag.isdigit() else ""


def _best_family(text: str, families: Mapping[str, Family]) -> str:
    padded = f" {' '.join(_folded_words(text))} "
    hits = {
        name: sum(f" {' '.join(_folded_words(word))} " in padded for word in family.words)
        for name, family in families.items()
    }
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else "unknown"


def _is_person(topic: str) -> bool:
    words = topic.casefold().split()
    return 2 <= len(words) <= 3 and words[0] in load_grammar().words["first_names"]


def _folded_words(text: str) -> list[str]:
    """Words without accents and without a plural s."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    words = re.findall(r"[^\W_]+", "".join(c for c in bare if not unicodedata.combining(c)))
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]


def _plain(char: str) -> str:
    """Nothing for control, bidi, emoji and loose marks, a space for white space."""
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in _UNSPOKEN else char


def _with_capitals(text: str) -> str:
    words = text.split(" ")
    return " ".join(_capital(word, first=n == 0) for n, word in enumerate(words))


def _capital(word: str, *, first: bool) -> str:
    known = load_grammar().words
    if word in known["small"] and not first:
        return word
    if word in known["acronyms"] or _is_spelled_out(word):
        return word.upper()
    return word[:1].upper() + word[1:]


def _is_spelled_out(word: str) -> bool:
    """Short and without a vowel ("hfcl"), or a letter with a digit ("f1", "5g")."""
    if not word.isalnum():
        return False
    if any(char.isdigit() for char in word):
        return len(word) <= 3 and not word.isdigit()
    return len(word) <= 4 and not re.search("[aeiouyäöüéèê]", word)


def _short(topic: str) -> str:
    text = "".join(char for char in topic if char.isprintable())
    return f"“{text[:40]}…”" if len(text) > 40 else f"“{text}”"
