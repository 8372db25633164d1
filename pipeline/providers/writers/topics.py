"""What a topic is made of: the form a voice can say, its family, and the slots it gives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from pipeline.errors import UserError
from pipeline.providers.writers.grammar_data import Family

LONGEST_TOPIC = 60  # a line has 140 characters, and the topic is half a line at most
SMALL_WORDS = frozenset(
    "a an and at by de del der die das du en for from in is la le of on or the to vs with".split()
)
ACRONYMS = frozenset(
    "ai aec afl bbc bmw cnn dc dvd eu fbi fc fifa gpu hbo iba imdb ios ipl ipo irs lgbt mlb nba nbl nfl nhl nrl "
    "odi pc pdf psl rtx stm suv tv ufc uefa uk us usa usb vip wnba wsl wwe ukraine".split()
) - {"ukraine"}

_MARKUP = re.compile(r"[*_~`|<>{}\[\]\\^#=]")
_VERSUS = re.compile(r"^(.{2,28}?) (?:vs?\.?|versus|against) (.{2,28})$", re.IGNORECASE)
_OUTAGE = re.compile(
    r"^(?:is |why is )?(.{2,24}?) (?:down|outage|not working|offline|störung|panne)\b",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"^(.{3,36}?) (?:season \d+|series \d+|episode \d+|trailer|movie|film|finale|ending explained|cast)\b.*$",
    re.IGNORECASE,
)


def spoken_topic(topic: str) -> str:
    """The topic as it stands in a line: plain Latin words with headline capitals.

    Raises UserError when a voice cannot say it.
    """
    if re.search(r"@|://|\bwww\.|\b\w+\.(?:com|net|org|io|de|fr|gg|ly)\b", topic, re.IGNORECASE):
        raise UserError(
            f"The topic {_short(topic)} has a mention or a link; give it in plain words."
        )
    text = "".join(_plain(char) for char in unicodedata.normalize("NFKC", topic))
    text = " ".join(_MARKUP.sub(" ", text).split()).strip(" .,;:!?'\"-–—…()/&+")
    letters = [char for char in text if char.isalpha()]
    if not letters:
        raise UserError(f"The topic {_short(topic)} has no words that a voice could say.")
    if any("LATIN" not in unicodedata.name(char, "") for char in letters):
        raise UserError(
            f"The topic {_short(topic)} is not in Latin letters, which the voices cannot say; "
            "write it in Latin letters."
        )
    if len(text) > LONGEST_TOPIC:
        raise UserError(
            f"The topic {_short(topic)} is too long to say in one breath; "
            f"shorten it to {LONGEST_TOPIC} characters."
        )
    return text if any(char.isupper() for char in text) else _with_capitals(text)


def family_of(topic: str, headlines: Sequence[str], families: Mapping[str, Family]) -> str:
    """The family by the shape of the topic, its words, then the words of its headlines."""
    if _OUTAGE.match(topic):
        return "outage"
    if _VERSUS.match(topic):
        return "sport"
    found = _best_family(topic, families)
    if found == "unknown" and _is_person(topic):
        return "celebrity"
    if found == "unknown" and headlines:
        return _best_family(" ".join(headlines), families)
    return found


def derived_slots(spoken: str) -> dict[str, str]:
    """What the shape of a topic gives: `a` and `b`, `subject`, `title`."""
    slots = {"topic": spoken, "title": spoken}
    if match := _VERSUS.match(spoken):
        slots |= {"a": match[1], "b": match[2]}
    if match := _OUTAGE.match(spoken):
        slots["subject"] = match[1]
    if match := _TITLE.match(spoken):
        slots["title"] = match[1]
    return slots


def topic_hashtag(spoken: str) -> str:
    """The words of a topic as one hashtag; empty when it would be too long or too short to help."""
    words = re.findall(r"[^\W_]+", spoken)
    tag = "".join(word[:1].upper() + word[1:] for word in words)
    return tag if 3 <= len(tag) <= 30 and not tag.isdigit() else ""


def _best_family(text: str, families: Mapping[str, Family]) -> str:
    padded = f" {' '.join(_folded_words(text))} "
    hits = {
        name: sum(f" {' '.join(_folded_words(word))} " in padded for word in family.words)
        for name, family in families.items()
    }
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else "unknown"


def _is_person(topic: str) -> bool:
    words = topic.casefold().split()
    return 2 <= len(words) <= 3 and words[0] in FIRST_NAMES


def _folded_words(text: str) -> list[str]:
    bare = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W_]+", "".join(c for c in bare if not unicodedata.combining(c)))


def _plain(char: str) -> str:
    """Nothing for control, bidi and emoji code points, a space for white space."""
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in {"Cc", "Cf", "Co", "Cn", "Cs", "So", "Sk"} else char


def _with_capitals(text: str) -> str:
    words = text.split(" ")
    return " ".join(_capital(word, first=n == 0) for n, word in enumerate(words))


def _capital(word: str, *, first: bool) -> str:
    has_digit = any(char.isdigit() for char in word)
    # A short word without a vowel ("hfcl", "nbems" aside) or with a digit ("f1") is spelled out.
    if word in ACRONYMS or (
        len(word) <= 5 and (has_digit or not re.search("[aeiouyäöüéèê]", word))
    ):
        return (
            word
            if word == "vs" or word[:1].isdigit() and len(word) > 2 and not first
            else word.upper()
        )
    if word in SMALL_WORDS and not first:
        return word
    return word[:1].upper() + word[1:]


def _short(topic: str) -> str:
    text = "".join(char for char in topic if char.isprintable())
    return f"“{text[:40]}…”" if len(text) > 40 else f"“{text}”"


FIRST_NAMES = frozenset(
    """adam adele alan alex alexander alice alicia amanda amy ana andre andrea andrew andy angela
    angelina anna anne anthony ariana arnold ashley barbara ben benjamin beth bill billie billy blake bob
    brad brandon brian britney bruce bruno bryan calvin cameron camila cardi carlos caroline cate celine
    chad charles charlie charlize chloe chris christian christina christopher claire clint cristiano cynthia
    dakota dan daniel dave david dean demi denzel diana diego dolly donna doja drew dua dwayne ed eddie edward
    elizabeth ella elle ellen elliot elon elton emily emma eric erik eva eve ewan fabrizio felix florence
    francis frank fred gabriel gal gary george gerard gigi gordon grace greta gwen hailey hannah harrison
    harry heidi helen henry hugh hugo iggy isabella isla jack jackie jacob jake james jamie jan jane janet
    jason jean jeff jenna jennifer jenny jeremy jess jessica jim jimmy joan joe joel john johnny jon jonathan
    jordan jose joseph josh juan jude judy julia julian julie justin karen karl kate katherine kathy katie
    katy kawhi keanu keira kelly ken kendall kendrick kevin khloe kim kirsten kris kristen kurt kyle kylie lady
    lana laura lebron lee leo leonardo lewis liam lily linda lindsay lionel lisa liz lola louis lucy luis luka
    luke lupita madison marco margot maria marie mario mark martin mary mason matt matthew max megan mel melissa
    michael michelle mick miley milly millie mike monica morgan naomi natalie nathan neil nick nicki nicolas nicole
    nina noah novak olivia oprah oscar owen pamela paris patrick paul pedro penelope peter phil phoebe pierre
    queen rafael ralph ray rebecca reese rene ricky rita rob robert robin roger roman rosa ross ruby russell ryan
    sabrina sam samantha samuel sandra sara sarah scarlett scott sean selena serena shakira shane sharon shawn
    sienna simon sofia sophie stephen steve steven steffi stella susan sydney taylor ted teresa theo thomas tiger
    tim timothee tina tobey toby tom tommy tony travis tyler usain uma vera victor victoria vin vince viola wayne
    will william willow yuki zac zach zayn zendaya zoe""".split()
)
