"""Anthropic's messages with structured output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import anthropic
from pydantic import BaseModel, Field, ValidationError

from pipeline.config import WriterConfig
from pipeline.providers.base import MOST_TOKENS_COUNTED, Reply, Stop, Turn
from pipeline.providers.writers import chat
from pipeline.providers.writers.connection import Exceptions, open_http, translated
from pipeline.providers.writers.failures import Service

_STOPS = {
    "refusal": Stop.REFUSAL,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.LENGTH,
}
_EXCEPTIONS = Exceptions(
    anthropic.APITimeoutError,
    anthropic.APIConnectionError,
    anthropic.APIStatusError,
    anthropic.AnthropicError,
)


class AnthropicModel:
    name = "anthropic"

    def __init__(self, config: WriterConfig) -> None:
        """UserError when the key is missing or would travel unprotected."""
        self.model = chat.model_of(config)
        self._config = config
        key, url = chat.key_of(config), chat.base_url_of(config)
        self._service = Service(chat.TITLES[self.name], self.name.upper(), self.model, key)
        self._base_url = url or "https://api.anthropic.com"

    def ask(
        self, system: str, turns: Sequence[Turn], *, schema: dict[str, Any], max_tokens: int
    ) -> Reply:
        said = [{"role": turn.role, "content": turn.text} for turn in turns]
        with translated(self._service, _EXCEPTIONS, self._refused), self._client() as client:
            answer = client.messages.with_raw_response.create(
                model=self.model,
                max_tokens=max_tokens,
                system=system,
                messages=cast(Any, said),
                output_config={"format": {"type": "json_schema", "schema": schema}},
            )
            text, headers = answer.http_response.text, answer.headers
        return self._reply(text, headers.get("request-id", ""))

    def _reply(self, text: str, request_id: str) -> Reply:
        try:
            message = _Message.model_validate_json(text)
        except ValidationError as error:
            raise self._service.unreadable() from error
        return Reply(
            text="".join(block.text for block in message.content if block.type == "text"),
            stop=_STOPS.get(message.stop_reason or "", Stop.END),
            tokens_in=message.usage.whole_input,
            tokens_out=message.usage.output_tokens,
            model=message.model or self.model,
            request_id=request_id,
        )

    @contextmanager
    def _client(self) -> Iterator[anthropic.Anthropic]:
        """For one call; who retries is the engine."""
        with open_http(self._config) as http:
            yield anthropic.Anthropic(
                api_key=self._service.secret,
                base_url=self._base_url,
                max_retries=0,
                timeout=http.timeout,
                http_client=http,
            )

    def _refused(self, error: anthropic.APIStatusError) -> Exception:
        detail = error.api_message or error.response.text[:500]
        return self._service.refused(
            error.status_code, error.type or "", detail, error.response.headers
        )


class _Block(BaseModel):
    type: str
    text: str = ""


class _Usage(BaseModel):
    input_tokens: int = Field(ge=0, le=MOST_TOKENS_COUNTED)
    output_tokens: int = Field(ge=0, le=MOST_TOKENS_COUNTED)
    cache_creation_input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS_COUNTED)
    cache_read_input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS_COUNTED)

    @property
    def whole_input(self) -> int:
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return self.input_tokens + cached


class _Message(BaseModel):
    """What we read of an answer; after a refusal `content` may be empty."""

    content: list[_Block]
    stop_reason: str | None
    model: str = ""
    usage: _Usage
