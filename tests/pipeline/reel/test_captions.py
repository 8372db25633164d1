import re

import pytest

from pipeline.reel import captions, lettering
from pipeline.sections import Emotion, SpokenLine, Word

TRICKY = [
    "Hi.",
    "A",
    "I can't. I won't. I didn't, and you shouldn't've either!",
    "That costs $9.99, or €1,000,000.00 with 7.5% off?!",
    "100% of 3/4 is 42 + 1 = #1 @home & *there*",
    "“Curly quotes”, ‘single ones’, and an em—dash… yes…",
    "Don't 'quote' \"me\" (please) [at] {all} <ever>",
    "{\\an8}{\\fs500\\1c&HFFFFFF&}Styled\\Nsubtitle\\h{\\pos(0,0)}",
    "<b>bold</b> &amp; <i>slanted</i> %s %d {name} $HOME",
    "🎉 emoji 😂😂😂 everywhere 👨‍👩‍👧‍👦 👍🏽 ❤️",
    "🇫🇷",
    "Supercalifragilisticexpialidocious!",
    "Pneumonoultramicroscopicsilicovolcanoconiosis Donaudampfschifffahrtsgesellschaft",
    "W" * 280,
    "i" * 280,
    "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaargh no",
    "שלום עולם, מה שלומך היום?",
    "مرحبا بالعالم كيف حالك",
    "mixed שלום words",
    "Привет, как дела, собака?",
    "Γειά σου Κόσμε",
    "你好世界 这是 一个 测试",
    "日本語の テスト です",
    "한국어 시험",
    "e\u0301te\u0301 nai\u0308ve co\u0302te\u0301 (decomposed)",
    "Z\u0353\u0353a\u0353\u0353l\u0353g\u0353\u0353o\u0353 t\u0489e\u0489x\u0489t",
    "q\u0301w\u0323e\u0301r\u0330t\u0308y",
    "Crème brûlée, garçon! Où est l'œuf? Ça va, Zoë & François",
    "ÀÉÎÕÜ ŸÇÑ ĄĆĘŁ ŠŽ Åß ØÆ ĞİŞ",
    "zero\u200bwidth\u200djoiner\ufeffmark",
    "soft\u00adhyphen no\u00a0break",
    "\u202eright to left override\u202c",
    "tab\tand\x07bell",
    "MMMMMMMMMMMMMMMM WWWWWWWWWWWWWWWW MMMMMMMMMMMMMMMM",
    "a b c d e f g h i j k l m n o p",
    "no one",
    "Wait... what?! Really?? YES!!!",
    "........ !!!!!!!! ????????",
    "—",
    "…",
    "'",
    "_underscored_ names_with_underscores file.name.txt https://example.com/a/b?c=d",
    "jgpqy jgpqy jgpqy",
    "ÅÅÅÅ ÉÉÉÉ ÑÑÑÑ",
    "It's 5 o'clock in '99, rock 'n' roll",
    "The twenty-first-century self-proclaimed know-it-all squirrel-in-chief",
    "Antidisestablishmentarianism, naturally.",
    "x² + y³ = z½ ± 1° № ™ © ®",
    "½ cup, ¾ spoon, 10 µg",
    "→ ← ↑ ↓ ✓ ✗ ★ ☆ ♥",
    "¿Qué? ¡Olé!",
    "Don’t",
    "Nutsy’s acorns’ owners’",
    "1st 2nd 3rd 4th 1980s",
    "3:30pm on 12/25/2026",
    "U.S.A. vs. U.K. at 5 a.m.",
    "AC/DC and R2-D2",
    "naïveté façade über jalapeño",
    "\U0001d54f\U0001d550 math letters \U0001d7d8",
    "ﬁne ﬂowers eﬃcient",
    "हिन्दी में",
    "ไทย ภาษา",
]


def line(text: str, *, start: float = 1.0, each: float = 0.3) -> SpokenLine:
    words = tuple(
        Word(text=word, start=start + n * each, end=start + (n + 1) * each)
        for n, word in enumerate(text.split(" "))
    )
    return SpokenLine(
        index=1,
        character="Rex",
        text=text,
        emotion=Emotion.HAPPY,
        audio_file="audio/001.wav",
        start_time=start,
        duration=len(words) * each,
        end_time=words[-1].end,
        words=words,
        sha256="0" * 64,
        sample_rate=24_000,
    )


def cards(text: str) -> list[captions.Card]:
    spoken = line(text)
    end = round(spoken.end_time * 30) + 5
    return captions.cards(spoken, first=28, end=end, fps=30, colour="#F26B3A")


@pytest.mark.parametrize("text", TRICKY)
def test_no_glyph_leaves_the_safe_area(text):
    for card in cards(text):
        for age in (0, 1, 2):
            left, top, right, bottom = captions.picture(card, 0, age=age).opaque_box
            assert 65 <= left <= right <= 1080 - 65
            assert 269 <= top <= bottom <= 1920 - 672


@pytest.mark.parametrize("text", TRICKY)
def test_the_words_of_all_cards_give_the_line_as_written(text):
    assert " ".join(word for card in cards(text) for word in card.words) == text


@pytest.mark.parametrize("text", [t for t in TRICKY if re.search(r"\w", t)])
def test_every_card_shows_something(text):
    for card in cards(text):
        left, _, right, _ = captions.picture(card, None).opaque_box
        assert right - left > 20


@pytest.mark.parametrize("text", TRICKY)
def test_cards_follow_each_other_without_gap_or_overlap(text):
    made = cards(text)

    assert made[0].first == 28
    assert made[-1].end == round(line(text).end_time * 30) + 5
    assert [card.end for card in made[:-1]] == [card.first for card in made[1:]]


@pytest.mark.parametrize("text", TRICKY)
def test_a_card_has_at_most_two_rows_of_three_words(text):
    for card in cards(text):
        rows = captions.rows(card.words)
        assert len(rows) <= 2
        assert all(len(row) <= 3 for row in rows)
        assert [number for row in rows for number in row] == list(range(len(card.words)))


def test_a_sentence_begins_on_a_card_of_its_own():
    made = [card.words for card in cards("Stop. We hid it!")]

    assert made == [("Stop.",), ("We", "hid", "it!")]


def test_the_active_word_changes_on_the_frame_at_which_it_is_said():
    card = cards("We hid it")[0]

    assert [card.active(frame) for frame in (29, 30, 38, 39, 48)] == [None, 0, 0, 1, 2]


def test_the_active_word_has_the_colour_of_the_character():
    card = cards("We hid it")[0]

    plain = captions.picture(card, None).colour.reshape(-1, 3)
    spoken = captions.picture(card, 1).colour.reshape(-1, 3)

    assert not (plain == card.colour).all(axis=1).any()
    assert (spoken == card.colour).all(axis=1).sum() > 500
    assert (spoken == 255).all(axis=1).sum() > 500


@pytest.mark.parametrize("colour", ["#000000", "#101060", "#7a0000", "#F26B3A"])
def test_a_dark_colour_is_lightened_until_it_can_be_read(colour):
    red, green, blue = captions.bright(colour)

    assert 0.3 * red + 0.59 * green + 0.11 * blue >= 140


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("ok 🎉", "ok ★"),
        ("a\tb", "a b"),
        ("你", "□"),
        ("e\u0301", "é"),
        ("a\u200db\u202e\x07", "ab"),
        ("❤\ufe0f", "❤"),
        ("\U0010fffe", ""),
    ],
)
def test_what_no_font_can_draw_is_replaced_where_one_sees_it(text, shown):
    assert lettering.drawable(text) == shown


def test_a_letter_the_speaking_font_lacks_comes_from_the_plain_one():
    fonts = [run.path for run in lettering.runs("abc Ж")]

    assert fonts == [lettering.SPEAKING, lettering.PLAIN]


def test_a_line_without_words_has_no_captions():
    silent = line("x").model_copy(update={"words": ()})

    assert captions.cards(silent, first=0, end=9, fps=30, colour="#ffffff") == []
