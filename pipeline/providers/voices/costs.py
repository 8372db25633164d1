"""What speaking may cost at most, told before anything is sent; loads no SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config import VoicesConfig
from pipeline.ledger import Cost, total
from pipeline.prices import Prices
from pipeline.providers.voices.spoken import caption_words, written_form
from pipeline.sections import Script

if TYPE_CHECKING:
    from pipeline.providers.base import Speech

DEFAULT_MODEL = "eleven_multilingual_v2"


def model_of(config: VoicesConfig) -> str:
    """The model that speaks; empty for the offline voice, which costs nothing."""
    return config.model or DEFAULT_MODEL if config.provider == "elevenlabs" else ""


def sent_text(text: str) -> str:
    """A line as a service reads it; its characters are what is billed."""
    return " ".join(form for word in caption_words(text) if (form := written_form(word)))


def greatest_cost_of_line(config: VoicesConfig, text: str, prices: Prices) -> Cost:
    model = model_of(config)
    return prices.chars(model, len(sent_text(text))) if model else Cost()


def greatest_cost_of_voices(config: VoicesConfig, script: Script, prices: Prices) -> Cost:
    """Of a whole script, when none of its lines is kept from before."""
    return total([greatest_cost_of_line(config, line.text, prices) for line in script.lines])


def cost_of_speech(config: VoicesConfig, text: str, speech: Speech, prices: Prices) -> Cost:
    """Of an answer. Fast models bill half a credit for a character and are listed by the
    character, so a small number of credits is no reason to count less."""
    chars = max(speech.chars_billed, len(sent_text(text)))
    return Cost(usd=prices.chars(model_of(config), chars).usd, chars=speech.chars_billed)
