"""The part about Discord: the bot, its server, the channel for drafts, the role that decides."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from bot.guild import Bot, Named, Place, places, roles, who_is
from bot.setup.interview import Interview
from pipeline.errors import UserError

PORTAL = "https://discord.com/developers/applications"


def ask_discord(interview: Interview) -> None:
    interview.title("Discord")
    interview.person.say(f"  The token is at {PORTAL}: your application, Bot, Reset Token.")
    token = _token(interview)
    if token is None:
        return
    guild = interview.person.persist(lambda: _guild(interview, token))
    if guild is None:
        return
    interview.put("DISCORD_GUILD_ID", str(guild))
    channel = interview.person.persist(lambda: _channel(interview, token, guild))
    if channel is not None:
        interview.put("DISCORD_APPROVAL_CHANNEL_ID", str(channel))
    role = interview.person.persist(lambda: _role(interview, token, guild))
    if role is not None:
        interview.put("DISCORD_APPROVER_ROLE_ID", str(role))


def _token(interview: Interview) -> SecretStr | None:
    """None when there is none, or none that Discord takes."""
    accepted: list[str] = []

    def check(text: str) -> None:
        bot = _look(interview, SecretStr(text))
        interview.person.say(f"  This is the token of {bot.name}.")
        accepted.append(text)

    token = interview.ask("DISCORD_TOKEN", "Token of the bot", check)
    return SecretStr(token) if token in accepted else None


def _look(interview: Interview, token: SecretStr) -> Bot:
    return asyncio.run(who_is(token, interview.settings().discord_api_url))


def _guild(interview: Interview, token: SecretStr) -> int | None:
    bot = _look(interview, token)
    interview.person.say(f"  This link invites it with all it needs: {bot.invitation}")
    if not bot.guilds:
        interview.person.answer("  It is in no server yet. Invite it, then press Enter:")
        bot = _look(interview, token)
    if not bot.guilds:
        raise UserError("The bot is in no server; open the link and choose yours.")
    present = interview.settings().discord_guild_id
    return interview.person.choose("Server:", _options(bot.guilds), present=present)


def _channel(interview: Interview, token: SecretStr, guild: int) -> int | None:
    settings = interview.settings()
    there = {each.id: each for each in asyncio.run(places(token, settings.discord_api_url, guild))}
    if not there:
        raise UserError("The server has no text channel; make one for drafts.")
    options = [(each.id, _with_lack(each)) for each in there.values()]
    present = settings.discord_approval_channel_id
    chosen = interview.person.choose("Channel for drafts:", options, present=present)
    place = there.get(chosen or 0)
    if place and place.missing:
        raise UserError(
            f"In #{place.name} the bot lacks: {place.missing}; "
            "allow it in the channel's settings, under Permissions."
        )
    return chosen


def _with_lack(place: Place) -> str:
    return f"#{place.name} (the bot lacks: {place.missing})" if place.missing else f"#{place.name}"


def _role(interview: Interview, token: SecretStr, guild: int) -> int | None:
    settings = interview.settings()
    found = asyncio.run(roles(token, settings.discord_api_url, guild))
    if not found:
        interview.person.answer(
            "  There is no role yet. Make one for those who approve, then press Enter:"
        )
        found = asyncio.run(roles(token, settings.discord_api_url, guild))
    if not found:
        raise UserError("The server has no role but @everyone; make one for those who approve.")
    present = settings.discord_approver_role_id
    return interview.person.choose("Role that approves:", _options(found), present=present)


def _options(named: tuple[Named, ...]) -> list[tuple[int, str]]:
    return [(each.id, each.name) for each in named]
