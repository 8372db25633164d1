"""What the voice reads aloud for each caption word: no emoji and no markup.

Captions keep the script's spelling; this module never changes it, it only says what is heard.
"""

from __future__ import annotations

import re
import unicodedata

from pipeline.errors import UserError

SILENT = ""
LONGEST_NUMBER = 12
"""Digits; a longer run is read digit by digit, because nobody follows a quintillion."""

_PUNCTUATION = frozenset(";:,.!?—–-\"“”'()")
_SIGNS = frozenset("$£€¥₹₩¢%&+@#=°/")
_HASHTAG = re.compile(r"#(?!\d)")
_MINUS = re.compile(r"^[-–](?=\d)")
_LONG_NUMBER = re.compile(rf"\d{{{LONGEST_NUMBER + 1},}}")
_SAME_SOUND = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "´": "'", "«": '"', "»": '"', "⁄": "/", "…": "..."}
)


def caption_words(text: str) -> list[str]:
    """The words a caption shows; joined by single spaces they give the text's own spelling."""
    return text.split()


def spoken_form(word: str) -> str:
    """What is said for a caption word; `SILENT` for emoji, markup and the like.

    Raises UserError for a letter that English speech has no sound for.
    """
    plain = unicodedata.normalize("NFKC", word).translate(_SAME_SOUND)
    kept = "".join(_spoken_character(character, word) for character in plain)
    kept = _LONG_NUMBER.sub(lambda run: f" {' '.join(run.group())} ", _HASHTAG.sub("", kept))
    kept = _MINUS.sub("minus ", " ".join(kept.split()))
    return kept if any(c.isalnum() or c in _SIGNS for c in kept) else _pause(kept)


def written_form(word: str) -> str:
    """What a service is sent that reads spelling by itself; `SILENT` for emoji and the like.

    Brackets and signs that services take for markup are left out; letters of any script stay.
    """
    plain = word.translate(_SAME_SOUND)
    kept = "".join(c for c in plain if c in _PUNCTUATION or c in _SIGNS or _is_letter(c))
    return kept if any(c.isalnum() or c in _SIGNS for c in kept) else _pause(kept)


def _is_letter(character: str) -> bool:
    """A letter, a digit, or an accent on one; not what chooses between text and emoji."""
    if "\ufe00" <= character <= "\ufe0f":
        return False
    category = unicodedata.category(character)
    return category[0] in "LN" or category in ("Mn", "Mc")


def _spoken_character(character: str, word: str) -> str:
    if character in _PUNCTUATION or character in _SIGNS:
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isalpha():
        return _latin(character, word)
    # Marks and invisible characters belong to the letter before them; anything else parts words.
    return "" if unicodedata.category(character)[0] in "MC" else " "


def _latin(letter: str, word: str) -> str:
    if unicodedata.category(letter) == "Lm":  # ʰ or ー: no letter of a word
        return ""
    if not unicodedata.name(letter, "").startswith("LATIN"):
        raise UserError(
            f"The voice reads English only and cannot say {word!r}; write it in Latin letters."
        )
    return letter


def _pause(punctuation: str) -> str:
    """A lone dash or an ellipsis is a pause; lone quotes and brackets are nothing."""
    if any(c in "—–-" for c in punctuation):
        return "—"
    return punctuation if any(c in ".,;:!?" for c in punctuation) else SILENT
