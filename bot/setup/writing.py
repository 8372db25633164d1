"""The part about who writes: nobody outside, OpenAI, Anthropic, or a server of one's own."""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import SecretStr

from bot import accounts
from bot.choices import KEYS, NAMES
from bot.setup.interview import Interview, refuse_wrong
from pipeline.addresses import host_of, is_in_the_clear
from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.prices import load_prices
from pipeline.providers.writers import chat

Provider = Literal["openai", "anthropic"]

OWN_SERVER = "own"
WRITERS = [
    ("offline", "offline: a grammar of jokes, free, on this machine"),
    ("openai", "OpenAI"),
    ("anthropic", "Anthropic"),
    (OWN_SERVER, "a server of your own that speaks OpenAI's API (Ollama, llama.cpp)"),
]
CONSOLES = {
    "openai": "https://platform.openai.com/api-keys",
    "anthropic": "https://console.anthropic.com/settings/keys",
}
MOST_LISTED = 20
TYPICAL_SCRIPT = {"tokens_in": 4000, "tokens_out": 1500}
"""With the bible of the show, and one answer without repairs."""


def ask_writer(interview: Interview) -> None:
    interview.title("Who writes")
    before = _present(interview)
    choice = interview.person.persist(
        lambda: interview.person.choose("Writer:", WRITERS, present=before)
    )
    model = interview.values.get("LLM_MODEL", "")
    if choice != before:
        interview.put("LLM_MODEL", "")  # a model of one service is none of another's
    if choice == OWN_SERVER:
        _own_server(interview)
    elif choice == "openai":
        _back_to_openai(interview)
        _service(interview, "openai")
    elif choice == "anthropic":
        _service(interview, "anthropic")
    elif choice != before:
        interview.name("WRITER", "offline")
    if _present(interview) == before != choice:
        interview.put("LLM_MODEL", model)


def _present(interview: Interview) -> str:
    settings = interview.settings()
    choice = settings.writer_choice()
    is_own = choice == "openai" and settings.openai_base_url and not settings.openai_api_key
    return OWN_SERVER if is_own else choice


def _back_to_openai(interview: Interview) -> None:
    url = interview.values.get("OPENAI_BASE_URL", "")
    if not url:
        return
    question = f"  OPENAI_BASE_URL leads to {host_of(url)}. Go to OpenAI itself instead?"
    if interview.person.agrees(question):
        interview.put("OPENAI_BASE_URL", "")


def _service(interview: Interview, provider: Provider) -> None:
    name, setting = NAMES[provider], KEYS[provider]
    url = interview.values.get(f"{provider.upper()}_BASE_URL", "")
    interview.person.say(f"  Keys are made at {CONSOLES[provider]}.")

    def check(text: str) -> None:
        found = asyncio.run(accounts.models(_config(provider, text, url)))
        interview.person.say(f"  {name} takes the key; it may use {len(found)} models.")

    key = interview.ask(setting, f"Key of {name}", check)
    if not key:
        interview.person.say(f"  Without a key {name} cannot write, so the writer stays as it was.")
        return
    interview.name("WRITER", provider)
    default = chat.DEFAULT_MODELS[provider]
    if not _model(interview, f"Model, {default} when empty", _config(provider, key, url)):
        _say_price(interview, _config(provider, key, url, default))


def _own_server(interview: Interview) -> None:
    key = _key_to_send(interview)
    interview.person.say("  For Ollama the address is http://127.0.0.1:11434/v1.")

    def check(text: str) -> None:
        refuse_wrong("OPENAI_BASE_URL", text)
        if key and is_in_the_clear(text):
            raise UserError("The key would travel unencrypted; use an address with https://.")
        names = asyncio.run(accounts.models(_config("openai", key, text)))
        interview.person.say(f"  It has {', '.join(names[:MOST_LISTED]) or 'no model yet'}.")

    url = interview.ask("OPENAI_BASE_URL", "Address of the server", check)
    if not url:
        interview.person.say("  Without an address the writer stays as it was.")
        return
    interview.put("OPENAI_API_KEY", key)
    if _model(interview, "Model", _config("openai", key, url)):
        interview.name("WRITER", "openai")
    else:
        interview.person.say("  Without a model it cannot write, so the writer stays as it was.")


def _key_to_send(interview: Interview) -> str:
    """OpenAI's key is nobody else's business; other servers may have one of their own."""
    key = interview.values.get("OPENAI_API_KEY", "")
    if key and interview.person.agrees("  Send it the key in OPENAI_API_KEY (n forgets the key)?"):
        return key
    return ""


def _model(interview: Interview, question: str, config: WriterConfig) -> str:
    def check(text: str) -> None:
        asked = config.model_copy(update={"model": text})
        asyncio.run(accounts.check_model(asked))
        _say_price(interview, asked)

    return interview.ask("LLM_MODEL", question, check)


def _say_price(interview: Interview, config: WriterConfig) -> None:
    prices = load_prices(interview.settings().data_dir)
    if prices.knows(config.provider, config.model):
        cost = prices.tokens(config.provider, config.model, own_server=False, **TYPICAL_SCRIPT)
        interview.person.say(f"  A script with {config.model} costs about ${cost.usd:.3f}.")
    elif not chat.is_own_server(config):
        interview.person.say(f"  {config.model} has no listed price; add it to prices.yaml.")


def _config(provider: Provider, key: str, base_url: str, model: str = "") -> WriterConfig:
    return WriterConfig(
        provider=provider,
        api_key=SecretStr(key) if key else None,
        base_url=base_url.rstrip("/"),
        model=model,
    )
