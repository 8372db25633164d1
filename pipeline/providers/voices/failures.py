"""What a failed call to ElevenLabs means for the people who wait, and whether it was billed.

A UserError or NotBilled says that the call certainly cost nothing; any other ProviderError is
of a call whose answer may have been lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import ProviderError, UserError
from pipeline.providers.failures import NotBilled, quoted, retry_after_s

SERVICE = "ElevenLabs"
BUSY_S = 10.0
"""How long to stay away from a service that is busy and does not say for how long."""
UNREADABLE = (
    "it sent something that is no answer of its own; look whether ELEVENLABS_BASE_URL is its "
    "address, then try again."
)


def refused(
    code: int,
    body: object,
    headers: Mapping[str, str],
    *,
    secret: str,
    asking_for: str,
    voice_variable: str = "",
) -> UserError | ProviderError:
    """For an answer with an error status, or one that is none.

    `asking_for` is the permission that the call needs, `voice_variable` the setting that named
    its voice.
    """
    status, message = _detail(body)
    said = quoted(message, secret=secret)
    wait_s = retry_after_s(headers)
    if known := _for_people(asking_for, voice_variable).get(status):
        return UserError(known)
    if known_passing := PASSING.get(status):
        return NotBilled(SERVICE, known_passing, True, wait_s if wait_s is not None else BUSY_S)
    if status == "quota_exceeded" or code == 402:
        return NotBilled(
            SERVICE,
            "the characters of its plan are used up; go on when its next month begins, or after "
            "an upgrade.",
        )
    return _by_code(code, said, wait_s)


def unreachable() -> ProviderError:
    """Nothing was sent."""
    what = "it cannot be reached; if that stays so, check ELEVENLABS_BASE_URL."
    return NotBilled(SERVICE, what, True)


def lost(*, timed_out: bool) -> ProviderError:
    """It may have answered, and billed it."""
    if timed_out:
        return ProviderError(SERVICE, "it did not answer in time.", True)
    return ProviderError(SERVICE, "the connection broke off before its answer was here.", True)


def unreadable() -> ProviderError:
    return ProviderError(SERVICE, UNREADABLE)


def _for_people(asking_for: str, voice_variable: str) -> Mapping[str, str]:
    no_voice = (
        f"ElevenLabs has no voice of the id in {voice_variable}; choose one of the voices of its "
        "account."
    )
    return {
        "invalid_api_key": "ElevenLabs does not accept the key; correct ELEVENLABS_API_KEY.",
        "missing_permissions": "The key in ELEVENLABS_API_KEY may not do everything that is "
        f"needed; allow it {asking_for} in its settings at ElevenLabs.",
        "voice_not_found": no_voice,
        "voice_does_not_exist": no_voice,
        "invalid_uid": no_voice,
        "max_character_limit_exceeded": "A line is longer than the voice's model can speak; "
        "shorten it.",
    }


PASSING: Mapping[str, str] = {
    "too_many_concurrent_requests": "too many of its calls are under way at once; a smaller "
    "VOICE_CONCURRENCY keeps within the plan.",
    "system_busy": "it is busy just now.",
}


def _by_code(code: int, said: str, wait_s: float | None) -> UserError | ProviderError:
    why = f" ({said})" if said else ""
    if 200 <= code < 300:
        return unreadable()
    if 300 <= code < 400:
        return NotBilled(
            SERVICE, "it answers with a redirect, which is not followed; check ELEVENLABS_BASE_URL."
        )
    if code == 401:
        return UserError(f"ElevenLabs denies access with the key in ELEVENLABS_API_KEY{why}.")
    if code == 404:
        return UserError(
            f"ElevenLabs does not know what was asked for{why}; check "
            "ELEVENLABS_BASE_URL and ELEVENLABS_MODEL."
        )
    if code in (408, 409, 425, 429):
        wait_s = wait_s if wait_s is not None else BUSY_S
        return NotBilled(SERVICE, "it takes no more calls just now.", True, wait_s)
    if code >= 500:
        return ProviderError(SERVICE, f"it has an internal error (status {code}).", True, wait_s)
    return NotBilled(SERVICE, f"it refuses the line{why}.")


def _detail(body: object) -> tuple[str, str]:
    """The service's own word and sentence for the error; both may be empty."""
    detail = body.get("detail", body) if isinstance(body, dict) else body
    if isinstance(detail, list):  # one entry for each field that is wrong
        detail = detail[0] if detail else {}
    if not isinstance(detail, dict):
        return "", "" if "<" in str(detail) else str(detail or "")
    status = detail.get("status") or detail.get("code") or ""
    return str(status), str(detail.get("message") or detail.get("msg") or "")
