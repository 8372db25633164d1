"""What Meta's answers mean: JSON, or one of the errors of base.py.

Decisions are taken on `code` and `error_subcode`; the HTTP status varies.
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.masking import masked
from pipeline.publishing.base import (
    Limited,
    Locked,
    NotReady,
    Passing,
    Permanent,
    PublishError,
    StartOver,
    Unseen,
)
from pipeline.publishing.usage import regain_s

PLATFORM = "instagram"
LONGEST_TEXT = 200

TOKEN_CODES = {190, 102}
PERMISSION_CODES = {10, *range(200, 300)}
ACCOUNT_CODES = {368}
ACCOUNT_SUBCODES = {2207050, 2207051}
LIMITED = {4, 17, 32, 613, *range(80000, 80015)}
DAILY_LIMIT_SUBCODE = 2207042
NOT_READY_SUBCODE = 2207027
START_OVER_SUBCODES = {2207001, 2207003, 2207020, 2207032, 2207053}
UNSEEN_SUBCODES = {2207006, 2207008}
PERMANENT = {352, 36004, 9004}  # and 100 without a subcode of its own: a parameter is wrong
PERMANENT_SUBCODES = {2207010, 2207026, 2207040, 2207052, 2207057}

NOT_READY_S, LIMITED_S, DAILY_LIMIT_S, TRANSIENT_S = 10.0, 300.0, 3600.0, 30.0

LOG_IN_AGAIN = (
    "log in at Meta again, put the new token into META_ACCESS_TOKEN and start the bot again"
)


class Unreadable(PublishError):
    """The answer was lost or makes no sense: what happened is not known. Stays in this folder."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def read(answer: Answer, secrets: Iterable[str]) -> dict[str, Any]:
    """The JSON object; PublishError when the answer is an error, or none that makes sense."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        raise _failure(found["error"], answer.headers, secrets)
    if isinstance(found, dict) and isinstance(found.get("debug_info"), dict):
        raise _upload_failure(found["debug_info"], secrets)
    if not isinstance(found, dict) or not 200 <= answer.status < 300:
        what = "it has an internal error" if answer.status >= 500 else "the answer makes no sense"
        raise Unreadable(PLATFORM, f"{what} (HTTP {answer.status}).", True)
    return found


def safe(text: object, secrets: Iterable[str]) -> str:
    """Short, one line, and without secrets, should an answer repeat them."""
    plain = masked(str(text), secrets, by="[token]")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", plain)[:LONGEST_TEXT]


def is_final(detail: str) -> bool:
    """Whether a container's status text names a fault of the file or caption itself."""
    return any(int(code) in PERMANENT_SUBCODES for code in re.findall(r"\b2207\d{3}\b", detail))


def _failure(
    error: Mapping[str, Any], headers: Mapping[str, str], secrets: Iterable[str]
) -> PublishError:
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    text = safe(error.get("error_user_msg") or error.get("message") or "an error", secrets)
    codes = f"code {code}{f'/{subcode}' if subcode else ''}"
    kind, wait_s = _kind(code, subcode)
    if issubclass(kind, Passing):
        return kind(PLATFORM, f"{text} ({codes})", regain_s(headers) or wait_s)
    if kind is Locked:
        return Locked(PLATFORM, _what_to_do(code, subcode, f"{text}, {codes}"))
    return kind(PLATFORM, f"{text} ({codes})")


def _what_to_do(code: int, subcode: int, text: str) -> str:
    if code in ACCOUNT_CODES or subcode in ACCOUNT_SUBCODES:
        return f"the account is restricted ({text}); open it in the Instagram app and settle it."
    if code in TOKEN_CODES:
        return f"the token is refused ({text}); {LOG_IN_AGAIN}."
    return f"a permission is missing ({text}); `emf doctor` says what META_ACCESS_TOKEN lacks."


def _upload_failure(info: Mapping[str, Any], secrets: Iterable[str]) -> PublishError:
    text = safe(f"the upload was refused: {info.get('type')}: {info.get('message')}", secrets)
    if info.get("retriable"):
        return Unreadable(PLATFORM, text, True)
    return StartOver(PLATFORM, text)


def _kind(code: int, subcode: int) -> tuple[type[PublishError], float]:
    if code in TOKEN_CODES | PERMISSION_CODES | ACCOUNT_CODES or subcode in ACCOUNT_SUBCODES:
        return Locked, 0
    if subcode == DAILY_LIMIT_SUBCODE:
        return Limited, DAILY_LIMIT_S
    if code in LIMITED:
        return Limited, LIMITED_S
    if subcode == NOT_READY_SUBCODE:
        return NotReady, NOT_READY_S
    if subcode in START_OVER_SUBCODES:
        return StartOver, 0
    if (code, subcode) == (100, 33) or subcode in UNSEEN_SUBCODES:
        return Unseen, 0
    if code in PERMANENT or subcode in PERMANENT_SUBCODES:
        return Permanent, 0
    return (Permanent, 0) if code == 100 else (Unreadable, 0)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
