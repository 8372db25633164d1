"""What the doctor finds about the channel: its show, its slots and its Discord server."""

from __future__ import annotations

from datetime import UTC, datetime

import discord

from bot.choices import said_at_start
from bot.doctor.findings import Finding, error, ok, warning
from bot.guild import logged_in, missing_permissions
from bot.scheduler import Schedule
from bot.settings import Settings
from pipeline.shows import load_show


async def show(settings: Settings) -> list[Finding]:
    found = load_show(settings.show, settings.data_dir)
    return [ok(f"show {found.name}: {' and '.join(c.name for c in found.characters)}")]


async def schedule(settings: Settings) -> list[Finding]:
    slots = Schedule(settings.publish_cron, settings.zone()).next_slots(datetime.now(UTC), 1)
    return [
        *(ok(line) for line in said_at_start(settings)),
        ok(f"next slot {slots[0].at.astimezone(settings.zone()):%A %d %B %H:%M %Z}"),
    ]


async def discord_server(settings: Settings) -> list[Finding]:
    token, guild_id = settings.discord_token, settings.discord_guild_id
    if token is None or guild_id is None:
        given = {"DISCORD_TOKEN": token, "DISCORD_GUILD_ID": guild_id}
        empty = " and ".join(name for name, value in given.items() if value is None)
        return [warning(f"Discord is not set up; give {empty}, for which `emf setup` asks.")]
    async with logged_in(token, settings.discord_api_url) as client:
        guild = await client.fetch_guild(guild_id)
        return [ok(f"Discord: {client.user} in {guild.name}"), *await _access(client, settings)]


async def _access(client: discord.Client, settings: Settings) -> list[Finding]:
    guild = await client.fetch_guild(settings.discord_guild_id or 0)
    found = []
    if settings.discord_approver_role_id not in {role.id for role in await guild.fetch_roles()}:
        found.append(
            error(
                "DISCORD_APPROVER_ROLE_ID is no role of this server; choose one with `emf setup`."
            )
        )
    channel = await guild.fetch_channel(settings.discord_approval_channel_id or 0)
    if missing := await missing_permissions(client, channel):
        found.append(error(f"In #{channel.name} the bot lacks: {missing}."))
    return found or [ok(f"#{channel.name}: all permissions are there")]
