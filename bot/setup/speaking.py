"""The part about who speaks: the offline voice, or ElevenLabs with a voice per character."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from bot import accounts
from bot.setup.interview import Interview
from pipeline.config import VoicesConfig
from pipeline.errors import UserError
from pipeline.prices import load_prices
from pipeline.providers import factory
from pipeline.providers.voices.costs import greatest_cost_of_line
from pipeline.providers.voices.plans import is_free
from pipeline.providers.voices.wav import wav_bytes
from pipeline.sections import Emotion
from pipeline.shows import Character, load_show
from storage.files import write_atomically

SPEAKERS = [
    ("offline", "offline: free, on this machine"),
    ("elevenlabs", "ElevenLabs"),
]
CONSOLE = "https://elevenlabs.io/app/settings/api-keys"
SAMPLE = "Excuse my French, but this is the voice you have been waiting for."


def ask_voices(interview: Interview) -> None:
    interview.title("Who speaks")
    present = interview.settings().voice_choice()
    interview.choose_service("VOICE", "Voice:", SPEAKERS, present=present, set_up=_elevenlabs)


def _elevenlabs(interview: Interview) -> None:
    interview.person.say(
        f"  Keys are made at {CONSOLE}; this needs the permissions "
        "text_to_speech, user_read and voices_read."
    )

    def check(text: str) -> None:
        plan = asyncio.run(accounts.plan(_config(interview, key=text)))
        interview.person.say(f"  Plan {plan.tier}, {plan.left:,} characters are left.")
        if is_free(plan.tier):
            interview.person.say("  Audio of the free plan is never published; upgrade before.")

    if not interview.ask("ELEVENLABS_API_KEY", "Key of ElevenLabs", check):
        interview.person.say("  Without a key ElevenLabs cannot speak, so the voice stays.")
        return
    interview.name("VOICE", "elevenlabs")
    settings = interview.settings()
    for character in load_show(settings.show, settings.data_dir).characters:
        if f"elevenlabs_voice_{character.name.lower()}" in type(settings).model_fields:
            interview.person.persist(partial(_voice, interview, character))


def _voice(interview: Interview, character: Character) -> bool:
    """Choose, and hear it if wanted; another choice when it is not liked."""
    name = f"ELEVENLABS_VOICE_{character.name.upper()}"
    listed = asyncio.run(accounts.voices(_config(interview)))
    if not listed:
        raise UserError("The account has no voice; add one at ElevenLabs, then press Enter.")
    chosen = interview.person.choose(
        f"Voice of {character.name}:",
        [(voice.voice_id, _label(voice)) for voice in listed],
        present=interview.values.get(name),
    )
    if chosen is None:
        return False
    _let_hear(interview, character, chosen)
    interview.put(name, chosen)
    return True


def _label(voice: accounts.AccountVoice) -> str:
    return f"{voice.name} ({voice.category})" if voice.category else voice.name


def _let_hear(interview: Interview, character: Character, voice_id: str) -> None:
    """One paid call, and only after a yes; what was spoken once is kept."""
    config = _config(interview).model_copy(update={"voices": {character.name: voice_id}})
    prices = load_prices(interview.settings().data_dir)
    cost = greatest_cost_of_line(config, SAMPLE, prices)
    question = (
        f"  Hear a line of {character.name}? It costs {cost.chars} characters, "
        f"about ${cost.usd:.3f}."
    )
    if not interview.person.agrees(question):
        return
    path = _sample(interview.settings().data_dir, config, character)
    interview.person.say(f"  The line is in {path}.")


def _sample(data_dir: Path, config: VoicesConfig, character: Character) -> Path:
    voice = factory.voice(config)
    try:
        key = voice.key(SAMPLE, character, Emotion.HAPPY)
        path = data_dir / "samples" / f"{character.name.lower()}-{key[:12]}.wav"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)  # before anything is paid
            speech = voice.speak(SAMPLE, character, Emotion.HAPPY)
            write_atomically(path, wav_bytes(speech.samples, speech.sample_rate))
        return path
    except OSError as error:
        raise UserError(
            f"{data_dir} cannot be written ({error.strerror}); set DATA_DIR to a folder of yours."
        ) from None
    finally:
        voice.close()


def _config(interview: Interview, *, key: str = "") -> VoicesConfig:
    """With the key that was just typed, else the one that is set."""
    key = key or interview.values.get("ELEVENLABS_API_KEY", "")
    settings = interview.settings()
    return VoicesConfig(
        provider="elevenlabs",
        api_key=SecretStr(key),
        base_url=settings.elevenlabs_base_url,
        model=settings.elevenlabs_model,
        concurrency=settings.voice_concurrency,
    )
