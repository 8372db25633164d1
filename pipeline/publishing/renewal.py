"""A longer-lived token for one that holds: the refresh of each login.

https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from pipeline.publishing.answers import PLATFORM, TRANSIENT_S, Unreadable
from pipeline.publishing.base import Passing
from pipeline.publishing.graph import Wire, address

TIMEOUT_S = 30.0
TOKEN = re.compile(r"[\x21-\x7e]{8,2000}")  # nothing that a header could not carry


@dataclass(frozen=True)
class NewToken:
    """`expires_in_s` is None when the answer does not say."""

    token: SecretStr
    expires_in_s: int | None


async def refresh(token: SecretStr, *, graph_url: str) -> NewToken:
    """Of Instagram Login: when the token is at least 24 hours old and holds; for 60 days."""
    # This endpoint has no version in its address.
    url = address(graph_url, "INSTAGRAM_GRAPH_URL").copy_with(path="/refresh_access_token")
    parameters = {"grant_type": "ig_refresh_token", "access_token": token.get_secret_value()}
    return await _ask(str(url), parameters, secrets=[token])


async def exchange(
    token: SecretStr,
    *,
    graph_url: str,
    app_id: str,
    app_secret: SecretStr,
    of_system_user: bool = False,
) -> NewToken:
    """Of Facebook Login: also turns one that lives for an hour into one for 60 days."""
    url = f"{address(graph_url, 'INSTAGRAM_GRAPH_URL')}/oauth/access_token"
    parameters = {
        "grant_type": "fb_exchange_token",
        "client_id": app_id,
        "client_secret": app_secret.get_secret_value(),
        "fb_exchange_token": token.get_secret_value(),
    }
    if of_system_user:
        parameters["set_token_expires_in_60_days"] = "true"
    return await _ask(url, parameters, secrets=[token, app_secret])


async def _ask(url: str, parameters: dict[str, str], *, secrets: list[SecretStr]) -> NewToken:
    hidden = [secret.get_secret_value() for secret in secrets]
    async with Wire(hidden, timeout_s=TIMEOUT_S) as wire:
        try:
            answer = await wire.ask("GET", url, headers={}, params=parameters)
        except Unreadable as error:
            raise Passing(PLATFORM, error.message, TRANSIENT_S) from error
    return _new_token(answer)


def _new_token(answer: dict[str, Any]) -> NewToken:
    token, seconds = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise Passing(PLATFORM, "the answer holds no new token.", TRANSIENT_S)
    is_known = isinstance(seconds, int) and 0 < seconds < 10**9
    return NewToken(SecretStr(token), seconds if is_known else None)
