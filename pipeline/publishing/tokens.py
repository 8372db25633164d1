"""What Meta says about a token: whose it is, how long it holds, what it may do; and a new one.

Two logins give tokens, and the host says which: graph.instagram.com has those of Instagram
Login, graph.facebook.com those of Facebook Login (users', pages' and system users'). Any other
host (a loopback one) is asked: only an Instagram Login has a field `user_id` at /me.
https://developers.facebook.com/docs/instagram-platform/overview#authorization
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import httpx
from pydantic import SecretStr

from pipeline.publishing.answers import LOG_IN_AGAIN, PLATFORM, TRANSIENT_S, Unreadable, safe
from pipeline.publishing.base import Locked, Passing, Permanent, Unseen
from pipeline.publishing.graph import Wire, address, bearer

TIMEOUT_S = 30.0
MOST_PAGES, PER_PAGE = 10, 100
HOSTS = {"graph.instagram.com": "instagram", "graph.facebook.com": "facebook"}


class TokenKind(StrEnum):
    """Each value is the words people read."""

    INSTAGRAM = "Instagram Login"
    USER = "Facebook Login"
    PAGE = "Facebook page"
    SYSTEM_USER = "system user"


NEEDED_SCOPES = ("instagram_basic", "instagram_content_publish", "pages_read_engagement")
"""To post with a token of Facebook Login; Instagram Login tells no scopes."""
SETUP_SCOPE = "pages_show_list"
"""Lists the pages, so that setup can find the account."""


@dataclass(frozen=True)
class TokenFacts:
    """`expires_at` is None for a token that never expires, and when nobody says (Instagram Login).

    `scopes` is None when nobody says; `problem` is a sentence when the token is not valid;
    `is_app_refused`: META_APP_ID and META_APP_SECRET were given and are wrong.
    `access_ends_at`: from then on a person must have logged in again, however fresh the token.
    """

    kind: TokenKind
    is_valid: bool
    expires_at: datetime | None = None
    never_expires: bool = False
    access_ends_at: datetime | None = None
    scopes: frozenset[str] | None = None
    problem: str = ""
    is_app_refused: bool = False

    def missing_scopes(self) -> list[str]:
        if self.scopes is None:
            return []
        return [name for name in NEEDED_SCOPES if name not in self.scopes]


@dataclass(frozen=True)
class Account:
    """An Instagram account that the token reaches; `page` is empty with Instagram Login."""

    page: str
    user_id: str
    username: str


async def inspect_token(
    token: SecretStr, *, graph_url: str, app_id: str = "", app_secret: SecretStr | None = None
) -> TokenFacts:
    """Ask the platform; a refused token is a fact, ProviderError only when nobody answers."""
    async with _wire(token, app_secret) as wire:
        host = address(graph_url, "INSTAGRAM_GRAPH_URL")
        try:
            if await _is_instagram_login(wire, token, host):
                await _me(wire, token, host)
                return TokenFacts(TokenKind.INSTAGRAM, is_valid=True)
            return await _debug(wire, token, host, app_token(app_id, app_secret))
        except Locked as error:
            kind = TokenKind.INSTAGRAM if _login_of(host) == "instagram" else TokenKind.USER
            problem = _wrong_host(token, host) or str(error)
            return TokenFacts(kind, is_valid=False, problem=problem)
        except Unreadable as error:
            raise Passing(PLATFORM, error.message, TRANSIENT_S) from error


async def accounts(token: SecretStr, *, graph_url: str) -> list[Account]:
    """The accounts that the token may post to; ProviderError when it is refused."""
    async with _wire(token) as wire:
        host = address(graph_url, "INSTAGRAM_GRAPH_URL")
        try:
            if not await _is_instagram_login(wire, token, host):
                return [account async for account in _of_pages(wire, token, host)]
            me = await _me(wire, token, host)
            return [Account("", str(me.get("user_id", "")), str(me.get("username", "")))]
        except Unreadable as error:
            raise Passing(PLATFORM, error.message, TRANSIENT_S) from error


def app_token(app_id: str, app_secret: SecretStr | None) -> SecretStr | None:
    """What asks on behalf of the app itself; None when the app is not set up."""
    if not app_id or app_secret is None:
        return None
    return SecretStr(f"{app_id}|{app_secret.get_secret_value()}")


def _wire(token: SecretStr, app_secret: SecretStr | None = None) -> Wire:
    given = [secret.get_secret_value() for secret in (token, app_secret) if secret is not None]
    return Wire(given, timeout_s=TIMEOUT_S)


def _login_of(host: httpx.URL) -> str:
    return HOSTS.get(host.host, "")


async def _is_instagram_login(wire: Wire, token: SecretStr, host: httpx.URL) -> bool:
    if known := _login_of(host):
        return known == "instagram"
    try:
        return "user_id" in await _me(wire, token, host)
    except Permanent:  # code 100: there is no such field
        return False


async def _me(wire: Wire, token: SecretStr, host: httpx.URL) -> Mapping[str, Any]:
    """The documentation shows {"data": [{...}]}, the platform answers with the fields alone."""
    answer = await _get(wire, host, "me", token, fields="user_id,username")
    match answer:
        case {"data": [dict(first), *_]}:
            return first
    return answer


async def _debug(
    wire: Wire, token: SecretStr, host: httpx.URL, app: SecretStr | None
) -> TokenFacts:
    """Asked by the app, else by the token itself; Locked when the token is refused."""
    if app is not None:
        try:
            return await _asked_by(app, wire, token, host)
        except (Locked, Permanent):  # that is about the app: of the token it says "not valid"
            return replace(await _debug(wire, token, host, None), is_app_refused=True)
    try:
        return await _asked_by(token, wire, token, host)
    except (Permanent, Unseen):
        # Without the app's secret only its developers may ask: that it works is all one learns.
        await _get(wire, host, "me", token, fields="id")
        return TokenFacts(TokenKind.USER, is_valid=True)


async def _asked_by(asking: SecretStr, wire: Wire, token: SecretStr, host: httpx.URL) -> TokenFacts:
    answer = await _get(wire, host, "debug_token", asking, input_token=token.get_secret_value())
    match answer:
        case {"data": {"is_valid": bool(is_valid)} as data}:
            return _facts(data, is_valid=is_valid, secrets=wire.secrets)
    raise Passing(PLATFORM, "the answer about the token makes no sense.", TRANSIENT_S)


def _facts(data: Mapping[str, Any], *, is_valid: bool, secrets: set[str]) -> TokenFacts:
    scopes = data.get("scopes")
    return TokenFacts(
        kind=_kind(str(data.get("type"))),
        is_valid=is_valid,
        expires_at=_moment(data.get("expires_at")),
        never_expires=data.get("expires_at") == 0,
        access_ends_at=_moment(data.get("data_access_expires_at")),
        scopes=frozenset(map(str, scopes)) if isinstance(scopes, list) else None,
        problem="" if is_valid else _refused(data.get("error"), secrets),
    )


def _refused(error: object, secrets: set[str]) -> str:
    message = error.get("message") if isinstance(error, dict) else None
    text = safe(message or "it is not valid", secrets).rstrip(".")
    return f"{PLATFORM}: the token is refused ({text}); {LOG_IN_AGAIN}."


def _wrong_host(token: SecretStr, host: httpx.URL) -> str:
    """The commonest mistake: a token of the one login on the host of the other."""
    start, login = token.get_secret_value()[:2], _login_of(host)
    if (start, login) == ("IG", "facebook"):
        return (
            f"{PLATFORM}: META_ACCESS_TOKEN comes from Instagram Login, which cannot upload files; "
            "make one with Facebook Login or for a system user."
        )
    if (start, login) == ("EA", "instagram"):
        return (
            f"{PLATFORM}: META_ACCESS_TOKEN comes from Facebook Login; "
            "set INSTAGRAM_GRAPH_URL=https://graph.facebook.com/v26.0."
        )
    return ""


async def _of_pages(wire: Wire, token: SecretStr, host: httpx.URL) -> AsyncIterator[Account]:
    """Pages without an Instagram account are left out. Only the cursor of `paging` is used."""
    parameters = {
        "fields": "name,instagram_business_account{id,username}",
        "limit": str(PER_PAGE),
    }
    for _ in range(MOST_PAGES):
        answer = await _get(wire, host, "me/accounts", token, **parameters)
        entries = answer.get("data")
        for entry in entries if isinstance(entries, list) else []:
            match entry:
                case {"name": str(name), "instagram_business_account": {"id": str(id_)} as found}:
                    yield Account(name, id_, str(found.get("username", "")))
        match answer:
            case {"paging": {"cursors": {"after": str(after)}, "next": str()}}:
                parameters["after"] = after
            case _:
                return


async def _get(
    wire: Wire, host: httpx.URL, path: str, token: SecretStr, **parameters: str
) -> dict[str, Any]:
    return await wire.ask("GET", f"{host}/{path}", headers=bearer(token), params=parameters)


def _kind(name: str) -> TokenKind:
    return {"PAGE": TokenKind.PAGE, "SYSTEM_USER": TokenKind.SYSTEM_USER}.get(name, TokenKind.USER)


def _moment(value: object) -> datetime | None:
    """Seconds since 1970; Meta writes 0 for never."""
    if not isinstance(value, int) or not 0 < value < 2**33:
        return None
    return datetime.fromtimestamp(value, UTC)
