"""The Discord server as doctor and setup look at it: REST only, nothing is posted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import discord
from pydantic import SecretStr

from bot.client import default_intents, set_rest_base
from pipeline.errors import ProviderError, UserError

PERMISSIONS = (
    "view_channel",
    "send_messages",
    "embed_links",
    "attach_files",
    "add_reactions",
    "read_message_history",
)
"""What the bot needs in the approval channel."""
SCOPES = ("bot", "applications.commands")


@dataclass(frozen=True)
class Named:
    """A server or role to choose from."""

    id: int
    name: str


@dataclass(frozen=True)
class Place:
    """A channel; `missing` names the permissions that the bot lacks there."""

    id: int
    name: str
    missing: str


@dataclass(frozen=True)
class Bot:
    """What a token belongs to, and the servers it has been invited to."""

    name: str
    invitation: str
    guilds: tuple[Named, ...]


@asynccontextmanager
async def logged_in(token: SecretStr, api_url: str) -> AsyncIterator[discord.Client]:
    """UserError for a wrong token or a wrong id; ProviderError while Discord is out of order."""
    if not (token.get_secret_value().isascii() and token.get_secret_value().isprintable()):
        raise UserError("DISCORD_TOKEN holds a character that no token has; copy it again.")
    set_rest_base(api_url)
    async with discord.Client(intents=default_intents()) as client:
        try:
            await client.login(token.get_secret_value())
            yield client
        except discord.LoginFailure:
            raise UserError(
                "Discord refuses DISCORD_TOKEN; copy it again from the portal."
            ) from None
        except (discord.Forbidden, discord.NotFound) as error:
            raise UserError(
                f"Discord: {error}; check DISCORD_GUILD_ID and the channel's rights."
            ) from None
        except (discord.HTTPException, OSError, TimeoutError) as error:
            raise ProviderError("Discord", f"{error}; look again in a while", True) from None


async def who_is(token: SecretStr, api_url: str) -> Bot:
    async with logged_in(token, api_url) as client:
        application = await client.application_info()
        guilds = [Named(guild.id, guild.name) async for guild in client.fetch_guilds()]
        return Bot(str(client.user), invitation(application.id), tuple(guilds))


def invitation(application_id: int) -> str:
    """The link with which an owner invites the bot, with exactly what it needs."""
    wanted = discord.Permissions(**dict.fromkeys(PERMISSIONS, True))
    return discord.utils.oauth_url(application_id, permissions=wanted, scopes=SCOPES)


async def places(token: SecretStr, api_url: str, guild_id: int) -> list[Place]:
    """Every text channel of the server, and what the bot lacks there."""
    async with logged_in(token, api_url) as client:
        guild = await client.fetch_guild(guild_id)
        channels = [
            each for each in await guild.fetch_channels() if isinstance(each, discord.TextChannel)
        ]
        me = await _me(client, guild)
        return [Place(each.id, each.name, lacking(each, me)) for each in channels]


async def roles(token: SecretStr, api_url: str, guild_id: int) -> tuple[Named, ...]:
    """Those that people can have: never @everyone, nor the role of a bot."""
    async with logged_in(token, api_url) as client:
        guild = await client.fetch_guild(guild_id)
        return tuple(
            Named(role.id, role.name)
            for role in await guild.fetch_roles()
            if not role.is_default() and not role.managed
        )


async def missing_permissions(
    client: discord.Client, channel: discord.abc.GuildChannel | discord.Thread
) -> str:
    """Names of the permissions that the bot lacks there; empty when it has all."""
    return lacking(channel, await _me(client, channel.guild))


def lacking(channel: discord.abc.GuildChannel | discord.Thread, me: discord.Member) -> str:
    may = channel.permissions_for(me)
    missing = (name for name in PERMISSIONS if not getattr(may, name))
    return ", ".join(name.replace("_", " ").title() for name in missing)  # as Discord shows them


async def _me(client: discord.Client, guild: discord.Guild) -> discord.Member:
    assert client.user is not None
    return await guild.fetch_member(client.user.id)
