import pytest

from pipeline.errors import UserError
from pipeline.providers.writers.grammar_data import load_grammar
from pipeline.providers.writers.topics import (
    derived_slots,
    family_of,
    spoken_topic,
    topic_hashtag,
)

FAMILIES = load_grammar().families


@pytest.mark.parametrize(
    ("topic", "spoken"),
    [
        ("girona vs real betis", "Girona vs Real Betis"),
        ("how to watch ryder cup in canada", "How to Watch Ryder Cup in Canada"),
        ("f1", "F1"),
        ("x", "X"),
        ("hfcl", "HFCL"),
        ("nfl draft", "NFL Draft"),
        ("honor x9d 5g", "Honor X9D 5G"),
        ("windows 10", "Windows 10"),
        ("stm grève", "STM Grève"),
        ("the last of us", "The Last of Us"),
        ("iPhone price", "iPhone price"),
        ("is reddit down?", "Is Reddit Down"),
        ("wordle 22 april 2025", "Wordle 22 April 2025"),
    ],
)
def test_a_topic_gets_headline_capitals(topic, spoken):
    assert spoken_topic(topic) == spoken


def test_the_sentence_about_a_foreign_script_says_what_to_do():
    with pytest.raises(UserError, match="write it in Latin letters"):
        spoken_topic("রিকশা")


@pytest.mark.parametrize(
    ("topic", "family"),
    [
        ("girona vs real betis", "sport"),
        ("is reddit down", "outage"),
        ("youtube outage", "outage"),
        ("wollongong weather", "weather"),
        ("manappuram share price", "money"),
        ("bmw aktie", "money"),
        ("ransom canyon season 2", "film"),
        ("xiaomi pad mini", "gadget"),
        ("tom cruise", "celebrity"),
        ("panda mart toronto", "animal"),
        ("earth day", "holiday"),
        ("pumpkin soup recipes", "food"),
        ("sunscreens recalled", "news"),
        ("bmw rückruf", "news"),
        ("flights to lisbon", "place"),
        ("vishal", "unknown"),
    ],
)
def test_a_topic_finds_its_family(topic, family):
    assert family_of(topic, (), FAMILIES) == family


def test_headlines_help_where_the_name_says_nothing():
    assert family_of("kneecap", ["Tickets for the cup final match"], FAMILIES) == "sport"


def test_a_shape_gives_slots():
    assert derived_slots("Milan vs Atalanta")["b"] == "Atalanta"
    assert derived_slots("Is Reddit Down")["subject"] == "Reddit"
    assert derived_slots("Andor Season 2 Trailer")["title"] == "Andor"
    assert derived_slots("Tom Cruise")["person"] == "Tom Cruise"
    assert not {"a", "subject", "person"} & derived_slots("Red Carpet Looks").keys()


@pytest.mark.parametrize(
    ("spoken", "tag"),
    [("Earth Day", "EarthDay"), ("X", ""), ("2025 12", ""), ("Long " * 10, ""), ("don't", "DonT")],
)
def test_a_topic_becomes_a_hashtag_when_it_helps(spoken, tag):
    assert topic_hashtag(spoken) == tag
