"""OpenAI's chat completions, also as Ollama and llama.cpp servers speak them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from pipeline.config import WriterConfig
from pipeline.providers.base import MOST_TOKENS_COUNTED, Reply, Stop, Turn
from pipeline.providers.writers import chat
from pipeline.providers.writers.connection import Exceptions, open_http, translated
from pipeline.providers.writers.failures import Service

_STOPS = {"length": Stop.LENGTH, "content_filter": Stop.REFUSAL}
_EXCEPTIONS = Exceptions(
    openai.APITimeoutError, openai.APIConnectionError, openai.APIStatusError, openai.OpenAIError
)


class OpenAIModel:
    name = "openai"

    def __init__(self, config: WriterConfig) -> None:
        """UserError when the key is missing or would travel unprotected."""
        self.model = chat.model_of(config)
        self._config = config
        self._own_server = chat.is_own_server(config)
        self._takes_schemas = True
        key, url = chat.key_of(config), chat.base_url_of(config)
        self._service = Service(chat.TITLES[self.name], self.name.upper(), self.model, key)
        self._base_url = url or "https://api.openai.com/v1"

    def ask(
        self, system: str, turns: Sequence[Turn], *, schema: dict[str, Any], max_tokens: int
    ) -> Reply:
        """A server that knows no JSON schemas is asked once more, for any JSON object."""
        if self._takes_schemas:
            try:
                return self._ask(system, turns, _strict(schema), max_tokens)
            except _NoSchemas:
                self._takes_schemas = False
        wanted = f"{system}\n\nAnswer with one JSON object of this schema:\n{json.dumps(schema)}"
        return self._ask(wanted, turns, {"type": "json_object"}, max_tokens)

    def _ask(
        self, system: str, turns: Sequence[Turn], form: dict[str, Any], max_tokens: int
    ) -> Reply:
        said = [{"role": turn.role, "content": turn.text} for turn in turns]
        messages = [{"role": "system", "content": system}, *said]
        with translated(self._service, _EXCEPTIONS, self._refused), self._client() as client:
            answer = client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=cast(Any, messages),
                response_format=cast(Any, form),
                max_completion_tokens=max_tokens,
            )
        sent = sum(len(message["content"].encode()) for message in messages)
        return self._reply(answer.text, answer.headers, sent, max_tokens)

    def _reply(self, text: str, headers: httpx2.Headers, sent_bytes: int, max_tokens: int) -> Reply:
        try:
            answer = _Completion.model_validate_json(text)
        except ValidationError as error:
            raise self._service.unreadable() from error
        choice = answer.choices[0]
        content = choice.message.content or ""
        stop = _STOPS.get(choice.finish_reason or "", Stop.END)
        if choice.message.refusal:
            stop = Stop.REFUSAL
        # Without usage, as some local servers answer, count bytes: a token is at least one.
        most_out = min(len(content.encode()), max_tokens) if self._own_server else max_tokens
        usage = answer.usage or _Usage()
        tokens_in, tokens_out = usage.prompt_tokens, usage.completion_tokens
        return Reply(
            text=content,
            stop=stop,
            tokens_in=sent_bytes if tokens_in is None else tokens_in,
            tokens_out=most_out if tokens_out is None else tokens_out,
            model=answer.model or self.model,
            request_id=headers.get("x-request-id", ""),
        )

    @contextmanager
    def _client(self) -> Iterator[openai.OpenAI]:
        """For one call; who retries is the engine."""
        with open_http(self._config) as http:
            yield openai.OpenAI(
                api_key=self._service.secret,
                base_url=self._base_url,
                max_retries=0,
                timeout=http.timeout,
                http_client=http,
            )

    def _refused(self, error: openai.APIStatusError) -> Exception:
        detail = _message(error.body) or error.response.text[:500]
        if error.status_code == 400 and self._may_try_without(detail):
            return _NoSchemas()
        code = f"{error.code or ''} {error.type or ''}"
        return self._service.refused(error.status_code, code, detail, error.response.headers)

    def _may_try_without(self, detail: str) -> bool:
        lower = detail.lower()
        about_schemas = any(word in lower for word in ("response_format", "json_schema", "schema"))
        return self._own_server and self._takes_schemas and about_schemas


class _NoSchemas(Exception):
    """The server says that it takes no JSON schemas."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS_COUNTED)
    completion_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS_COUNTED)


class _Completion(BaseModel):
    """What we read of an answer; servers differ in all the rest."""

    choices: list[_Choice] = Field(min_length=1)
    model: str = ""
    usage: _Usage | None = None


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema},
    }


def _message(body: object) -> str:
    """Ollama and llama.cpp nest it less deeply than OpenAI."""
    if isinstance(body, dict):
        return str(body.get("message") or body.get("error") or "")
    return ""
