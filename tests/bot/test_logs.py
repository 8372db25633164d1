import io
import json
import logging

import pytest
from pydantic import SecretStr

from bot.logs import mask, set_up_logging

SECRET = "token-canary-123"


@pytest.fixture
def stream():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = before


@pytest.mark.parametrize("structured", [True, False])
def test_no_secret_reaches_a_line(stream, structured):
    set_up_logging("INFO", [SECRET], structured=structured, stream=stream)
    logging.getLogger("x").error("calling with %s", SECRET)
    assert SECRET not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.parametrize("structured", [True, False])
def test_no_secret_reaches_a_traceback(stream, structured):
    set_up_logging("INFO", [SECRET], structured=structured, stream=stream)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert SECRET not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


@pytest.mark.parametrize("text", ["a\r\nFAKE INFO line", "a\u2028b", "a\x1b[31mred", "a\u202eb"])
def test_one_record_is_one_line_without_control_characters(stream, text):
    set_up_logging("INFO", stream=stream)
    logging.getLogger("x").warning("topic %s", text)
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()


def test_structured_lines_are_json_whatever_they_quote(stream):
    set_up_logging("INFO", structured=True, stream=stream)
    for text in ("a\x85b", "a\x7fb", "a\u202eb", 'a"\\b', "a\ud800b"):
        logging.getLogger("x").info("topic %s", text)
        assert json.loads(stream.getvalue().splitlines()[-1])["message"] == f"topic {text}"


def test_a_secret_is_masked_before_it_becomes_json(stream):
    set_up_logging("INFO", ['quoted"secret\\'], structured=True, stream=stream)
    logging.getLogger("x").error("calling with %s", 'quoted"secret\\')
    assert json.loads(stream.getvalue())["message"] == "calling with ***"


def test_structured_lines_are_json(stream):
    set_up_logging("INFO", structured=True, stream=stream)
    logging.getLogger("x").info("episode=%d", 12)
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "episode=12"
    assert entry["level"] == "INFO"


@pytest.mark.parametrize("structured", [True, False])
def test_a_secret_that_came_later_is_masked_from_then_on(stream, structured):
    set_up_logging("INFO", [SECRET], structured=structured, stream=stream)
    mask(SecretStr(f"{SECRET}-renewed"))
    logging.getLogger("x").error("%s and %s", f"{SECRET}-renewed", SECRET)
    assert SECRET not in stream.getvalue()
    assert "renewed" not in stream.getvalue()


def test_masking_without_logging_is_harmless():
    mask(SecretStr(SECRET))


def test_calls_do_not_log_their_addresses(stream):
    set_up_logging("DEBUG", stream=stream)
    for name in ("httpx", "httpx2", "httpcore.http11", "httpcore2.http11"):
        logging.getLogger(name).info("GET https://example.com/?access_token=%s", SECRET)
    assert stream.getvalue() == ""
