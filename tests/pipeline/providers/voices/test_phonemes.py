"""What we rely on in hibari's reader, an inner module of a pinned package."""

import pytest

from pipeline.errors import ProviderError
from pipeline.providers.voices import phonemes
from pipeline.providers.voices.accents import accented
from pipeline.providers.voices.phonemes import Phonemiser


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("Hello there.", ["həlˈO", "ðˈɛɹ."]),
        ("It cost $9.99", ["ˌɪt", "kˈɔst", "nˈIn dˈɑləɹz ænd nˈIndi nˈIn sˈɛnts"]),
        ("rock-and-roll", ["ɹˈɑkændɹˈOl"]),
        ("I read it yesterday", ["ˌI", "ɹˈɛd", "ɪt", "jˈɛstəɹdˌA"]),
    ],
)
def test_a_text_is_read_chunk_by_chunk(
    phonemiser: Phonemiser, text: str, sounds: list[str]
) -> None:
    assert [chunk.phonemes for chunk in phonemiser.read(text)] == sounds


def test_a_time_is_spelt_out_in_chunks(phonemiser: Phonemiser) -> None:
    texts = [chunk.text for chunk in phonemiser.read("Dinner is at 9:30am")]
    assert texts[-3:] == ["nine", "thirty", "A.M."]


def test_names_are_marked(phonemiser: Phonemiser) -> None:
    names = [chunk.text for chunk in phonemiser.read("I think Nutsy met Taylor") if chunk.is_name]
    assert names == ["Nutsy", "Taylor"]


def test_an_unknown_word_gets_a_sound(phonemiser: Phonemiser) -> None:
    [chunk] = phonemiser.read("Zorblaxian")
    assert len(chunk.phonemes) > 5


def test_every_symbol_is_in_the_alphabet_of_both_models(phonemiser: Phonemiser) -> None:
    chunks = phonemiser.read(
        "Well — “why” (not)? Señor Müller's 3rd jalapeño costs 5 km… ok; fine!"
    )
    assert set("".join(chunk.phonemes for chunk in chunks)) <= set(phonemiser.vocabulary)


def test_a_missing_reader_is_a_sentence_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phonemes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProviderError, match="pip install hibari-tts"):
        Phonemiser()


def test_a_damaged_reader_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(phonemes.importlib, "import_module", broken)
    with pytest.raises(ProviderError, match="damaged"):
        Phonemiser().read("Hello")


def test_the_french_accent_changes_consonants_and_short_vowels() -> None:
    assert accented("ðɪs θˈɪŋ", "french") == "zis sˈiŋ"
    assert accented("hˈæt", "french") == "ˈæt"
    assert accented("ðɪs", "none") == "ðɪs"
