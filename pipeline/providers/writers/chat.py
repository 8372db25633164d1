"""Which chat service is asked, for which model, and whether it is a server of one's own.

Knows no SDK, so that the bot may ask too.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.addresses import checked_setting, host_of
from pipeline.config import WriterConfig
from pipeline.errors import UserError

DEFAULT_MODELS: Mapping[str, str] = {
    "openai": "gpt-6-luna",
    "anthropic": "claude-haiku-5-5",
}
"""The cheap tier of each service; both have a price in pipeline/prices.yaml."""
TITLES: Mapping[str, str] = {"openai": "OpenAI", "anthropic": "Anthropic"}
"""As people call them."""
OFFICIAL_HOSTS: Mapping[str, str] = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
}
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 80.0
"""Three calls and their connections fit into the time a script may take."""
OWN_SERVER_TIMEOUT_S = 240.0
"""A model on somebody's own machine may need minutes for one answer."""


def model_of(config: WriterConfig) -> str:
    """The configured model, or the provider's default; empty for the offline writer."""
    return config.model or DEFAULT_MODELS.get(config.provider, "")


def is_own_server(config: WriterConfig) -> bool:
    """Whether the requests go elsewhere than to the service itself, e.g. to Ollama."""
    if not config.base_url:
        return False
    return host_of(config.base_url) != OFFICIAL_HOSTS.get(config.provider)


def read_timeout_s(config: WriterConfig) -> float:
    return OWN_SERVER_TIMEOUT_S if is_own_server(config) else READ_TIMEOUT_S


def key_of(config: WriterConfig) -> str:
    """UserError when the service needs a key and there is none."""
    key = config.api_key.get_secret_value() if config.api_key else ""
    if key:
        return key
    if is_own_server(config):
        return "none"  # the SDKs insist on one, Ollama and llama.cpp ignore it
    raise UserError(f"Set {config.provider.upper()}_API_KEY, or WRITER=offline to work without it.")


def base_url_of(config: WriterConfig) -> str | None:
    """None for the service's own; UserError when the key would travel unprotected."""
    if not config.base_url:
        return None
    # A server at home needs no key, so there is none that others could read.
    lan = config.provider == "openai" and config.api_key is None
    return checked_setting(config.base_url, f"{config.provider.upper()}_BASE_URL", lan=lan)
