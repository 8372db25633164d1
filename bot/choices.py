"""Which provider does the work: what the settings choose, what that needs, what is remembered.

`auto` takes the provider whose key is set. On a channel that has used a real one it never falls
back by itself: a key that got lost must not turn the channel into another one overnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from pydantic import SecretStr

from pipeline.addresses import is_in_the_clear
from pipeline.config import VoicesConfig, WriterConfig
from pipeline.errors import UserError
from pipeline.prices import Prices, load_prices
from pipeline.providers.voices import costs
from pipeline.providers.writers import chat

if TYPE_CHECKING:
    from bot.settings import Settings
    from storage.notes import Notes

WriterName = Literal["openai", "anthropic", "offline"]
VoiceName = Literal["elevenlabs", "offline"]
PublisherName = Literal["instagram", "folder"]

NAMES = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "elevenlabs": "ElevenLabs",
    "instagram": "Instagram",
}
KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "elevenlabs": "ELEVENLABS_API_KEY",
    "instagram": "META_ACCESS_TOKEN",
}


def writer_config(settings: Settings) -> WriterConfig:
    """UserError when the writer was asked for by name and lacks its key."""
    provider = settings.writer_choice()
    key, base_url = _writer_access(settings, provider)
    return WriterConfig(
        provider=provider,
        api_key=key,
        base_url=base_url,
        model=settings.llm_model if provider != "offline" else "",
        lines_min=settings.script_lines_min,
        lines_max=settings.script_lines_max,
        max_hashtags=settings.max_hashtags,
    )


def _writer_access(settings: Settings, provider: WriterName) -> tuple[SecretStr | None, str]:
    match provider:
        case "offline":
            return None, ""
        case "anthropic":
            key = _needed(settings.anthropic_api_key, provider, "WRITER")
            return key, settings.anthropic_base_url
        case "openai":
            if settings.openai_base_url and not settings.openai_api_key:
                return None, _keyless_server(settings)
            key = _needed(settings.openai_api_key, provider, "WRITER")
            return key, _encrypted(settings.openai_base_url)
        case _:
            assert_never(provider)


def _encrypted(base_url: str) -> str:
    if is_in_the_clear(base_url):
        raise UserError(
            "OPENAI_API_KEY would travel unencrypted to the host of OPENAI_BASE_URL; "
            "empty the key, or use an address with https://."
        )
    return base_url


def _keyless_server(settings: Settings) -> str:
    """A server of one's own needs no key, and has no model that we could know."""
    if not settings.llm_model:
        raise UserError(
            "LLM_MODEL is empty; set it to a model that the server of OPENAI_BASE_URL has, "
            "or WRITER=offline to work without it."
        )
    return settings.openai_base_url


def voices_config(settings: Settings) -> VoicesConfig:
    """UserError when the voice was asked for by name and lacks its key."""
    provider = settings.voice_choice()
    if provider == "offline":
        return VoicesConfig(concurrency=settings.voice_concurrency)
    voices = {
        "Butcher": settings.elevenlabs_voice_butcher,
        "Nutsy": settings.elevenlabs_voice_nutsy,
    }
    return VoicesConfig(
        provider=provider,
        api_key=_needed(settings.elevenlabs_api_key, provider, "VOICE"),
        base_url=settings.elevenlabs_base_url,
        model=settings.elevenlabs_model,
        voices={name: voice for name, voice in voices.items() if voice},
        concurrency=settings.voice_concurrency,
    )


def instagram_token(settings: Settings) -> SecretStr:
    """UserError when one of the two settings of an account is missing."""
    if settings.meta_access_token is None or not settings.instagram_user_id:
        raise UserError(
            "Instagram needs META_ACCESS_TOKEN and INSTAGRAM_USER_ID; "
            "set both, or PUBLISHER=folder to work without it."
        )
    return settings.meta_access_token


def _needed(key: SecretStr | None, provider: str, setting: str) -> SecretStr:
    if not key:
        raise UserError(
            f"{setting}={provider} needs {KEYS[provider]}; set it, "
            f"or {setting}=offline to work without it."
        )
    return key


@dataclass(frozen=True)
class Choice:
    """One kind of work; `note` is the name under which the channel's use of it is kept."""

    note: str
    setting: str
    offline: str
    used: str


CHOICES = (
    Choice("writer", "WRITER", "offline", "has had its scripts written by"),
    Choice("voice", "VOICE", "offline", "has had its lines spoken by"),
    Choice("publisher", "PUBLISHER", "folder", "has posted to"),
)


async def remember_choices(notes: Notes, settings: Settings) -> None:
    """Refuse a fallback that nobody asked for by name; else keep what is used now."""
    chosen = {
        "writer": (settings.writer, settings.writer_choice()),
        "voice": (settings.voice, settings.voice_choice()),
        "publisher": (settings.publisher, settings.publisher_choice()),
    }
    for choice in CHOICES:
        asked, provider = chosen[choice.note]
        before = await notes.get(choice.note)
        if asked == "auto" and provider == choice.offline and before in NAMES:
            raise UserError(_fallback(choice, before, own_server=bool(settings.openai_base_url)))
    for note, (_, provider) in chosen.items():
        await notes.set(note, provider)


def _fallback(choice: Choice, before: str, *, own_server: bool) -> str:
    name = NAMES[before]
    again = "set it again, "
    if before == "openai" and own_server:
        again += "or WRITER=openai for the server of OPENAI_BASE_URL, "
    return (
        f"This channel {choice.used} {name}, and {KEYS[before]} is empty now; "
        f"{again}or {choice.setting}={choice.offline} to go on without {name}."
    )


def said_at_start(settings: Settings) -> list[str]:
    """What `auto` has chosen, and other things a person should know before it matters."""
    writer, voices = writer_config(settings), voices_config(settings)
    prices = load_prices(settings.data_dir)
    said = [
        f"Writer {_named(writer.provider, chat.model_of(writer))}, "
        f"voice {_named(voices.provider, costs.model_of(voices))}, pictures from the library, "
        f"posts to {settings.publisher_choice()}.",
        f"Slots `{settings.publish_cron}` in {settings.timezone}.",
    ]
    if is_paid(writer) or is_paid(voices):
        said.append(_budgets(settings))
    said += _unlisted(writer, voices, prices)
    if writer.provider == "offline" and settings.writer == "auto" and settings.openai_base_url:
        said.append("OPENAI_BASE_URL is set without a key; set WRITER=openai to write with it.")
    return said


def is_paid(config: WriterConfig | VoicesConfig) -> bool:
    """A server of one's own, without a key, bills nobody."""
    return config.provider != "offline" and config.api_key is not None


def _named(provider: str, model: str) -> str:
    return f"{provider} ({model})" if model else provider


def _budgets(settings: Settings) -> str:
    budgets = ((settings.daily_budget_usd, "a day"), (settings.monthly_budget_usd, "a month"))
    limits = [f"${usd:.2f} {period}" for usd, period in budgets if usd is not None]
    if not limits:
        return "No budget is set: DAILY_BUDGET_USD and MONTHLY_BUDGET_USD limit what is spent."
    return f"Budget: {' and '.join(limits)}."


def _unlisted(writer: WriterConfig, voices: VoicesConfig, prices: Prices) -> list[str]:
    """Models whose price is a guess."""
    said = []
    model = chat.model_of(writer)
    if is_paid(writer) and not prices.knows(writer.provider, model):
        counted = "counts as free" if chat.is_own_server(writer) else "counts as the dearest one"
        said.append(
            f"{model} has no listed price and {counted}; add it to prices.yaml in DATA_DIR."
        )
    model = costs.model_of(voices)
    if is_paid(voices) and not prices.knows_voice(model):
        said.append(
            f"{model} has no listed price and counts as the dearest one; "
            "add it to prices.yaml in DATA_DIR."
        )
    return said
