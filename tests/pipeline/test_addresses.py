"""Which addresses may be told a key or a text."""

import pytest
from pydantic import SecretStr

from pipeline.addresses import checked
from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.providers.writers.chat import base_url_of


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:8080/v1",
        "http://localhost/v1",
        "http://[::1]:8080",
    ],
)
def test_https_and_this_machine_are_accepted(url):
    assert checked(f"{url}/") == url


@pytest.mark.parametrize(
    "host",
    ["192.168.1.5", "10.0.0.2", "172.31.0.1", "[fd00::1]", "ollama", "nas.local", "pc.home.arpa"],
)
def test_plain_http_into_the_house_needs_leave(host):
    url = f"http://{host}:11434/v1"
    assert checked(url, lan=True) == url
    with pytest.raises(ValueError, match="plain http only to this machine"):
        checked(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "http://8.8.8.8/v1",
        "http://172.32.0.1/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://localhost.evil.example/v1",
        "http://127.0.0.1:80@evil.example/v1",
        "https://user:secret@api.openai.com",
        "https://",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://api.openai.com:port",
        "https://api.open\nai.com",
        "https://api.openai.com /v1",
        "api.openai.com",
    ],
)
def test_everything_else_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match=r"^(must|holds|has)") as raised:
        checked(url, lan=True)
    assert "secret" not in str(raised.value)


def test_a_server_in_the_house_is_asked_without_a_key_only():
    own = WriterConfig(provider="openai", base_url="http://nas.local:11434/v1", model="llama3.2")
    assert base_url_of(own) == own.base_url
    with pytest.raises(UserError, match="OPENAI_BASE_URL must start with https"):
        base_url_of(own.model_copy(update={"api_key": SecretStr("key")}))
