"""Anthropic's messages as they really refuse."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from standins.comedian import Answers, Comedian, Said
from standins.server import Handler, Refusal, Reply, Request, Server

KEY = "sk-ant-api03-canary-anthropic-0123456789"
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-haiku-4-5")
CALL = "messages"
_FIELDS = {
    "model", "max_tokens", "system", "messages", "output_config", "thinking", "metadata",
    "stop_sequences", "stream", "service_tier", "tools", "tool_choice",
}  # fmt: skip
_SCHEMA_WORDS = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "description",
    "anyOf", "const", "default", "title",
}  # fmt: skip
_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}


def error(kind: str, message: str) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_011standin",
    }


QUOTA_SPENT = Reply(
    400,
    json.dumps(
        error(
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.",
        )
    ),
)
INTERNAL = Reply(500, json.dumps(error("api_error", "Internal server error")))
OVERLOADED = Reply(529, json.dumps(error("overloaded_error", "Overloaded")))


def too_many(**headers: str) -> Reply:
    """`too_many(retry_after="7")` hints at a wait."""
    body = error("rate_limit_error", "This request would exceed your account's rate limit.")
    hints = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(429, json.dumps(body), headers=hints)


class Anthropic(Server):
    """`url` is the base URL."""

    def __init__(
        self,
        *,
        key: str = KEY,
        models: tuple[str, ...] = MODELS,
        answers: Answers | None = None,
        work_s: float = 0.0,
    ) -> None:
        super().__init__(work_s=work_s)
        self.key = key
        self.models = models
        self.answers = answers or Comedian()
        self.billed: list[tuple[int, int]] = []
        """Tokens in and out of each answer."""
        self._numbers = itertools.count(1)

    @property
    def base_url(self) -> str:
        return self.url

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        return [
            ("POST", "/v1/messages", CALL, self._messages),
            ("GET", "/v1/models", "models", self._models),
            ("GET", "/v1/models/{model}", "model", self._model),
        ]

    def _models(self, request: Request) -> dict[str, Any]:
        self._check_headers(request)
        if not 1 <= int(request.query.get("limit", "20")) <= 1000:
            raise _invalid("limit: must be 1 to 1000")
        data = [_about(name) for name in self.models]
        return {"data": data, "has_more": False, "first_id": None, "last_id": None}

    def _model(self, request: Request) -> dict[str, Any]:
        self._check_headers(request)
        name = request.path.rsplit("/", 1)[1]
        if name not in self.models:
            raise Refusal(404, error("not_found_error", f"model: {name}"))
        return _about(name)

    def _messages(self, request: Request) -> web.Response:
        self._check_headers(request)
        body = request.body
        self._check_body(body)
        schema = body["output_config"]["format"]["schema"]
        said = self.answers(body["system"], body["messages"][0]["content"], schema)
        said = said if isinstance(said, Said) else Said(said)
        return web.json_response(
            self._message(body, said), headers={"request-id": f"req_{next(self._numbers)}"}
        )

    def _message(self, body: dict[str, Any], said: Said) -> dict[str, Any]:
        thinking = {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"}
        content = [thinking, {"type": "text", "text": said.text}]
        sent = len(body["system"].encode()) + len(body["messages"][0]["content"].encode())
        tokens_in = sent // 4
        tokens_out = min(len(said.text.encode()) // 4 + 1, body["max_tokens"])
        self.billed.append((tokens_in, tokens_out))
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [] if said.stop == "refusal" else content,
            "stop_reason": _STOPS.get(said.stop, said.stop),
            "stop_sequence": None,
            "usage": {
                "input_tokens": tokens_in,
                "output_tokens": tokens_out,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
            },
        }

    def _check_headers(self, request: Request) -> None:
        # The SDK sends the key as a bearer token since API version 2026-10-21.
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("x-api-key", bearer)
        if not given:
            raise Refusal(401, error("authentication_error", "x-api-key header is required"))
        if given != self.key:
            raise Refusal(401, error("authentication_error", "invalid x-api-key"))
        version = request.headers.get("anthropic-version", "")
        if not re.fullmatch(r"20\d\d-\d\d-\d\d", version):
            raise _invalid("anthropic-version: header is required")

    def _check_body(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise _invalid("The request body is not valid JSON.")
        for name in ("model", "max_tokens", "messages"):
            if name not in body:
                raise _invalid(f"{name}: Field required")
        for name in body:
            if name not in _FIELDS:
                raise _invalid(f"{name}: Extra inputs are not permitted")
        if body["model"] not in self.models:
            raise Refusal(404, error("not_found_error", f"model: {body['model']}"))
        if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
            raise _invalid("max_tokens: Input should be greater than or equal to 1")
        (message,) = body["messages"]
        if message.get("role") != "user" or not message.get("content"):
            raise _invalid("messages.0.content: Input should be a non-empty text")
        form = body["output_config"]["format"]
        if set(form) != {"type", "schema"} or form["type"] != "json_schema":
            raise _invalid("output_config.format: Input should be a JSON schema")
        for problem in schema_problems(form["schema"]):
            raise _invalid(f"output_config.format.schema: {problem}")


def _about(model: str) -> dict[str, Any]:
    return {"type": "model", "id": model, "display_name": model}


def _invalid(message: str) -> Refusal:
    return Refusal(400, error("invalid_request_error", message))


def schema_problems(schema: dict[str, Any]) -> Iterator[str]:
    """Structured output takes only part of JSON Schema."""
    for word in set(schema) - _SCHEMA_WORDS:
        yield f"For '{schema.get('type')}' type, property '{word}' is not supported"
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
        for inner in schema.get("properties", {}).values():
            yield from schema_problems(inner)
    elif schema.get("type") == "array":
        yield from schema_problems(schema.get("items", {}))
