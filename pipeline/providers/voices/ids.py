"""Which voice of ElevenLabs a character has; loads no SDK."""

from __future__ import annotations

import re

from pipeline.config import VoicesConfig
from pipeline.errors import UserError
from pipeline.shows import Character, Show

_ID = re.compile(r"[A-Za-z0-9]{1,64}")


def voice_variable(character: Character) -> str:
    return f"ELEVENLABS_VOICE_{character.name.upper()}"


def voice_id(config: VoicesConfig, character: Character) -> str:
    """The setting wins over the show; UserError names it when there is no voice or no id."""
    given = {name.casefold(): voice for name, voice in config.voices.items()}
    voice = given.get(character.name.casefold()) or character.elevenlabs.voice
    if not voice:
        raise UserError(
            f"{character.name} has no voice at ElevenLabs; set {voice_variable(character)} "
            "or, in a show of your own, `voice` under `elevenlabs` to a voice's id; or set "
            "VOICE=offline to work without it."
        )
    if not _ID.fullmatch(voice):
        raise UserError(f"{voice_variable(character)} is no voice's id; copy it once more.")
    return voice


def refuse_voiceless(config: VoicesConfig, show: Show) -> None:
    """UserError before a script is paid for that nobody could speak."""
    if config.provider == "elevenlabs":
        for character in show.characters:
            voice_id(config, character)
