"""How many tokens an answer is said to have had, believed as far as that makes sense."""

import json

import pytest
from standins import anthropic as anthropic_service
from standins import openai as openai_service
from standins.server import Garbled

from pipeline.config import WriterConfig
from pipeline.providers.base import Turn
from pipeline.providers.writers.anthropic import AnthropicModel
from pipeline.providers.writers.failures import Unreadable
from pipeline.providers.writers.openai import OpenAIModel
from pipeline.providers.writers.prompt import pitch_schema

MAX_TOKENS = 6000


@pytest.fixture
def openai():
    with openai_service.OpenAI(answers=lambda *_: "{}") as service:
        config = WriterConfig(
            provider="openai", api_key=openai_service.KEY, base_url=service.base_url
        )
        yield service, OpenAIModel(config)


@pytest.fixture
def anthropic():
    with anthropic_service.Anthropic(answers=lambda *_: "{}") as service:
        config = WriterConfig(
            provider="anthropic", api_key=anthropic_service.KEY, base_url=service.base_url
        )
        yield service, AnthropicModel(config)


def ask(model):
    return model.ask("Be funny.", [Turn("user", "é")], schema=pitch_schema(), max_tokens=MAX_TOKENS)


def completion(usage):
    choice = {"message": {"content": "{}"}, "finish_reason": "stop"}
    return Garbled(json.dumps({"choices": [choice], "model": "gpt-6-luna", "usage": usage}))


def message(**usage):
    text = {"type": "text", "text": "{}"}
    usage = {"input_tokens": 5, "output_tokens": 5, **usage}
    return Garbled(json.dumps({"content": [text], "stop_reason": "end_turn", "usage": usage}))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({}, (11, 2)),
        ({"prompt_tokens": 7}, (7, 2)),
        ({"prompt_tokens": None, "completion_tokens": 3}, (11, 3)),
        (None, (11, 2)),
    ],
)
def test_tokens_that_are_not_told_are_counted_as_bytes(openai, usage, counted):
    service, model = openai
    service.fail("chat", completion(usage))
    reply = ask(model)
    assert (reply.tokens_in, reply.tokens_out) == counted


@pytest.mark.parametrize("tokens", [-1, 10**10, 10**30])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_count_that_no_answer_has_makes_it_no_answer(openai, name, tokens):
    service, model = openai
    service.fail("chat", completion({"prompt_tokens": 7, "completion_tokens": 3, name: tokens}))
    with pytest.raises(Unreadable):
        ask(model)


@pytest.mark.parametrize("tokens", [-1, 10**10, 10**30])
@pytest.mark.parametrize(
    "name",
    ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"],
)
def test_the_same_holds_for_anthropic(anthropic, name, tokens):
    service, model = anthropic
    service.fail(anthropic_service.CALL, message(**{name: tokens}))
    with pytest.raises(Unreadable):
        ask(model)
