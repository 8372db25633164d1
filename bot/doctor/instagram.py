"""What the doctor asks about posting; nothing is posted, renewed or kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.app import open_publisher, utc_now
from bot.doctor.findings import Finding, Level, error, ok, warning
from bot.settings import Settings
from pipeline.errors import ProviderError
from pipeline.publishing.base import Unseen
from storage.folder import DataFolder

if TYPE_CHECKING:
    from pipeline.publishing.base import Publisher
    from pipeline.publishing.token_keeper import TokenKeeper
    from pipeline.publishing.tokens import TokenFacts

SOON = timedelta(days=10)


async def publisher(settings: Settings) -> list[Finding]:
    async with open_publisher(settings, DataFolder(settings.data_dir)) as platform:
        try:
            found = await _token(platform)
            if not any(finding.level is Level.ERROR for finding in found):
                found.append(await _quota(platform))
        except ProviderError as failure:
            # What passes by itself is no reason not to start.
            return [warning(str(failure)) if failure.retryable else error(str(failure))]
    return found


async def _quota(platform: Publisher) -> Finding:
    try:
        quota = await platform.quota()
    except Unseen as failure:
        return error(
            f"INSTAGRAM_USER_ID={platform.account} is no account that the token reaches; "
            f"`emf setup` lists those that are. ({failure})"
        )
    text = f"{platform.platform}: {quota.used} of {quota.total} posts used today"
    return ok(text) if quota.used < quota.total else warning(f"{text}; reels wait.")


async def _token(platform: Publisher) -> list[Finding]:
    from pipeline.publishing.instagram import InstagramPublisher

    if not isinstance(platform, InstagramPublisher):
        return []
    facts = await platform.keeper.facts()
    if not facts.is_valid:
        return [error(facts.problem)]
    return [_life(facts, platform.keeper), *_access(facts), *_rights(facts)]


def _life(facts: TokenFacts, keeper: TokenKeeper) -> Finding:
    text = f"Instagram: a token of {facts.kind}"
    if facts.never_expires:
        return ok(f"{text}, which never ends")
    if facts.expires_at is None:
        return ok(f"{text}; nobody says when it ends")
    text = f"{text}, which ends {_in_days(facts.expires_at)}"
    if keeper.can_renew(facts):
        return ok(f"{text} and is renewed before")
    if facts.expires_at - utc_now() > SOON:
        return ok(text)
    return warning(f"{text}; {keeper.how_to_go_on(facts)}.")


def _access(facts: TokenFacts) -> list[Finding]:
    """Facebook wants its users to log in again every 90 days, whatever the token."""
    if facts.access_ends_at is None or facts.access_ends_at - utc_now() > SOON:
        return []
    when = _in_days(facts.access_ends_at)
    return [warning(f"Instagram: the app's access ends {when}; log in again and make a new token.")]


def _rights(facts: TokenFacts) -> list[Finding]:
    from pipeline.publishing.tokens import SETUP_SCOPE, TokenKind

    if facts.kind is TokenKind.INSTAGRAM:
        return [
            warning(
                "Instagram: a token of Instagram Login may not be able to upload files; should a "
                "post be refused for that, use Facebook Login or a system user."
            )
        ]
    if facts.is_app_refused:
        return [error("Instagram: META_APP_ID and META_APP_SECRET are refused; copy them again.")]
    if missing := facts.missing_scopes():
        return [error(f"Instagram: META_ACCESS_TOKEN lacks {', '.join(missing)}; make a new one.")]
    if facts.scopes is None:
        return [ok("Instagram: what the token may do is told to the app alone (META_APP_SECRET)")]
    if SETUP_SCOPE not in facts.scopes:
        return [warning(f"Instagram: without {SETUP_SCOPE} `emf setup` cannot list the pages.")]
    return [ok("Instagram: the token has every permission it needs")]


def _in_days(moment: datetime) -> str:
    days = (moment - utc_now()).days
    return f"in {days} days ({moment:%d %B %Y})" if days >= 0 else f"since {moment:%d %B %Y}"
