import pytest

from pipeline.safety import refusal


@pytest.mark.parametrize(
    "topic",
    [
        "federal election 2025",
        "trump china trade war",
        "kristi noem",
        "pope francis",
        "papa francesco",
        "gypsy rose",
        "anzac day 2025",
        "plane crash toronto",
        "EARTHQUAKE today",
        "school shooting",
        "bundestagswahl",
        "Überschwemmung Bayern",
        "décès johnny",
        "muere actor",
        "morto attore",
        "faleceu cantor",
        "terremoto hoy",
        "sex tape",
        "covid outbreak",
        "ｎａｚｉ museum",
        "na\u200bzi museum",
        "missing girl ohio",
        "cancer treatment",
        "attentat paris",
    ],
)
def test_a_sensitive_topic_is_refused_with_the_reason(topic):
    reason = refusal(topic)
    assert reason is not None
    assert reason.startswith("No reel about")


@pytest.mark.parametrize(
    "topic",
    [
        "spurs",
        "wordle 22 april 2025",
        "marvel zombies ending explained",
        "alice in borderland season 3",
        "earth day",
        "sunscreens recalled",
        "is reddit down",
        "star wars",
        "kill bill",
        "miami heat",
        "shooting star",
        "killer whales",
        "the walking dead",
        "deadline",
        "skill",
        "warsaw",
        "grape",
        "essex",
        "stm grève",
        "die hard",
        "top gun",
        "burger king",
        "housewarming",
        "tote bag",
        "brand new day",
        "candy crush",
        "guns n roses",
        "presidents cup",
    ],
)
def test_a_harmless_topic_is_not_refused(topic):
    assert refusal(topic) is None


@pytest.mark.parametrize(
    "headline",
    [
        "Former Arsenal player Billy Vigar dies aged 21",
        "Tributes paid to footballer after accident",
        "Trauer um jungen Spieler: mit 21 Jahren gestorben",
        "Mort de Billy Vigar à 21 ans",
        "Fallece el jugador Billy Vigar",
        "Police charge two men after shooting",
    ],
)
def test_a_headline_tells_what_the_name_does_not(headline):
    assert refusal("billy vigar") is None
    reason = refusal("billy vigar", ["A lovely day in the park", headline])
    assert reason is not None
    assert "headline" in reason


def test_ordinary_headlines_do_no_harm():
    headlines = [
        "Wordle today: hints and answer for April 22",
        "The puzzle that everybody is talking about",
        "England crush France in record win",
        "Striker is on fire after sending the minors packing",
        "Deadline looms as players hunt for the last letter",
    ]
    assert refusal("wordle", headlines) is None


def test_the_reason_names_what_was_found():
    assert refusal("pope francis") == (
        "No reel about “pope francis”: it is about religion (“pope”). Choose another topic."
    )


def test_a_huge_topic_is_judged_quickly_and_shown_short():
    reason = refusal("earthquake " * 1000)
    assert reason is not None
    assert len(reason) < 250


def test_an_empty_topic_is_not_this_filters_business():
    assert refusal("") is None
