"""OpenAI's chat completions as they really refuse, or a local server that speaks the same."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from standins.comedian import Answers, Comedian, Said
from standins.server import Handler, Refusal, Reply, Request, Server

KEY = "sk-proj-canary-openai-0123456789abcdef"
MODELS = ("gpt-6-luna", "gpt-6-sol", "gpt-5.4-mini")
CALL = "chat"
_FIELDS = {
    "messages", "model", "response_format", "max_completion_tokens", "reasoning_effort", "n",
    "seed", "stream", "store", "metadata", "user", "verbosity", "service_tier",
}  # fmt: skip
_STOPS = {"end": "stop", "length": "length", "refusal": "stop"}


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


QUOTA_SPENT = Reply(
    429,
    json.dumps(
        error(
            "You exceeded your current quota, please check your plan and billing details. For more "
            "information on this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors.",
            "insufficient_quota",
            "insufficient_quota",
        )
    ),
)
INTERNAL = Reply(
    500, json.dumps(error("The server had an error while processing your request.", "server_error"))
)
OVERLOADED = Reply(503, json.dumps(error("The engine is currently overloaded.", "server_error")))


def too_many(**headers: str) -> Reply:
    """`too_many(retry_after="7")` hints at a wait."""
    body = error("Rate limit reached for requests per min.", "requests", "rate_limit_exceeded")
    hints = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(429, json.dumps(body), headers=hints)


class OpenAI(Server):
    """`url` is the base URL without /v1. Without a `key` it takes any, as Ollama does.

    `takes_schemas=False` refuses JSON schemas, as older local servers do; `tells_usage=False`
    leaves out how many tokens there were.
    """

    def __init__(
        self,
        *,
        key: str | None = KEY,
        models: tuple[str, ...] = MODELS,
        answers: Answers | None = None,
        takes_schemas: bool = True,
        tells_usage: bool = True,
        work_s: float = 0.0,
    ) -> None:
        super().__init__(work_s=work_s)
        self.key = key
        self.models = models
        self.answers = answers or Comedian()
        self.takes_schemas = takes_schemas
        self.tells_usage = tells_usage
        self.billed: list[tuple[int, int]] = []
        """Tokens in and out of each answer that told them."""
        self._numbers = itertools.count(1)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        return [
            ("POST", "/v1/chat/completions", CALL, self._chat),
            ("GET", "/v1/models", "models", self._models),
            ("GET", "/v1/models/{model}", "model", self._model),
        ]

    def _models(self, request: Request) -> dict[str, Any]:
        self._check_key(request)
        return {"object": "list", "data": [_about(name) for name in self.models]}

    def _model(self, request: Request) -> dict[str, Any]:
        """Servers of one's own answer for the whole list only."""
        self._check_key(request)
        name = request.path.rsplit("/", 1)[1]
        if name not in self.models or self.key is None:
            raise _unknown(name)
        return _about(name)

    def _chat(self, request: Request) -> web.Response:
        self._check_key(request)
        body = request.body
        self._check_body(body)
        schema = self._schema(body["response_format"], body["messages"])
        system, user = (message["content"] for message in body["messages"])
        said = self.answers(system, user, schema)
        said = said if isinstance(said, Said) else Said(said)
        return web.json_response(
            self._completion(body, said),
            headers={"x-request-id": f"req_{next(self._numbers)}"},
        )

    def _completion(self, body: dict[str, Any], said: Said) -> dict[str, Any]:
        tokens_in = sum(len(message["content"].encode()) for message in body["messages"]) // 4
        message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
        if said.stop == "refusal":
            message |= {"content": None, "refusal": said.text or "I can't help with that."}
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1767225600,
            "model": f"{body['model']}-2026-09-22" if self.key else body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": _STOPS[said.stop],
                }
            ],
        }
        if self.tells_usage:
            out = min(len(said.text.encode()) // 4 + 1, body["max_completion_tokens"])
            self.billed.append((tokens_in, out))
            answer["usage"] = {
                "prompt_tokens": tokens_in,
                "completion_tokens": out,
                "total_tokens": tokens_in + out,
            }
        return answer

    def _check_key(self, request: Request) -> None:
        if self.key is None:
            return
        given = request.headers.get("authorization", "")
        if not given:
            raise Refusal(
                401, error("You didn't provide an API key.", "invalid_request_error", None)
            )
        if given != f"Bearer {self.key}":
            raise Refusal(
                401,
                error(
                    f"Incorrect API key provided: {given.removeprefix('Bearer ')}. You can find "
                    "your API key at https://platform.openai.com/account/api-keys.",
                    "invalid_request_error",
                    "invalid_api_key",
                ),
            )

    def _check_body(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise _invalid("We could not parse the JSON body of your request.")
        for name in body:
            if name not in _FIELDS:
                raise _invalid(f"Unrecognized request argument supplied: {name}", param=name)
        for name in ("model", "messages"):
            if not body.get(name):
                raise _invalid(f"Missing required parameter: '{name}'.", param=name)
        if body["model"] not in self.models:
            raise _unknown(body["model"])
        roles = [message.get("role") for message in body["messages"]]
        texts = [message.get("content") for message in body["messages"]]
        if roles != ["system", "user"] or not all(isinstance(t, str) and t for t in texts):
            raise _invalid("Invalid value for 'content'.", param="messages")
        most = body.get("max_completion_tokens")
        if not isinstance(most, int) or most < 1:
            raise _invalid("Invalid 'max_completion_tokens'.", param="max_completion_tokens")

    def _schema(self, form: Any, messages: list[dict[str, str]]) -> dict[str, Any]:
        if form.get("type") == "json_object":
            system = messages[0]["content"]
            if "json" not in system.lower():
                raise _invalid("'messages' must contain the word 'json' in some form.")
            return json.loads(system[system.rindex("\n{") :])
        if form.get("type") != "json_schema":
            raise _invalid("Invalid value for 'response_format'.", param="response_format")
        if not self.takes_schemas:
            raise Refusal(400, {"error": "response_format of type json_schema is not supported"})
        wrapped = form["json_schema"]
        if set(wrapped) != {"name", "strict", "schema"} or wrapped["strict"] is not True:
            raise _invalid("Invalid 'response_format.json_schema'.", param="response_format")
        for problem in strict_problems(wrapped["schema"]):
            message = f"Invalid schema for response_format '{wrapped['name']}': {problem}"
            raise _invalid(message, param="response_format")
        return wrapped["schema"]


def _about(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 1_700_000_000, "owned_by": "openai"}


def _unknown(model: str) -> Refusal:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, error(message, "invalid_request_error", "model_not_found"))


def _invalid(message: str, *, param: str | None = None) -> Refusal:
    return Refusal(400, error(message, "invalid_request_error", None, param))


def strict_problems(schema: dict[str, Any], where: tuple[str, ...] = ()) -> Iterator[str]:
    """What the strict mode refuses, for the kinds of schemas there are here."""
    context = f"In context={where}"
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            yield f"{context}, 'additionalProperties' is required to be supplied and to be false."
        if set(schema.get("required", ())) != set(properties):
            yield f"{context}, 'required' is required to be supplied and to include every key."
        for name, inner in properties.items():
            yield from strict_problems(inner, (*where, "properties", name))
    elif schema.get("type") == "array":
        yield from strict_problems(schema.get("items", {}), (*where, "items"))
    elif schema.get("type") not in ("string", "integer", "number", "boolean"):
        yield f"{context}, schema must have a 'type' key."
