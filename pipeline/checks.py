"""What every script must satisfy before anything is spoken, drawn or shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from pipeline.sections import Script
from pipeline.shows import Show

LONGEST_LINE = 140  # characters: two full captions, about ten seconds
LONGEST_POST = 2200  # Instagram's limit for a caption, in characters
MOST_HASHTAGS = 30  # Instagram's hard ceiling; MAX_HASHTAGS is the working limit
SECONDS = (15.0, 45.0)  # a reel of ours

WORDS_PER_SECOND = 2.7  # of an unchanged voice; tape and speed of the character scale it
PAUSE_S = 0.3  # between two lines

# The joke must be the last thing heard. Mechanically: the dialogue ends on a word that can carry
# it, so not on a function word, a filler or a laugh, and not on the name of the one spoken to.
_WEAK_ENDINGS = """
    a an and are as at be been but by can could did do does for from had has have he her here him
    his i if in is it its like maybe me my of okay on or our out really she should so than that the
    their them then there these they this those though to too up us was we well were will with
    would yeah yes yet you your anyway haha hahaha lol hehe right actually basically please thanks
"""
_FORBIDDEN_TEXT = (
    (re.compile(r"@\w"), "mentions somebody with @"),
    (
        re.compile(
            r"(?i)://|\bhttps?:|\bwww\.|\b[a-z0-9-]+\.(?:com|net|org|io|tv|gg|ly|me|de|fr)\b"
        ),
        "contains a link",
    ),
    (re.compile(r"(?:\+|\b)\d(?:[ ()./-]{0,2}\d){7,}\b"), "contains a phone number"),
    (re.compile(r"[<>{}\[\]|*_`~\\]"), "contains markup or an unfilled slot"),
)


def check_script(
    script: Script,
    show: Show,
    *,
    topic: str | None,
    lines_min: int = 5,
    lines_max: int = 12,
    max_hashtags: int = 5,
) -> list[str]:
    """All that is wrong with a script, one sentence each; empty when it may go on.

    Without a topic somebody wrote it by hand: length and wit are then the author's business.
    """
    return [
        *_structure(script, show, lines_min=lines_min, lines_max=lines_max),
        *_words(script, show),
        *_post(script, show, max_hashtags=max_hashtags),
        *(_craft(script, show, topic) if topic is not None else ()),
    ]


def estimated_seconds(script: Script, show: Show) -> float:
    """Spoken length by the words and the tempo of each character's voice."""
    tempo = {c.name: c.voice.speed * c.voice.tape for c in show.characters}
    spoken = sum(
        len(line.text.split()) / (WORDS_PER_SECOND * tempo.get(line.character, 1.0))
        for line in script.lines
    )
    return spoken + PAUSE_S * max(len(script.lines) - 1, 0)


def names_topic(topic: str, text: str) -> bool:
    """Whether the words of the topic stand in the text, in order; case and accents aside."""
    return f" {_plain_words(topic)} " in f" {_plain_words(text)} "


def _structure(script: Script, show: Show, *, lines_min: int, lines_max: int) -> Iterator[str]:
    count = len(script.lines)
    if not lines_min <= count <= lines_max:
        yield f"It has {count} lines; {lines_min} to {lines_max} are allowed."
    for number, line in enumerate(script.lines, 1):
        if line.index != number:
            yield f"Line {number} has the index {line.index}; count the lines from 1 without a gap."
        if not any(char.isalpha() for char in line.text):
            yield f"Line {number} is empty; every line needs words."
        if len(line.text) > LONGEST_LINE:
            length = len(line.text)
            yield f"Line {number} has {length} characters; at most {LONGEST_LINE} can be said."
    names = [character.name for character in show.characters]
    speaking = {line.character for line in script.lines}
    for stranger in sorted(speaking - set(names)):
        yield f"There is no character {stranger!r} in this show; it has {' and '.join(names)}."
    for silent in sorted(set(names) - speaking):
        yield f"{silent} says nothing; both characters must speak."


def text_problems(where: str, text: str, show: Show, *, spoken: bool) -> list[str]:
    """What is wrong with one text that goes out; `where` begins each sentence ("Line 2").

    A caption (not `spoken`) may have line breaks.
    """
    return [
        *(f"{where} {what}." for what in forbidden(text)),
        *_invisible(where, text if spoken else text.replace("\n", " ")),
        *(
            f"{where} contains the blocked word {word!r}."
            for word in show.blocked_words
            if names_topic(word, text)
        ),
    ]


def forbidden(text: str) -> Iterator[str]:
    """What no text of ours may have, as the rest of a sentence: "contains a link"."""
    return (what for form, what in _FORBIDDEN_TEXT if form.search(text))


def _invisible(where: str, text: str) -> Iterator[str]:
    if any(_is_invisible(char) for char in text):
        yield f"{where} contains control or direction characters."


def _words(script: Script, show: Show) -> Iterator[str]:
    for line in script.lines:
        yield from text_problems(f"Line {line.index}", line.text, show, spoken=True)
    yield from text_problems("The caption", script.caption, show, spoken=False)
    for line in script.lines:
        yield from unspeakable(f"Line {line.index}", line.text, show)


def unspeakable(where: str, text: str, show: Show) -> Iterator[str]:
    for word in show.unspoken_words:
        if names_topic(word, text):
            yield f"{where} says {word!r}, which no voice of this show may say; use a nickname."


def _post(script: Script, show: Show, *, max_hashtags: int) -> Iterator[str]:
    limit = min(max_hashtags, MOST_HASHTAGS)
    if not script.caption.strip():
        yield "The caption is missing."
    if limit and not script.hashtags:
        yield "The hashtags are missing."
    if len(script.hashtags) > limit:
        yield f"It has {len(script.hashtags)} hashtags; at most {limit} are allowed."
    if len({tag.casefold() for tag in script.hashtags}) < len(script.hashtags):
        yield "A hashtag is there twice."
    if "#" in script.caption:
        yield "The caption has a hashtag inside; list it under `hashtags`."
    number = script.episode if isinstance(script.episode, int) else 999_999
    length = len(show.post_text(number, script.caption, script.hashtags))
    if length > LONGEST_POST:
        yield f"The text of the post has {length} characters; at most {LONGEST_POST} are allowed."


def _craft(script: Script, show: Show, topic: str) -> Iterator[str]:
    if not any(names_topic(topic, line.text) for line in script.lines):
        yield f"Nobody names the topic {topic!r}."
    seconds = estimated_seconds(script, show)
    shortest, longest = SECONDS
    if not shortest <= seconds <= longest:
        yield f"It would last about {seconds:.0f} s; {shortest:.0f} to {longest:.0f} are wanted."
    if script.lines and not ends_on_punch_word(script.lines[-1].text, show):
        yield "The last word of the last line is not the joke."


def ends_on_punch_word(text: str, show: Show) -> bool:
    """Whether the last word can carry the joke; see the comment at the top."""
    words = _plain_words(text).split()
    names = {
        word
        for character in show.characters
        for name in (character.name, *character.nicknames)
        for word in _plain_words(name).split()
    }
    # A nickname may be the joke ("I start immediately, boss"), a bare one after a stop is not.
    called = bool(words) and words[-1] in names and len(re.split("[.!?] ", text)[-1].split()) == 1
    weak = _WEAK_ENDINGS.split()
    return bool(words) and len(words[-1]) > 1 and words[-1] not in weak and not called


@lru_cache(maxsize=1024)  # every blocked word is looked for in every line
def _plain_words(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(char for char in bare if not unicodedata.combining(char))
    return " ".join(re.findall(r"[^\W_]+", letters))


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
