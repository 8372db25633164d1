"""What the keys open: models, the voices and the plan. Looking costs nothing and changes nothing.

A key goes in a header to the configured host only, never along a redirect. Errors are the
sentences that the providers use; no key and no address of a request is in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from pipeline.config import VoicesConfig, WriterConfig
from pipeline.errors import ProviderError, UserError
from pipeline.providers.voices import failures
from pipeline.providers.writers.chat import is_own_server, model_of
from pipeline.providers.writers.failures import Service

OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com"
ELEVENLABS = "https://api.elevenlabs.io"
ANTHROPIC_VERSION = "2023-06-01"
TIMEOUT = httpx.Timeout(20, connect=10)
LARGEST_ANSWER_BYTES = 8 << 20
"""An account with many voices lists a few kilobytes for each."""


@dataclass(frozen=True)
class Answer:
    """`data` is None when the service did not answer with JSON."""

    status: int
    data: Any
    headers: Mapping[str, str]

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300 and isinstance(self.data, dict)


@dataclass(frozen=True)
class Plan:
    """Of ElevenLabs; `renews_at` is when the used characters are forgotten."""

    tier: str
    used: int
    limit: int
    renews_at: datetime | None

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)


class AccountVoice(BaseModel):
    """A voice that the account can speak with."""

    voice_id: str
    name: str
    category: str | None = None


async def check_model(config: WriterConfig) -> None:
    """UserError when the key is wrong or the service does not have the model; else it has it."""
    service = _service_of(config)
    if is_own_server(config) and config.provider == "openai":
        # llama.cpp answers for the whole list only, and Ollama leaves out `:latest`.
        names = await models(config)
        if not {service.model, f"{service.model}:latest"} & set(names):
            listed = ", ".join(names[:5]) or "none"
            raise UserError(
                f"The server of OPENAI_BASE_URL does not list the model {service.model}; set "
                f"LLM_MODEL to one that it has ({listed})."
            )
        return
    answer = await _ask(config, f"{_models_url(config)}/{quote(service.model, safe='')}")
    if not answer.is_good or "id" not in answer.data:
        raise _refused(service, answer)


async def models(config: WriterConfig) -> list[str]:
    """Names of the models that the key may use, as the service lists them."""
    url = _models_url(config)
    answer = await _ask(config, f"{url}?limit=1000" if config.provider == "anthropic" else url)
    match answer:
        case Answer(is_good=True, data={"data": list(listed)}):
            return [str(each["id"]) for each in listed if isinstance(each, dict) and "id" in each]
    raise _refused(_service_of(config), answer)


def _models_url(config: WriterConfig) -> str:
    if config.provider == "anthropic":
        return f"{config.base_url or ANTHROPIC}/v1/models"
    return f"{config.base_url or OPENAI}/models"


async def _ask(config: WriterConfig, url: str) -> Answer:
    service = _service_of(config)
    headers = {"Authorization": f"Bearer {service.secret}"} if service.secret else {}
    if config.provider == "anthropic":
        headers = {"x-api-key": service.secret, "anthropic-version": ANTHROPIC_VERSION}
    return await _get(service, url, headers)


def _service_of(config: WriterConfig) -> Service:
    name = {"openai": "OpenAI", "anthropic": "Anthropic"}[config.provider]
    return Service(name, config.provider.upper(), model_of(config), _plain(config.api_key))


def _refused(service: Service, answer: Answer) -> UserError | ProviderError:
    if answer.status < 300:
        return service.unreadable()
    match answer.data:
        case {"error": dict(found)}:
            code = str(found.get("code") or found.get("type") or "")
            return service.refused(
                answer.status, code, str(found.get("message") or ""), answer.headers
            )
    return service.refused(answer.status, "", "", answer.headers)


async def plan(config: VoicesConfig) -> Plan:
    """The subscription; UserError when the key is wrong or may not read it."""
    data = await _elevenlabs(config, "/v1/user/subscription", asking_for="`user_read`")
    match data:
        case {"tier": str(tier), "character_count": int(used), "character_limit": int(limit)}:
            return Plan(tier, used, limit, _moment(data.get("next_character_count_reset_unix")))
    raise failures.unreadable()


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or not 0 < seconds < 2**33:
        return None
    return datetime.fromtimestamp(seconds, UTC)


async def voices(config: VoicesConfig) -> list[AccountVoice]:
    """Every voice of the account, its own ones first."""
    data = await _elevenlabs(config, "/v1/voices", asking_for="`voices_read`")
    try:
        found = [AccountVoice.model_validate(each) for each in data["voices"]]
    except (KeyError, TypeError, ValidationError):
        raise failures.unreadable() from None
    return sorted(found, key=lambda voice: voice.category == "premade")


async def voice_name(config: VoicesConfig, voice_id: str, *, variable: str) -> str:
    """The name of one voice; UserError names `variable` when the account has no such voice."""
    path = f"/v1/voices/{quote(voice_id, safe='')}"
    data = await _elevenlabs(config, path, asking_for="`voices_read`", variable=variable)
    name = data.get("name")
    if not isinstance(name, str):
        raise failures.unreadable()
    return name


async def _elevenlabs(
    config: VoicesConfig, path: str, *, asking_for: str, variable: str = ""
) -> dict[str, Any]:
    key = _plain(config.api_key)
    service = Service("ElevenLabs", "ELEVENLABS", "", key)
    url = f"{config.base_url or ELEVENLABS}{path}"
    answer = await _get(service, url, {"xi-api-key": key})
    if answer.is_good:
        return dict(answer.data)
    raise failures.refused(
        answer.status,
        answer.data or "",
        answer.headers,
        secret=key,
        asking_for=asking_for,
        voice_variable=variable,
    )


async def _get(service: Service, url: str, headers: Mapping[str, str]) -> Answer:
    """ProviderError when no answer came."""
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        # A header cannot carry it, and httpx would show it in the error that says so.
        raise UserError(f"{service.key_variable} holds a character that no key has; copy it again.")
    # trust_env off: a proxy or .netrc of the machine must not see or replace the key.
    async with httpx.AsyncClient(
        timeout=TIMEOUT, follow_redirects=False, trust_env=False
    ) as client:
        try:
            async with client.stream("GET", url, headers=headers) as response:
                return Answer(response.status_code, await _json(response), response.headers)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise service.unreachable() from None
        except httpx.TimeoutException:
            raise service.lost(timed_out=True) from None
        except (httpx.TransportError, httpx.DecodingError):
            raise service.lost(timed_out=False) from None
        except _TooLarge:
            raise service.unreadable() from None


class _TooLarge(Exception):
    """Stays in here."""


async def _json(response: httpx.Response) -> Any:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            raise _TooLarge
    try:
        return json.loads(body)
    except ValueError:
        return None


def _plain(key: SecretStr | None) -> str:
    return key.get_secret_value() if key else ""
