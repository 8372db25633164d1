"""Everything that happens on the sandbox's Discord: each change, and the event that tells of it.

Who may do what is decided before, in rest.py for the bot and in sandbox.py for people.
"""

from typing import Any

from bot.sandbox.discord import payloads
from bot.sandbox.discord.cdn import Cdn
from bot.sandbox.discord.changes import Changes
from bot.sandbox.discord.errors import Json, refusal
from bot.sandbox.discord.gateway import Gateway, Intents, Session
from bot.sandbox.discord.permissions import Permission, permissions_in
from bot.sandbox.discord.state import (
    EPHEMERAL,
    Channel,
    Clock,
    Guild,
    Member,
    Message,
    Reaction,
    Role,
    User,
)

# Per file, by boost tier: https://discord.com/developers/docs/reference#uploading-files
UPLOAD_LIMIT_MIB = (10, 10, 50, 100)
NITRO_LIMIT_MIB = 500
NONCE_WINDOW_S = 300.0
MAX_REACTIONS = 20


class World:
    def __init__(self, *, token: str, granted: Intents, upload_limit_bytes: int | None) -> None:
        self.clock = Clock()
        self.changes = Changes()
        self.cdn = Cdn(self.clock)
        self.token = token
        self.granted = granted
        self.gateway = Gateway(token=token, granted=granted, clock=self.clock, changes=self.changes)
        self.gateway.greet = self._greet
        self.bot = User(self.clock.snowflake(), "excuse-my-french", bot=True)
        self.people: dict[int, User] = {self.bot.id: self.bot}
        self.guilds: dict[int, Guild] = {}
        self.messages: dict[int, Message] = {}
        self._direct: dict[int, Channel] = {}
        self._upload_limit_bytes = upload_limit_bytes

    # What is there

    def guild(self, guild_id: int) -> Guild:
        if guild_id not in self.guilds:
            raise refusal(10004)
        return self.guilds[guild_id]

    def channel(self, channel_id: int) -> Channel:
        for guild in self.guilds.values():
            if channel_id in guild.channels:
                return guild.channels[channel_id]
        if channel_id not in self._direct:
            raise refusal(10003)
        return self._direct[channel_id]

    def message(self, channel: Channel, message_id: int) -> Message:
        message = self.messages.get(message_id)
        if message is None or message.is_deleted or message.is_ephemeral:
            raise refusal(10008)
        if message.channel is not channel:
            raise refusal(10008)
        return message

    def history(self, channel: Channel) -> list[Message]:
        """Oldest first, without what is deleted or shown to one person only."""
        return [
            each
            for each in self.messages.values()
            if each.channel is channel and not each.is_deleted and not each.is_ephemeral
        ]

    def direct_channel(self, person: User) -> Channel:
        for channel in self._direct.values():
            if channel.recipient is person:
                return channel
        channel = Channel(self.clock.snowflake(), person.name, recipient=person)
        self._direct[channel.id] = channel
        return channel

    def member(self, channel: Channel, user: User) -> Member | None:
        return channel.guild.members.get(user.id) if channel.guild else None

    def upload_limit_bytes(self, channel: Channel) -> int:
        if self._upload_limit_bytes is not None:
            return self._upload_limit_bytes
        tier = channel.guild.boost_tier if channel.guild else 0
        return UPLOAD_LIMIT_MIB[tier] * 2**20

    def limit_of_person_bytes(self, person: User, channel: Channel) -> int:
        nitro = NITRO_LIMIT_MIB * 2**20 if person.has_nitro else 0
        return max(nitro, self.upload_limit_bytes(channel))

    def sent_before(self, channel: Channel, author: User, nonce: str) -> Message | None:
        since_s = self.clock.now_s() - NONCE_WINDOW_S
        for message in self.history(channel):
            is_same = message.author is author and message.nonce == nonce
            if is_same and message.created_s >= since_s:
                return message
        return None

    def show(self, message: Message, intents: Intents | None = None) -> Json:
        """A message as the bot sees it: by its granted intents, or by those of a session."""
        seen = self.granted if intents is None else intents
        return payloads.message(
            message,
            bot=self.bot,
            url=self.cdn.url,
            people=self.people,
            sees_content=bool(seen & Intents.MESSAGE_CONTENT),
        )

    # Messages

    def add_message(self, message: Message) -> Message:
        self.messages[message.id] = message
        self._tell("MESSAGE_CREATE", message)
        return message

    def change_message(self, message: Message, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(message, name, value)
        message.edited_s = self.clock.now_s()
        self._tell("MESSAGE_UPDATE", message)

    def delete_message(self, message: Message) -> None:
        message.is_deleted = True
        if not message.flags & EPHEMERAL:
            self._dispatch(
                "MESSAGE_DELETE", {"id": str(message.id)}, message.channel, _messages(message)
            )

    def _tell(self, event: str, message: Message) -> None:
        self.changes.notify()
        if not message.is_ephemeral and self._bot_sees(message.channel):
            self.gateway.dispatch(
                event,
                lambda intents: payloads.message_event(self.show(message, intents), message),
                intent=_messages(message),
            )

    # Reactions

    def add_reaction(self, message: Message, user: User, emoji: str, *, burst: bool) -> None:
        if (key := _key(emoji)) not in message.reactions and len(
            message.reactions
        ) >= MAX_REACTIONS:
            raise refusal(30010)
        reaction = message.reactions.setdefault(key, Reaction(emoji))
        users = reaction.kind(burst=burst)
        if user in users:
            return
        users.append(user)
        payload = self._reaction_payload(message, user, reaction, burst=burst)
        payload["message_author_id"] = str(message.author.id)
        member = self.member(message.channel, user)
        if member is not None:
            payload["member"] = payloads.member(member)
        self._dispatch("MESSAGE_REACTION_ADD", payload, message.channel, _reactions(message))

    def remove_reaction(self, message: Message, user: User, emoji: str, *, burst: bool) -> bool:
        reaction = message.reactions.get(_key(emoji))
        if reaction is None or user not in reaction.kind(burst=burst):
            return False
        reaction.kind(burst=burst).remove(user)
        if not reaction.normal and not reaction.burst:
            del message.reactions[_key(emoji)]
        payload = self._reaction_payload(message, user, reaction, burst=burst)
        self._dispatch("MESSAGE_REACTION_REMOVE", payload, message.channel, _reactions(message))
        return True

    def clear_reactions(self, message: Message) -> None:
        message.reactions.clear()
        payload = {"message_id": str(message.id)}
        self._dispatch("MESSAGE_REACTION_REMOVE_ALL", payload, message.channel, _reactions(message))

    def clear_emoji(self, message: Message, emoji: str) -> None:
        reaction = message.reactions.pop(_key(emoji), None)
        if reaction is not None:
            payload = {"message_id": str(message.id), "emoji": payloads.emoji(reaction.emoji)}
            self._dispatch(
                "MESSAGE_REACTION_REMOVE_EMOJI", payload, message.channel, _reactions(message)
            )

    def reaction(self, message: Message, emoji: str) -> Reaction:
        return message.reactions.get(_key(emoji), Reaction(emoji))

    def _reaction_payload(
        self, message: Message, user: User, reaction: Reaction, *, burst: bool
    ) -> Json:
        return {
            "user_id": str(user.id),
            "message_id": str(message.id),
            "emoji": payloads.emoji(reaction.emoji),
            "burst": burst,
            "type": int(burst),
        }

    # Guilds

    def add_guild(self, name: str, owner: User) -> Guild:
        guild = Guild(self.clock.snowflake(), name, owner.id)
        self.guilds[guild.id] = guild
        return guild

    def tell_member(self, event: str, member: Member) -> None:
        payload = payloads.member(member) | {"guild_id": str(member.guild.id)}
        is_bot = member.user is self.bot
        intent = None if is_bot and event == "GUILD_MEMBER_UPDATE" else Intents.GUILD_MEMBERS
        self.gateway.dispatch(event, lambda _: payload, intent=intent)
        self.changes.notify()

    def tell_role(self, event: str, guild: Guild, role: Role) -> None:
        payload = {"guild_id": str(guild.id), "role": payloads.role(role)}
        self.gateway.dispatch(event, lambda _: payload, intent=Intents.GUILDS)

    def tell_channel(self, event: str, channel: Channel) -> None:
        payload = payloads.channel(channel)
        self.gateway.dispatch(event, lambda _: payload, intent=Intents.GUILDS)

    # The bot's side

    def _greet(self, session: Session) -> None:
        ready = {
            "v": 10,
            "user": payloads.user(self.bot),
            "guilds": [{"id": str(guild_id), "unavailable": True} for guild_id in self.guilds],
            "session_id": session.id,
            "resume_gateway_url": self.gateway.url,
            "shard": [0, 1],
            "application": {"id": str(self.bot.id), "flags": 0},
        }
        session.dispatch("READY", ready)
        sees_members = bool(session.intents & Intents.GUILD_MEMBERS)
        if session.intents & Intents.GUILDS:
            for guild in self.guilds.values():
                payload = payloads.guild_create(guild, bot=self.bot, sees_members=sees_members)
                session.dispatch("GUILD_CREATE", payload)

    def _dispatch(self, event: str, payload: Json, channel: Channel, intent: Intents) -> None:
        payload["channel_id"] = str(channel.id)
        if channel.guild is not None:
            payload["guild_id"] = str(channel.guild.id)
        if self._bot_sees(channel):
            self.gateway.dispatch(event, lambda _: payload, intent=intent)
        self.changes.notify()

    def _bot_sees(self, channel: Channel) -> bool:
        member = self.member(channel, self.bot)
        if member is None:
            return channel.guild is None
        return bool(permissions_in(member, channel) & Permission.VIEW_CHANNEL)


def _messages(message: Message) -> Intents:
    return Intents.GUILD_MESSAGES if message.channel.guild else Intents.DIRECT_MESSAGES


def _reactions(message: Message) -> Intents:
    in_guild = message.channel.guild is not None
    return Intents.GUILD_MESSAGE_REACTIONS if in_guild else Intents.DIRECT_MESSAGE_REACTIONS


def _key(emoji: str) -> str:
    # The variation selector is optional: ⏸ and ⏸️ are one reaction.
    return emoji.replace("\ufe0f", "")
