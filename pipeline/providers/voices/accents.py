"""Accents as rules on phonemes (misaki's alphabet): spelling and captions stay as written."""

from __future__ import annotations

RULES: dict[str, dict[int, str]] = {
    "none": {},
    # What a French speaker does to English consonants, and the two short vowels that stay
    # intelligible: more vowel rules took the word error rate from 0.05 to 0.15-0.35.
    "french": str.maketrans(
        {"θ": "s", "ð": "z", "h": "", "ɪ": "i", "T": "t", "ɾ": "t", "ʊ": "u", "ɹ": "ʁ"}
    ),
}


def accented(phonemes: str, accent: str) -> str:
    """The phonemes as the accent says them; never empty where something was said."""
    return phonemes.translate(RULES[accent]) or phonemes
