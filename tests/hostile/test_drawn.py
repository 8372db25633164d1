"""Words become pixels: no program, file name or drawing is ever made of them."""

import subprocess

import pytest
from hostile.texts import SAMPLE, TEXTS, hidden

from pipeline.reel import captions, lettering, svg
from pipeline.reel.scene import title_sprite
from pipeline.sections import SpokenLine, Word


@pytest.fixture(autouse=True)
def _no_program_and_no_drawing(monkeypatch):
    def refuse(*given, **named):
        raise AssertionError("words have reached a program or a drawing")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(svg, "rasterise", refuse)


def line_of(text):
    words = text.split()
    timed = [Word(text=word, start=n / 10, end=(n + 1) / 10) for n, word in enumerate(words)]
    return SpokenLine.model_construct(words=tuple(timed))


def test_nothing_hidden_is_drawn():
    for text in TEXTS:
        assert hidden(lettering.drawable(text[:300])) == []


def test_captions_and_titles_of_hostile_words_are_pictures_inside_the_safe_area():
    for text in SAMPLE:
        cut = text[:60]
        if not lettering.drawable(cut).strip():
            continue
        for card in captions.cards(line_of(cut), first=0, end=60, fps=30, colour="#ffcc00")[:1]:
            drawn = captions.picture(card, 0)
            expect_inside(drawn)
        expect_inside(title_sprite(cut))


def expect_inside(sprite):
    left, top, right, bottom = sprite.opaque_box
    assert left < right
    assert left >= captions.SAFE_LEFT
    assert right <= captions.SAFE_RIGHT
    assert top >= captions.SAFE_TOP
    assert bottom <= captions.SAFE_BOTTOM
