"""Both chat services against stand-ins that refuse as they do: one contract, one error mapping."""

import json
import logging

import pytest
from standins import anthropic as anthropic_service
from standins import openai as openai_service
from standins.comedian import Comedian, Said
from standins.server import HTML, Drop, Garbled, Half, Reply, Silence, redirect

from pipeline.config import WriterConfig
from pipeline.errors import ProviderError, UserError
from pipeline.facts import Memory, Topic, Topics
from pipeline.providers import factory
from pipeline.providers.base import Stop, Turn
from pipeline.providers.failures import NotBilled
from pipeline.providers.writers import bible, chat
from pipeline.providers.writers.anthropic import AnthropicModel
from pipeline.providers.writers.failures import Unreadable
from pipeline.providers.writers.openai import OpenAIModel
from pipeline.providers.writers.prompt import pitch_schema, script_prompt, script_schema

KINDS = {
    "openai": (openai_service, openai_service.OpenAI, OpenAIModel, "OPENAI"),
    "anthropic": (anthropic_service, anthropic_service.Anthropic, AnthropicModel, "ANTHROPIC"),
}


class Chat:
    """A stand-in and the provider that asks it."""

    def __init__(self, provider):
        self.provider = provider
        self.module, server, self._model, self.prefix = KINDS[provider]
        self.service = server()

    @property
    def call(self):
        return self.module.CALL

    def config(self, **values):
        given = {"api_key": self.module.KEY, "base_url": self.service.base_url, **values}
        return WriterConfig(provider=self.provider, **given)

    def model(self, **values):
        return self._model(self.config(**values))

    def ask(self, show, brief, **values):
        prompt = script_prompt(self.config(), brief(), Memory(), show)
        return self.model(**values).ask(
            prompt.system, [Turn("user", prompt.user)], schema=prompt.schema, max_tokens=6000
        )


@pytest.fixture(params=sorted(KINDS))
def talk(request):
    chat = Chat(request.param)
    with chat.service:
        yield chat


@pytest.fixture
def openai_like():
    """A local server such as Ollama, with other ways than OpenAI's."""
    servers = []

    def start(**values):
        server = openai_service.OpenAI(key=None, models=("llama3",), **values)
        servers.append(server.__enter__())
        config = WriterConfig(provider="openai", base_url=server.base_url, model="llama3")
        return server, OpenAIModel(config)

    yield start
    for server in servers:
        server.__exit__()


def ask(model, show, text='<data>\n{"topic": "Wordle"}\n</data>', max_tokens=6000):
    turn = Turn("user", text)
    return model.ask("Be funny.", [turn], schema=script_schema(show), max_tokens=max_tokens)


# A good answer


def test_an_answer_has_text_tokens_and_the_id_of_its_request(talk, show, brief):
    reply = talk.ask(show, brief)
    assert len(json.loads(reply.text)["lines"]) >= 5
    assert reply.stop is Stop.END
    assert 0 < reply.tokens_in < 6000
    assert 0 < reply.tokens_out < 6000
    assert reply.model.startswith(chat.DEFAULT_MODELS[talk.provider])
    assert reply.request_id == "req_1"


def test_the_schema_of_pitches_is_taken_too(talk, show):
    data = '<data>\n{"count": 1, "topics": {"1": "Wordle"}}\n</data>'
    reply = talk.model().ask(
        bible.for_pitches(show), [Turn("user", data)], schema=pitch_schema(), max_tokens=100
    )
    assert json.loads(reply.text)["pitches"][0]["topic"] == 1


@pytest.mark.parametrize(("said", "stop"), [("length", Stop.LENGTH), ("refusal", Stop.REFUSAL)])
def test_why_an_answer_ended_is_told(talk, show, brief, said, stop):
    talk.service.answers = lambda *_: Said("{", said)
    assert talk.ask(show, brief).stop is stop


def test_a_full_context_window_is_an_answer_cut_off(show, brief):
    talk = Chat("anthropic")
    talk.service.answers = lambda *_: Said("{", "model_context_window_exceeded")
    with talk.service:
        assert talk.ask(show, brief).stop is Stop.LENGTH


# What goes wrong: one sentence, whether it passes, and whether it was billed

PASSING = [
    (Drop(), "the connection was lost", False),
    (Drop(after=True), "the connection was lost", False),
    (Half(), "the connection was lost", False),
    (Silence(), "it did not answer in time", False),
    ("INTERNAL", "it has an internal error", False),
    ("OVERLOADED", "it is overloaded", False),
    (Reply(502, "<html>Bad gateway</html>", content_type="text/html"), "internal error", False),
    ("too_many", "too many requests just now", True),
]


@pytest.mark.parametrize(("fault", "sentence", "free"), PASSING)
def test_what_passes_is_tried_again_later(talk, show, brief, fault, sentence, free, monkeypatch):
    if fault == Silence():
        monkeypatch.setattr(chat, "OWN_SERVER_TIMEOUT_S", 0.3)
    if isinstance(fault, str):
        fault = getattr(talk.module, fault)
        fault = fault() if callable(fault) else fault
    talk.service.fail(talk.call, fault)
    with pytest.raises(ProviderError, match=sentence) as caught:
        talk.ask(show, brief)
    assert caught.value.retryable
    assert isinstance(caught.value, NotBilled) is free
    assert talk.service.called(talk.call) == 1


@pytest.mark.parametrize(
    ("header", "value", "wait_s"),
    [
        ("retry_after", "7", 7.0),
        ("retry_after_ms", "1500", 1.5),
        ("retry_after", "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("retry_after", "soon", None),
        ("retry_after", "nan", None),
        ("retry_after", "9999999", 3600.0),
    ],
)
def test_the_service_says_how_long_to_wait(talk, show, brief, header, value, wait_s):
    talk.service.fail(talk.call, talk.module.too_many(**{header: value}))
    with pytest.raises(ProviderError) as caught:
        talk.ask(show, brief)
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("fault", [HTML, Garbled(), Garbled("[]"), Garbled("{"), Garbled("")])
def test_what_is_no_answer_may_have_been_billed(talk, show, brief, fault):
    talk.service.fail(talk.call, fault)
    with pytest.raises(Unreadable, match=f"no answer.*{talk.prefix}_BASE_URL"):
        talk.ask(show, brief)


def test_a_spent_quota_is_not_tried_again(talk, show, brief):
    talk.service.fail(talk.call, talk.module.QUOTA_SPENT)
    with pytest.raises(NotBilled, match="quota or credit is spent") as caught:
        talk.ask(show, brief)
    assert not caught.value.retryable


def test_a_wrong_key_names_its_variable_and_never_itself(talk, show, brief):
    wrong = f"{talk.module.KEY}-wrong"
    with pytest.raises(UserError, match=f"{talk.prefix}_API_KEY") as caught:
        talk.ask(show, brief, api_key=wrong)
    assert talk.module.KEY not in str(caught.value)


def test_a_key_without_the_right_is_named_too(talk, show, brief):
    talk.service.fail(talk.call, Reply(403, '{"error": {"message": "Country not supported"}}'))
    with pytest.raises(UserError, match=f"Country not supported.*{talk.prefix}_API_KEY"):
        talk.ask(show, brief)


def test_an_unknown_model_names_the_setting(talk, show, brief):
    with pytest.raises(UserError, match=r"'gpt-99'.*LLM_MODEL"):
        talk.ask(show, brief, model="gpt-99")


def test_an_address_without_a_chat_service_names_the_setting(talk, show, brief):
    with pytest.raises(UserError, match=f"{talk.prefix}_BASE_URL"):
        talk.ask(show, brief, base_url=f"{talk.service.url}/elsewhere")


def test_a_closed_door_was_not_billed(talk, show, brief):
    with pytest.raises(NotBilled, match="cannot be reached") as caught:
        talk.ask(show, brief, base_url="http://127.0.0.1:9/v1")  # the port of "discard" is closed
    assert caught.value.retryable


def test_a_redirect_is_refused_and_the_key_stays_here(talk, show, brief):
    with Chat(talk.provider).service as foreign:
        talk.service.fail(talk.call, redirect(f"{foreign.url}/v1/steal"))
        with pytest.raises(NotBilled, match="redirect") as caught:
            talk.ask(show, brief)
        assert not caught.value.retryable
        assert foreign.requests == []


def test_other_refusals_tell_what_the_service_said(talk, show, brief):
    text = "Nonsense \r\n\x1b[31m\u202e at https://x.test/?token=secret " + "long " * 100
    talk.service.fail(talk.call, Reply(422, json.dumps({"error": {"message": text}})))
    with pytest.raises(NotBilled, match=r"refuses the request \(status 422\) \(Nonsense") as caught:
        talk.ask(show, brief)
    assert str(caught.value).isprintable()
    assert "token" not in str(caught.value)
    assert len(str(caught.value)) < 330


def test_no_key_reaches_a_log(talk, show, brief, caplog):
    caplog.set_level(logging.DEBUG)
    talk.ask(show, brief)
    with pytest.raises(UserError):
        talk.ask(show, brief, api_key=f"{talk.module.KEY}-wrong")
    assert caplog.records
    assert talk.module.KEY not in caplog.text


# Keys and addresses


@pytest.mark.parametrize("provider", sorted(KINDS))
def test_a_missing_key_names_the_variable_and_the_way_without(provider, context):
    with pytest.raises(UserError, match=f"{provider.upper()}_API_KEY, or WRITER=offline"):
        factory.writer(WriterConfig(provider=provider), context())


@pytest.mark.parametrize("provider", sorted(KINDS))
@pytest.mark.parametrize(
    "url", ["http://192.168.1.9:11434/v1", "http://example.test/v1", "ftp://x"]
)
def test_a_key_never_travels_in_the_clear(provider, url, context):
    config = WriterConfig(provider=provider, api_key="key-123456", base_url=url)
    with pytest.raises(UserError, match=f"{provider.upper()}_BASE_URL"):
        factory.writer(config, context())


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("", False),
        ("https://api.openai.com/v1", False),
        ("http://127.0.0.1:11434/v1", True),
        ("https://api.openai.com.example.test/v1", True),
    ],
)
def test_a_server_of_ones_own_is_known_by_its_host(url, own):
    assert chat.is_own_server(WriterConfig(provider="openai", base_url=url)) is own


# Servers of one's own


def test_a_local_server_needs_no_key(openai_like, show):
    server, model = openai_like()
    assert ask(model, show).model == "llama3"
    assert server.called("chat") == 1


def test_a_server_without_schemas_is_asked_once_more_in_words(openai_like, show):
    server, model = openai_like(takes_schemas=False)
    assert json.loads(ask(model, show).text)["caption"]
    forms = [request.body["response_format"]["type"] for request in server.requests]
    assert forms == ["json_schema", "json_object"]

    ask(model, show)
    assert server.called("chat") == 3


def test_a_server_that_takes_no_form_at_all_is_asked_twice_and_no_more(openai_like, show):
    server, model = openai_like()
    server.fail("chat", Reply(400, '{"error": "no response_format here"}'), times=5)
    with pytest.raises(NotBilled, match="no response_format here"):
        ask(model, show)
    assert server.called("chat") == 2


def test_without_usage_bytes_are_counted(openai_like, show):
    _, model = openai_like(tells_usage=False, answers=lambda *_: '{"é": 1}')
    reply = ask(model, show, "é" * 100)
    assert reply.tokens_in == len("Be funny.") + 200
    assert reply.tokens_out == 9


@pytest.mark.parametrize("wrapping", ["```json\n{}\n```", "Here you are: {} Enjoy!"])
def test_json_wrapped_in_words_is_read(openai_like, show, brief, room, wrapping):
    good = Comedian()
    _, model = openai_like(answers=lambda *asked: wrapping.replace("{}", good(*asked)))
    assert len(room(model).write(brief(), Memory(), show).lines) >= 5


# Through the factory, as the stage asks for it


def test_the_writer_of_the_config_writes_and_pitches(talk, show, brief, context):
    ctx = context(config=talk.config())
    writer = factory.writer(talk.config(), ctx)
    script = writer.write(brief("wordle", episode=4), Memory(), show)
    meta = script.metadata
    assert (script.episode, meta.provider) == (4, talk.provider)
    assert meta.model.startswith(chat.DEFAULT_MODELS[talk.provider])
    assert len(meta.prompt_hash) == 64
    assert meta.gags == (show.running_gags[0],)
    assert meta.trends == ("wordle",)

    ctx = context(config=talk.config(), job=8)
    topics = Topics(topics=(Topic(name="wordle", source="x"), Topic(name="tea", source="x")))
    pitches = factory.writer(talk.config(), ctx).pitch(topics, Memory(), show)
    assert [pitch.topic for pitch in pitches.pitches] == ["wordle", "tea"]
    assert pitches.provider == talk.provider
