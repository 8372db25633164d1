"""What a language model wrote is refused here, before anything of it is stored.

Every finding is a sentence that the model can act on; none repeats more of its text than a word
from our own lists.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from pipeline.checks import (
    LONGEST_LINE,
    check_script,
    ends_on_punch_word,
    text_problems,
    unspeakable,
)
from pipeline.config import WriterConfig
from pipeline.facts import Memory
from pipeline.providers.writers.novelty import (
    MOST_OVERLAP,
    ends_with,
    grams,
    greatest_overlap,
    plain_words,
)
from pipeline.safety import sensitive_words
from pipeline.sections import Pitch, Premise, Script
from pipeline.shows import Show

LEAKED_LETTERS = 48  # in a row, as the instructions have them: about ten words

_BARE_DOMAIN = re.compile(r"[\w-][.。][^\W\d_]{2,}")
_MAIL = re.compile(r"(?i)\b[\w.+-]+\s*[@＠]\s*\w|\b\w+\s*[(\[]\s*at\s*[)\]]\s*\w")
_TYPOGRAPHY = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "…": "...", "\u00a0": " ", "\u2011": "-"}
)


def tidied(text: str) -> str:
    """The same words with plain punctuation and composed letters, as voices and captions do."""
    text = unicodedata.normalize("NFC", text.translate(_TYPOGRAPHY)).strip(" ")
    text = re.sub(r"\s*[—–]$", "...", text)
    text = re.sub(r"(?<=\d)[—–](?=\d)", "-", text)
    return re.sub(r"\s*[—–]\s*", ", ", text)


def script_problems(
    script: Script,
    *,
    system: str,
    spoken: str,
    premise: Premise | None,
    memory: Memory,
    show: Show,
    config: WriterConfig,
) -> list[str]:
    """All that keeps a model's script from being used; `spoken` is the topic as it is said."""
    texts = [line.text for line in script.lines]
    dialogue = " ".join(texts)
    found = [
        *_leak([*texts, script.caption, *script.hashtags], system),
        *_each_text(script, show),
        *check_script(
            script,
            show,
            topic=spoken,
            lines_min=config.lines_min,
            lines_max=config.lines_max,
            max_hashtags=config.max_hashtags,
        ),
        *_sensitive(" ".join([dialogue, script.caption, *script.hashtags]), show),
        *_repetition(dialogue, texts[-1] if texts else "", memory),
        *_against_premise(texts, premise),
    ]
    return list(dict.fromkeys(found))


def pitch_problems(
    pitch: Pitch, others: Sequence[Pitch], *, system: str, memory: Memory, show: Show
) -> list[str]:
    """All that keeps a pitch from being shown; `others` stand on the same board already."""
    both = f"{pitch.hook} {pitch.last_line}"
    board = [f"{other.hook} {other.last_line}" for other in others]
    found = [
        *_leak([pitch.hook, pitch.last_line, pitch.why], system),
        *_spoken_line("The hook", pitch.hook, show),
        *_spoken_line("The last line", pitch.last_line, show),
        *_outside("The why", pitch.why, show, spoken=False),
        *_sensitive(f"{both} {pitch.why}", show),
        *_repetition(both, pitch.last_line, memory),
    ]
    if not ends_on_punch_word(pitch.last_line, show):
        found.append("The last word of the last line is not the joke.")
    if greatest_overlap(both, map(grams, board)) > MOST_OVERLAP:
        found.append("Another pitch is nearly the same.")
    return list(dict.fromkeys(found))


def _each_text(script: Script, show: Show) -> Iterator[str]:
    for line in script.lines:
        yield from _outside(f"Line {line.index}", line.text, show, spoken=True)
    yield from _outside("The caption", script.caption, show, spoken=False)
    for number, tag in enumerate(script.hashtags, 1):
        yield from _outside(f"Hashtag {number}", tag.replace("_", " "), show, spoken=False)


def _spoken_line(where: str, text: str, show: Show) -> Iterator[str]:
    yield from _outside(where, text, show, spoken=True)
    yield from unspeakable(where, text, show)
    if not plain_words(text):
        yield f"{where} is empty."
    if len(text) > LONGEST_LINE:
        yield f"{where} has {len(text)} characters; at most {LONGEST_LINE} can be said."


def _outside(where: str, text: str, show: Show, *, spoken: bool) -> Iterator[str]:
    """Nothing that pings, links or formats, in any spelling that looks the same to a reader."""
    plain = unicodedata.normalize("NFKC", text)
    for form in dict.fromkeys((text, plain)):
        yield from text_problems(where, form, show, spoken=spoken)
    if _MAIL.search(plain):
        yield f"{where} contains an e-mail address."
    if _BARE_DOMAIN.search(plain.replace("...", " ")):
        yield f"{where} contains a link."
    if "#" in plain:
        yield f"{where} contains a #."
    if spoken and not all(_can_be_said(char) for char in text):
        yield f"{where} contains characters that no voice can say; use plain Latin letters."


def _can_be_said(char: str) -> bool:
    if char.isalpha():
        return "LATIN" in unicodedata.name(char, "")
    return unicodedata.category(char) not in {"So", "Sk", "Mn", "Me", "Co", "Cn"}


def _leak(texts: Sequence[str], system: str) -> Iterator[str]:
    """Plain letters only, so that neither spacing, nor accents, nor a hashtag hides it."""
    theirs, ours = "".join(map(_letters, texts)), _letters(system)
    windows = range(len(theirs) - LEAKED_LETTERS + 1)
    if any(theirs[n : n + LEAKED_LETTERS] in ours for n in windows):
        yield "It repeats its instructions."


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain.casefold() if char.isalnum())


def _sensitive(text: str, show: Show) -> Iterator[str]:
    """The show's own words are no subject: its bulldog may be at war with a vacuum cleaner."""
    own = {word for _, word in sensitive_words(f"{show.premise} {' '.join(show.running_gags)}")}
    for reason, word in sensitive_words(text):
        if word not in own:
            yield f"It is not funny here: {reason} ({word!r})."


def _repetition(dialogue: str, last_line: str, memory: Memory) -> Iterator[str]:
    if greatest_overlap(dialogue, map(grams, memory.texts)) > MOST_OVERLAP:
        yield "It is too close to an earlier reel; write other jokes."
    if last_line and any(ends_with(text, last_line) for text in memory.texts):
        yield "An earlier reel ends with the same line; end on another joke."


def _against_premise(texts: Sequence[str], premise: Premise | None) -> Iterator[str]:
    if premise is None or not texts:
        return
    if plain_words(texts[0]) != plain_words(premise.hook):
        yield "The first line is not the hook that people chose."
    if plain_words(texts[-1]) != plain_words(premise.last_line):
        yield "The last line is not the one that people chose."
