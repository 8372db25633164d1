"""Captions: which words are on the screen when, and their picture inside the safe area."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import ImageColor

from pipeline.reel import lettering
from pipeline.reel.lettering import Colour, Row, Style
from pipeline.reel.sprites import HEIGHT, WIDTH, Sprite, cut_out, grown
from pipeline.sections import SpokenLine, Word

# Instagram lays its own text and buttons over the rest (Meta's guide for placements).
SAFE_LEFT, SAFE_TOP = math.ceil(WIDTH * 0.06), math.ceil(HEIGHT * 0.14)
SAFE_RIGHT, SAFE_BOTTOM = WIDTH - SAFE_LEFT, HEIGHT - math.ceil(HEIGHT * 0.35)

WORDS_PER_ROW, WORDS_PER_CARD = 3, 5
LETTERS_PER_CARD = 26
SHORT_ROW = 11  # letters that fill a row at the largest size
MIDDLE = 496  # the height of their middle: below the title, above every face
BOX = (SAFE_RIGHT - SAFE_LEFT, 300)
SIZES = range(124, 59, -4)
POP = (0.86, 1.04)  # sizes of a new card in its first frames
WHITE: Colour = (255, 255, 255)
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*$")


@dataclass(frozen=True)
class Card:
    """The words that are on the screen together, from frame `first` on."""

    words: tuple[str, ...]
    starts: tuple[int, ...]
    """The frame at which each word becomes the active one."""
    first: int
    end: int
    colour: Colour

    def active(self, frame: int) -> int | None:
        """The number of the word being spoken; None before the first."""
        begun = [number for number, start in enumerate(self.starts) if start <= frame]
        return begun[-1] if begun else None


def cards(line: SpokenLine, *, first: int, end: int, fps: int, colour: str) -> list[Card]:
    """Divide a line that is on the screen for the frames [first, end) into cards."""
    groups = _groups(line.words)
    starts = [[min(max(round(word.start * fps), first), end) for word in g] for g in groups]
    begins = [first, *(times[0] for times in starts[1:]), end]
    shade = bright(colour)
    return [
        Card(tuple(word.text for word in group), tuple(times), begins[n], begins[n + 1], shade)
        for n, (group, times) in enumerate(zip(groups, starts, strict=True))
    ]


def _groups(words: Sequence[Word]) -> list[list[Word]]:
    """Cards never run over the end of a sentence, and share its words evenly."""
    sentences: list[list[Word]] = [[]]
    for word in words:
        sentences[-1].append(word)
        if SENTENCE_END.search(word.text):
            sentences.append([])
    return [group for sentence in sentences if sentence for group in _even(sentence)]


def _even(sentence: list[Word]) -> list[list[Word]]:
    letters = sum(len(word.text) + 1 for word in sentence)
    count = max(math.ceil(len(sentence) / WORDS_PER_CARD), math.ceil(letters / LETTERS_PER_CARD))
    count = min(count, len(sentence))
    edges = [round(number * len(sentence) / count) for number in range(count + 1)]
    return [sentence[a:b] for a, b in pairwise(edges)]


def rows(words: Sequence[str]) -> list[list[int]]:
    """Number the words into one row, or two of about equal length."""
    numbers = list(range(len(words)))
    if len(words) == 1 or (len(words) <= WORDS_PER_ROW and len(" ".join(words)) <= SHORT_ROW):
        return [numbers]
    cuts = [
        cut for cut in numbers[1:] if cut <= WORDS_PER_ROW and len(words) - cut <= WORDS_PER_ROW
    ]
    lengths = [len(word) + 1 for word in words]
    best = min(cuts, key=lambda cut: max(sum(lengths[:cut]), sum(lengths[cut:])))
    return [numbers[:best], numbers[best:]]


def picture(card: Card, active: int | None, *, age: int = len(POP)) -> Sprite:
    """Draw a card with its active word in the speaker's colour; `age` in frames since it came."""
    image = lettering.block(*_set(card, active), box=BOX)
    scale = POP[age] if age < len(POP) else 1.0
    fits = min(scale, BOX[0] / image.width, BOX[1] / image.height)
    image = grown(image.convert("RGBa"), width=fits, height=fits)
    return cut_out(image, (WIDTH - image.width) // 2, MIDDLE - image.height // 2)


def _set(card: Card, active: int | None) -> tuple[list[Row], Style]:
    """Choose the largest size at which every row fits, and colour the words."""
    texts = [lettering.drawable(word) for word in card.words]
    numbered = rows(texts)
    coloured = [
        [
            (piece, card.colour if number == active else WHITE)
            for number in (reversed(row) if _right_to_left(texts) else row)
            for piece in [texts[number]]
        ]
        for row in numbered
    ]
    broken = _broken(coloured)
    limit = BOX[0] - 40
    size = next((size for size in SIZES if _widest(broken, size) <= limit), SIZES[-1])
    return broken, Style(size=size, outline=max(6, size // 10), drop=max(4, size // 14))


def _broken(coloured: list[Row]) -> list[Row]:
    """Give the parts of a word that is too long for any row a row each."""
    if all(len(word) <= lettering.PIECE for row in coloured for word, _ in row):
        return coloured
    return [
        [(piece, colour)]
        for row in coloured
        for word, colour in row
        for piece in lettering.pieces(word)
    ]


def _widest(coloured: list[Row], size: int) -> float:
    return max(lettering.width(" ".join(word for word, _ in row), size) for row in coloured) * 1.04


def _right_to_left(texts: list[str]) -> bool:
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    backwards = sum(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in letters)
    return backwards * 2 > len(letters)


def bright(colour: str) -> Colour:
    """The colour, lightened until it stands out from the dark outline."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    for _ in range(8):
        if 0.3 * red + 0.59 * green + 0.11 * blue >= 140:
            break
        red, green, blue = (round(c + (255 - c) * 0.2) for c in (red, green, blue))
    return red, green, blue
