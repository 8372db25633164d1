"""The token in use: META_ACCESS_TOKEN, or what it was renewed to; renewed in time.

A renewed token is kept before it is used. It belongs to the META_ACCESS_TOKEN that it came from:
when a person sets another one, that one is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from pipeline.errors import ProviderError
from pipeline.publishing.answers import LOG_IN_AGAIN
from pipeline.publishing.renewal import NewToken, exchange, refresh
from pipeline.publishing.token_file import KeptToken, TokenFile, origin_of
from pipeline.publishing.tokens import TokenFacts, TokenKind, inspect_token

log = logging.getLogger(__name__)

YOUNGEST = timedelta(hours=24)
"""A token of Instagram Login is not refreshed before."""
RENEW_BEFORE, RENEW_AFTER = timedelta(days=10), timedelta(days=30)
PEOPLE_BEFORE = timedelta(days=3)
UNKNOWN_LIFE = timedelta(days=10)
"""Of a token whose end nobody has told yet: it may have been old when it came."""


class TokenKeeper:
    """`on_token` hears of every token in use before it is used, to keep it out of logs."""

    def __init__(
        self,
        *,
        given: SecretStr,
        file: TokenFile,
        graph_url: str,
        app_id: str = "",
        app_secret: SecretStr | None = None,
        clock: Callable[[], datetime],
        on_token: Callable[[SecretStr], None] = lambda token: None,
    ) -> None:
        self._given = given
        self._file = file
        self._graph_url = graph_url
        self._app_id, self._app_secret = app_id, app_secret
        self._clock = clock
        self._on_token = on_token
        self._kept = file.read(given)
        on_token(self.token)

    @property
    def token(self) -> SecretStr:
        return self._kept.token if self._kept and self._kept.token else self._given

    def can_renew(self, facts: TokenFacts) -> bool:
        """Whether such a token is renewed without people, once that is due."""
        match facts.kind:
            case TokenKind.INSTAGRAM:
                return True
            case TokenKind.USER | TokenKind.SYSTEM_USER:
                return bool(self._app_id) and self._app_secret is not None
            case TokenKind.PAGE:
                return False

    def how_to_go_on(self, facts: TokenFacts) -> str:
        if facts.kind is TokenKind.PAGE or self.can_renew(facts):
            return LOG_IN_AGAIN
        return f"set META_APP_ID and META_APP_SECRET to have it renewed, or {LOG_IN_AGAIN}"

    async def facts(self) -> TokenFacts:
        """What the platform says, and what it said when the token was made; changes nothing."""
        facts = await inspect_token(
            self.token,
            graph_url=self._graph_url,
            app_id=self._app_id,
            app_secret=self._app_secret,
        )
        if facts.expires_at is None and not facts.never_expires and self._kept:
            return replace(facts, expires_at=self._kept.expires_at)
        return facts

    async def keep(self) -> str:
        """Renew the token when that is due; a sentence when people must act soon, else empty."""
        try:
            facts = await self.facts()
        except ProviderError as error:
            log.warning("nobody says how long the Instagram token holds: %s", error)
            return self._warning(self._kept.expires_at if self._kept else None, why=str(error))
        if not facts.is_valid:
            return facts.problem
        try:
            kept = await self._note(facts)
            if not self._is_due(facts, kept):
                return self._warning(_ends_at(facts), what_to_do=self.how_to_go_on(facts))
            renewed = await self._renew(facts)
        except (ProviderError, OSError) as error:
            log.warning("the Instagram token is not renewed: %s", error)
            return self._warning(self._known_end(facts), why=_words(error))
        return self._warning(_ends_at(replace(facts, expires_at=renewed.expires_at)))

    async def _note(self, facts: TokenFacts) -> KeptToken:
        """From its first sight on the token's age is known; a clock may have been ahead then."""
        before, now = self._kept, self._clock()
        if before and before.expires_at == facts.expires_at and before.since <= now:
            return before
        return await self._write(
            KeptToken(
                origin=origin_of(self._given),
                token=before.token if before else None,
                since=min(before.since, now) if before else now,
                expires_at=facts.expires_at,
            )
        )

    def _is_due(self, facts: TokenFacts, kept: KeptToken) -> bool:
        if facts.never_expires or not self.can_renew(facts):
            return False
        age = self._clock() - kept.since
        # One of Facebook Login may live for an hour only: its first exchange is made at once.
        may_wait = facts.kind is TokenKind.INSTAGRAM or kept.token is not None
        if may_wait and age < YOUNGEST:
            return False
        if facts.expires_at is None:
            return facts.kind is TokenKind.INSTAGRAM  # its renewal tells when it ends
        return age >= RENEW_AFTER or facts.expires_at - self._clock() <= RENEW_BEFORE

    async def _renew(self, facts: TokenFacts) -> KeptToken:
        new = await self._ask_for_new(facts)
        self._on_token(new.token)
        lives = timedelta(seconds=new.expires_in_s) if new.expires_in_s else None
        kept = await self._write(
            KeptToken(
                origin=origin_of(self._given),
                token=new.token,
                since=self._clock(),
                expires_at=self._clock() + lives if lives else None,
            )
        )
        log.info("the Instagram token is renewed; it ends at %s", kept.expires_at or "no time told")
        return kept

    async def _ask_for_new(self, facts: TokenFacts) -> NewToken:
        if facts.kind is TokenKind.INSTAGRAM:
            return await refresh(self.token, graph_url=self._graph_url)
        assert self._app_secret is not None, "renewable means that the app is set up"
        return await exchange(
            self.token,
            graph_url=self._graph_url,
            app_id=self._app_id,
            app_secret=self._app_secret,
            of_system_user=facts.kind is TokenKind.SYSTEM_USER,
        )

    async def _write(self, kept: KeptToken) -> KeptToken:
        """On the disk first: a token that only this process knows would be lost with it."""
        await asyncio.to_thread(self._file.write, kept)
        self._kept = kept
        return kept

    def _known_end(self, facts: TokenFacts) -> datetime | None:
        if facts.kind is TokenKind.INSTAGRAM and facts.expires_at is None and self._kept:
            return self._kept.since + UNKNOWN_LIFE
        return _ends_at(facts)

    def _warning(
        self, ends_at: datetime | None, *, why: str = "", what_to_do: str = LOG_IN_AGAIN
    ) -> str:
        """Empty while there is time; `why` it does not mend itself, in a few words."""
        if ends_at is None or ends_at - self._clock() >= PEOPLE_BEFORE:
            return ""
        reason = f" ({why.rstrip('.')})" if why else ""
        return f"instagram: the token ends on {ends_at:%d %B at %H:%M} UTC{reason}; {what_to_do}."


def _ends_at(facts: TokenFacts) -> datetime | None:
    known = [moment for moment in (facts.expires_at, facts.access_ends_at) if moment]
    return min(known, default=None)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"DATA_DIR/secrets cannot be written: {error.strerror}"
    return str(error)
