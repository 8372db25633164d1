"""The loopback Instagram's tokens: which hold, what they may do, and how they are renewed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from bot.sandbox.instagram.rules import GraphError

RENEWED_FOR = timedelta(days=60)
OLD_ENOUGH = timedelta(hours=24)
FACEBOOK_SCOPES = (
    *("instagram_basic", "instagram_content_publish", "pages_read_engagement"),
    "pages_show_list",
)
EXCHANGE = {
    *("grant_type", "client_id", "client_secret", "fb_exchange_token"),
    "set_token_expires_in_60_days",
}


@dataclass
class Token:
    """`expires_at` is None when it never does; `kind` is debug_token's `type`."""

    value: str
    issued_at: datetime
    expires_at: datetime | None = None
    access_ends_at: datetime | None = None
    scopes: tuple[str, ...] = FACEBOOK_SCOPES
    kind: str = "SYSTEM_USER"
    revoked: bool = False


class Tokens:
    """`login` is `facebook` or `instagram`: which host this is."""

    def __init__(
        self, first: str, *, login: str, app_id: str, app_secret: str, now: Callable[[], datetime]
    ) -> None:
        self.login, self.app_id, self.app_secret = login, app_id, app_secret
        self._now = now
        self._numbers = count(1)
        self.known = {first: Token(first, now() - timedelta(days=1))}

    def issue(self, value: str = "", **facts: Any) -> Token:
        """A token that a person has just got by logging in."""
        start = "IGAA" if self.login == "instagram" else "EAA"
        value = value or f"{start}renewed0canary0number{next(self._numbers)}"
        self.known[value] = Token(value, **{"issued_at": self._now(), **facts})
        return self.known[value]

    def check(self, value: str) -> Token:
        token = self.known.get(value)
        if token is None:
            raise GraphError("Invalid OAuth access token - Cannot parse access token", 190, 0, 401)
        if token.revoked:
            raise GraphError(
                "Error validating access token: The session has been invalidated because the user "
                "changed their password.",
                *(190, 460, 401),
            )
        if token.expires_at is not None and token.expires_at <= self._now():
            raise GraphError(
                f"Error validating access token: Session has expired on {token.expires_at:%c}.",
                *(190, 463, 401),
            )
        return token

    def refresh(self, parameters: dict[str, str]) -> dict[str, Any]:
        """Instagram Login: a new token for one that is a day old and holds."""
        _only(parameters, {"grant_type", "access_token"})
        if self.login != "instagram" or parameters.get("grant_type") != "ig_refresh_token":
            raise GraphError("Unsupported get request.", 100)
        token = self.check(parameters.get("access_token", ""))
        if self._now() - token.issued_at < OLD_ENOUGH:
            raise GraphError("This token is too young to be refreshed.", 100)
        return self._renewed(token)

    def exchange(self, parameters: dict[str, str]) -> dict[str, Any]:
        """Facebook Login: a long-lived token for one that holds, with the app's secret."""
        _only(parameters, EXCHANGE)
        if self.login != "facebook" or parameters.get("grant_type") != "fb_exchange_token":
            raise GraphError("Missing or invalid grant type.", 1)
        if parameters.get("client_id") != self.app_id:
            raise GraphError("Error validating application. Invalid application ID.", 101)
        if parameters.get("client_secret") != self.app_secret:
            raise GraphError("Error validating client secret.", 1)
        return self._renewed(self.check(parameters.get("fb_exchange_token", "")))

    def debug(self, asking: str, parameters: dict[str, str]) -> dict[str, Any]:
        _only(parameters, {"input_token"})
        if self.login != "facebook":
            raise GraphError("Unsupported get request.", 100)
        if asking != f"{self.app_id}|{self.app_secret}":
            self.check(asking)
        if not parameters.get("input_token"):
            raise GraphError("(#100) The parameter input_token is required", 100)
        try:
            token = self.check(parameters["input_token"])
        except GraphError as refused:
            told = {"code": refused.code, "message": refused.message}
            return {"data": {"is_valid": False, "scopes": [], "error": told}}
        return {"data": {"app_id": self.app_id, "is_valid": True, **_facts(token)}}

    def _renewed(self, token: Token) -> dict[str, Any]:
        expires_at = None if token.expires_at is None else self._now() + RENEWED_FOR
        renewed = self.issue(
            expires_at=expires_at,
            access_ends_at=token.access_ends_at,
            scopes=token.scopes,
            kind=token.kind,
        )
        answer: dict[str, Any] = {"access_token": renewed.value, "token_type": "bearer"}
        if expires_at is not None:
            answer["expires_in"] = int(RENEWED_FOR.total_seconds())
        return answer


def _facts(token: Token) -> dict[str, Any]:
    def seconds(moment: datetime | None) -> int:
        return 0 if moment is None else int(moment.timestamp())

    return {
        "type": token.kind,
        "application": "Sandbox",
        "issued_at": seconds(token.issued_at),
        "expires_at": seconds(token.expires_at),
        "data_access_expires_at": seconds(token.access_ends_at),
        "scopes": list(token.scopes),
        "user_id": "122100000000000000",
    }


def _only(parameters: dict[str, str], known: set[str]) -> None:
    if unknown := sorted(set(parameters) - known):
        raise GraphError(f"Unexpected parameter {unknown[0]}", 100)
