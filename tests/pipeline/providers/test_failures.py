from datetime import UTC, datetime

import pytest

from pipeline.providers.failures import LONGEST_QUOTE, quoted, retry_after_s

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Mon, 04 May 2026 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Mon, 04 May 2026 12:01:30"}, 90.0),
        ({"retry-after": "Mon, 04 May 2099 12:01:30 GMT"}, 3600.0),
        ({"retry-after": "Mon, 04 May 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "99999999"}, 3600.0),
        ({"retry-after": "9" * 40}, None),
        ({"retry-after": "\u0663"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_hint_to_wait_is_read_in_all_its_forms(headers, wait_s):
    assert retry_after_s(headers, now=NOW) == wait_s


def test_who_can_wait_longer_says_so():
    assert retry_after_s({"retry-after": "99999999"}, longest_s=86_400) == 86_400


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fine.", "Fine."),
        ("two\r\nlines\tand\x00\x1b[2J\u202e more\u2028", "two lines and [2J more"),
        ("Wrong key: secret-key-1!", "Wrong key: …!"),
        ("Incorrect key sk-proj-ab12****cdef given", "Incorrect key … given"),
        ("see https://x.test/v1?key=abc please", "see … please"),
    ],
)
def test_what_a_service_says_is_one_line_without_keys_and_addresses(text, shown):
    assert quoted(text, secret="secret-key-1") == shown


def test_what_a_service_says_is_short():
    assert len(quoted("long " * 1000)) == LONGEST_QUOTE
