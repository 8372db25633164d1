"""The part about where reels go: a folder, or an account on Instagram."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from bot.setup.interview import Interview
from pipeline.errors import UserError
from pipeline.publishing.tokens import (
    NEEDED_SCOPES,
    SETUP_SCOPE,
    Account,
    TokenFacts,
    TokenKind,
    accounts,
    inspect_token,
)

PLACES = [
    ("folder", "a folder on this machine"),
    ("instagram", "Instagram"),
]


def ask_instagram(interview: Interview) -> None:
    interview.title("Where reels are posted")
    present = interview.settings().publisher_choice()
    interview.choose_service(
        "PUBLISHER", "Posts go to:", PLACES, present=present, set_up=_instagram
    )


def _instagram(interview: Interview) -> None:
    interview.person.say(
        "  It takes a professional account that is linked to a Facebook Page, and a token with "
        f"{', '.join((*NEEDED_SCOPES, SETUP_SCOPE))}. A System User's can be made to never expire."
    )
    # With the app a token can be looked into, and renewed before it expires.
    interview.ask("META_APP_ID", "Id of the app, if you have one", _app_id)
    interview.ask("META_APP_SECRET", "Secret of the app, if you have one")
    if not interview.ask("META_ACCESS_TOKEN", "Token", lambda text: _check(interview, text)):
        interview.person.say("  Without a token nothing can be posted there, so this stays.")
        return
    account = interview.person.persist(lambda: _account(interview))
    if account is not None:
        interview.put("INSTAGRAM_USER_ID", account)
    if interview.values.get("INSTAGRAM_USER_ID"):
        interview.name("PUBLISHER", "instagram")


def _app_id(text: str) -> None:
    if not text.isdecimal():
        raise UserError("The id of an app is a number; it is on the first page of its settings.")


def _check(interview: Interview, token: str) -> None:
    settings = interview.settings()
    facts = asyncio.run(
        inspect_token(
            SecretStr(token),
            graph_url=settings.instagram_graph_url,
            app_id=settings.meta_app_id,
            app_secret=settings.meta_app_secret,
        )
    )
    if not facts.is_valid:
        raise UserError(facts.problem)
    interview.person.say(f"  A token of the kind {facts.kind.value}; {_expiry(facts)}.")
    if missing := facts.missing_scopes():
        raise UserError(f"The token lacks {', '.join(missing)}; make it again with these.")
    if facts.kind is TokenKind.INSTAGRAM:
        interview.person.say(
            "  Uploading files is documented for tokens of Facebook Login only; try one post first."
        )


def _expiry(facts: TokenFacts) -> str:
    if facts.never_expires:
        return "it never expires"
    if facts.expires_at is None:
        return "nobody says when it expires"
    return f"it expires on {facts.expires_at:%d %B %Y}"


def _account(interview: Interview) -> str | None:
    settings = interview.settings()
    token = settings.meta_access_token
    assert token is not None
    found = asyncio.run(accounts(token, graph_url=settings.instagram_graph_url))
    if not found:
        raise UserError(
            "The token reaches no Instagram account; link the account to a Page that the token "
            f"may use, and give the token {SETUP_SCOPE}."
        )
    options = [(account.user_id, _label(account)) for account in found]
    return interview.person.choose(
        "Account:", options, present=settings.instagram_user_id or options[0][0]
    )


def _label(account: Account) -> str:
    name = f"@{account.username}" if account.username else account.user_id
    return f"{name} (Page {account.page})" if account.page else name
