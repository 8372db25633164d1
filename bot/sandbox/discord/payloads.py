"""Records as the JSON that Discord's API and gateway send."""

from collections.abc import Callable
from datetime import UTC, datetime

from bot.sandbox.discord.errors import Json
from bot.sandbox.discord.permissions import Permission, guild_permissions
from bot.sandbox.discord.state import (
    Attachment,
    Channel,
    Guild,
    Member,
    Message,
    Reaction,
    Role,
    User,
)

_DEFAULT_MESSAGE, _REPLY, _CHAT_INPUT_COMMAND = 0, 19, 20
Url = Callable[[Attachment], str]


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def user(record: User) -> Json:
    return {
        "id": str(record.id),
        "username": record.name,
        "global_name": None if record.bot else record.name,
        "discriminator": "0001" if record.bot else "0",
        "avatar": None,
        "bot": record.bot,
    }


def member(record: Member, *, with_user: bool = True) -> Json:
    payload: Json = {
        "roles": [str(role_id) for role_id in sorted(record.role_ids)],
        "joined_at": timestamp(record.joined_s),
        "nick": None,
        "avatar": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
    }
    return payload | ({"user": user(record.user)} if with_user else {})


def interacting_member(record: Member, granted: Permission) -> Json:
    return member(record) | {"permissions": str(int(granted))}


def role(record: Role) -> Json:
    return {
        "id": str(record.id),
        "name": record.name,
        "permissions": str(int(record.permissions)),
        "position": record.position,
        "mentionable": record.mentionable,
        "managed": record.managed,
        "hoist": False,
        "color": 0,
        "flags": 0,
    }


def channel(record: Channel) -> Json:
    if record.guild is None:
        recipients = [user(record.recipient)] if record.recipient else []
        return {"id": str(record.id), "type": 1, "recipients": recipients}
    return {
        "id": str(record.id),
        "type": 0,
        "guild_id": str(record.guild.id),
        "name": record.name,
        "position": list(record.guild.channels).index(record.id),
        "nsfw": False,
        "topic": None,
        "parent_id": None,
        "rate_limit_per_user": 0,
        "permission_overwrites": [
            {
                "id": str(overwrite_id),
                "type": 0 if overwrite_id in record.guild.roles else 1,
                "allow": str(int(allow)),
                "deny": str(int(deny)),
            }
            for overwrite_id, (allow, deny) in record.overwrites.items()
        ],
    }


def guild(record: Guild) -> Json:
    return {
        "id": str(record.id),
        "name": record.name,
        "owner_id": str(record.owner_id),
        "premium_tier": record.boost_tier,
        "roles": [role(each) for each in record.roles.values()],
        "emojis": [],
        "stickers": [],
        "features": [],
        "preferred_locale": "en-US",
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
    }


def guild_create(record: Guild, *, bot: User, sees_members: bool) -> Json:
    """Without the members intent a bot is told of itself only."""
    shown = [each for each in record.members.values() if sees_members or each.user is bot]
    return guild(record) | {
        "unavailable": False,
        "large": False,
        "joined_at": timestamp(record.members[bot.id].joined_s),
        "member_count": len(record.members),
        "members": [member(each) for each in shown],
        "channels": [channel(each) for each in record.channels.values()],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def current_guild(record: Guild, *, bot: User) -> Json:
    return {
        "id": str(record.id),
        "name": record.name,
        "icon": None,
        "owner": record.owner_id == bot.id,
        "permissions": str(int(guild_permissions(record.members[bot.id]))),
        "features": [],
    }


def attachment(record: Attachment, url: Url) -> Json:
    address = url(record)
    return {
        "id": str(record.id),
        "filename": record.filename,
        "size": len(record.data),
        "content_type": record.content_type,
        "url": address,
        "proxy_url": address,
        **({"description": record.description} if record.description else {}),
        **({"ephemeral": True} if record.is_ephemeral else {}),
    }


def emoji(name: str) -> Json:
    return {"id": None, "name": name}


def reaction(record: Reaction, *, bot: User) -> Json:
    return {
        "emoji": emoji(record.emoji),
        "count": len(record.normal) + len(record.burst),
        "count_details": {"normal": len(record.normal), "burst": len(record.burst)},
        "me": bot in record.normal,
        "me_burst": bot in record.burst,
        "burst_colors": [],
    }


def message(
    record: Message, *, bot: User, url: Url, people: dict[int, User], sees_content: bool
) -> Json:
    """Who may not see the content gets it empty, unless bot wrote it or it mentions bot."""
    is_open = (
        sees_content
        or record.author is bot
        or record.channel.guild is None
        or bot.id in record.pings.user_ids
    )
    pinged = [people[i] for i in sorted(record.pings.user_ids) if i in people]
    payload: Json = {
        "id": str(record.id),
        "type": _message_type(record),
        "channel_id": str(record.channel.id),
        "author": user(record.author),
        "content": record.content if is_open else "",
        "embeds": [{"type": "rich", **each} for each in record.embeds] if is_open else [],
        "attachments": [attachment(each, url) for each in record.attachments] if is_open else [],
        "components": record.components if is_open else [],
        "timestamp": timestamp(record.created_s),
        "edited_timestamp": timestamp(record.edited_s) if record.edited_s else None,
        "mentions": [user(each) for each in pinged],
        "mention_roles": [str(role_id) for role_id in sorted(record.pings.role_ids)],
        "mention_everyone": record.pings.everyone,
        "pinned": False,
        "tts": False,
        "flags": record.flags,
    }
    if record.reactions:
        payload["reactions"] = [reaction(each, bot=bot) for each in record.reactions.values()]
    if record.nonce is not None:
        payload["nonce"] = record.nonce
    if record.interaction is not None:
        payload["interaction_metadata"] = record.interaction
        payload["webhook_id"] = payload["application_id"] = str(bot.id)
    if record.reply_to is not None:
        payload["message_reference"] = {
            "type": 0,
            "message_id": str(record.reply_to.id),
            "channel_id": str(record.channel.id),
        }
        payload["referenced_message"] = (
            None
            if record.reply_to.is_deleted
            else message(
                record.reply_to, bot=bot, url=url, people=people, sees_content=sees_content
            )
        )
    return payload


def message_event(payload: Json, record: Message) -> Json:
    if record.channel.guild is None:
        return payload
    payload["guild_id"] = str(record.channel.guild.id)
    author = record.channel.guild.members.get(record.author.id)
    if author is not None and record.interaction is None:
        payload["member"] = member(author, with_user=False)
    return payload


def _message_type(record: Message) -> int:
    if record.interaction is not None and record.interaction["type"] == 2:
        return _CHAT_INPUT_COMMAND
    return _REPLY if record.reply_to is not None else _DEFAULT_MESSAGE
