"""What a person types, made fit to be kept and shown."""

import unicodedata


def one_line(text: str) -> str:
    """The words as they look: without what only hides or turns them, parted by single spaces."""
    seen = (char for char in text if char.isspace() or unicodedata.category(char)[0] != "C")
    return " ".join("".join(seen).split())
