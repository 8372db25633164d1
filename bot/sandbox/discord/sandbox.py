"""The door for demo and tests: a Discord in memory, and what people do on it."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from bot.sandbox.discord import compose
from bot.sandbox.discord.client import (
    Invocation,
    NotPossible,
    Uploader,
    fill_options,
    find_command,
    press,
    refuse_large,
)
from bot.sandbox.discord.errors import ApiError, Json
from bot.sandbox.discord.gateway import Intents
from bot.sandbox.discord.interaction import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL_SUBMIT,
    Interaction,
)
from bot.sandbox.discord.modals import MOST_FILES, fill_modal
from bot.sandbox.discord.permissions import DEFAULT, NONE, Permission, demand, permissions_in
from bot.sandbox.discord.server import API, Request, Server
from bot.sandbox.discord.state import Channel, Guild, Member, Message, Reaction, Role, User
from bot.sandbox.discord.world import World

T = TypeVar("T")


class DiscordSandbox:
    """A guild with an owner, the bot, two channels and the approver role; more can be added.

    What people do happens at once and reaches the bot as events; what their client would not
    offer them raises NotPossible.
    """

    def __init__(
        self,
        *,
        token: str = "loopback.discord.token",
        guild: str = "The Kennel",
        granted: Intents | int = 0,
        upload_limit_bytes: int | None = None,
        port: int = 0,
    ) -> None:
        self._world = World(
            token=token, granted=Intents(granted), upload_limit_bytes=upload_limit_bytes
        )
        self._server = Server(self._world)
        self._port = port
        self.api_url = ""
        self.token = token
        self.bot = self._world.bot
        self.clock = self._world.clock
        self.gateway = self._world.gateway
        self.faults = self._server.faults
        self.rate_limits = self._server.rate_limits
        self.guild = self.add_guild(guild)
        self.owner = self.guild.members[self.guild.owner_id]
        self.general = self.add_channel("general")
        self.approvals = self.add_channel("approvals")
        self.approver = self.add_role("Approver")

    async def __aenter__(self) -> Self:
        address = await self._server.start(self._port)
        self.api_url = f"http://{address}{API}"
        self._world.gateway.url = f"ws://{address}/gateway"
        self._world.cdn.base_url = f"http://{address}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.stop()

    @property
    def requests(self) -> list[Request]:
        return self._server.requests

    @property
    def commands(self) -> list[Json]:
        return self._server.commands.of(self.guild.id)

    def advance(self, seconds: float) -> None:
        """Makes everything older: interactions, messages, attachment addresses, lost sessions."""
        self.clock.offset_s += seconds

    # Guilds, roles and people

    def add_guild(self, name: str) -> Guild:
        owner = self._add_user(f"owner of {name}", bot=False)
        guild = self._world.add_guild(name, owner)
        guild.roles[guild.id] = Role(guild.id, "@everyone", DEFAULT, 0)
        bot_role = self.add_role(self.bot.name, guild=guild, managed=True)
        for user, role_ids in ((owner, set[int]()), (self.bot, {bot_role.id})):
            guild.members[user.id] = Member(user, guild, self.clock.now_s(), role_ids)
        return guild

    def add_channel(self, name: str, *, guild: Guild | None = None) -> Channel:
        guild = guild or self.guild
        channel = Channel(self.clock.snowflake(), name, guild)
        guild.channels[channel.id] = channel
        self._world.tell_channel("CHANNEL_CREATE", channel)
        return channel

    def remove_channel(self, channel: Channel) -> None:
        if channel.guild is not None:
            self._world.tell_channel("CHANNEL_DELETE", channel)
            del channel.guild.channels[channel.id]

    def add_role(
        self,
        name: str,
        permissions: Permission = NONE,
        *,
        guild: Guild | None = None,
        mentionable: bool = False,
        managed: bool = False,
    ) -> Role:
        guild = guild or self.guild
        role = Role(
            self.clock.snowflake(), name, permissions, len(guild.roles), mentionable, managed
        )
        guild.roles[role.id] = role
        self._world.tell_role("GUILD_ROLE_CREATE", guild, role)
        return role

    def set_permissions(
        self,
        channel: Channel,
        who: Role | Member,
        *,
        allow: Permission = NONE,
        deny: Permission = NONE,
    ) -> None:
        """An overwrite of one channel, as its settings page makes it."""
        channel.overwrites[who.id] = (allow, deny)
        self._world.tell_channel("CHANNEL_UPDATE", channel)

    def add_member(
        self,
        name: str,
        roles: Iterable[Role] = (),
        *,
        bot: bool = False,
        has_nitro: bool = False,
        guild: Guild | None = None,
        user: User | None = None,
    ) -> Member:
        """A new person, or with `user` one who joins another guild or comes back."""
        guild = guild or self.guild
        user = user or self._add_user(name, bot=bot)
        user.has_nitro = user.has_nitro or has_nitro
        member = Member(user, guild, self.clock.now_s(), {role.id for role in roles})
        guild.members[user.id] = member
        self._world.tell_member("GUILD_MEMBER_ADD", member)
        return member

    def set_roles(self, member: Member, roles: Iterable[Role]) -> None:
        member.role_ids = {role.id for role in roles}
        self._world.tell_member("GUILD_MEMBER_UPDATE", member)

    def remove_member(self, member: Member) -> None:
        member.guild.members.pop(member.id, None)
        self._world.tell_member("GUILD_MEMBER_REMOVE", member)

    def _add_user(self, name: str, *, bot: bool) -> User:
        user = User(self.clock.snowflake(), name, bot)
        self._world.people[user.id] = user
        return user

    # Messages and reactions

    def say(
        self,
        member: Member,
        channel: Channel,
        content: str = "",
        *,
        reply_to: Message | None = None,
        mention: bool = True,
        files: Mapping[str, bytes] | None = None,
    ) -> Message:
        """Without `mention` a reply does not ping; to call the bot, put bot.mention in the text."""
        needed = Permission.SEND_MESSAGES | (Permission.ATTACH_FILES if files else NONE)
        self._may(member, channel, needed)
        if len(files or {}) > MOST_FILES:
            raise NotPossible(f"A message takes {MOST_FILES} files.")
        refuse_large(files or {}, self._world.limit_of_person_bytes(member.user, channel))
        allowed = {"parse": ["users", "roles", "everyone"], "replied_user": mention}
        message = Message(
            self.clock.snowflake(),
            channel,
            member.user,
            self.clock.now_s(),
            content=content,
            attachments=[
                self._world.cdn.store(channel.id, name, data)
                for name, data in (files or {}).items()
            ],
            reply_to=reply_to,
            pings=compose.pings(content, allowed, channel, member.user, reply_to),
        )
        return self._world.add_message(message)

    def delete_message(self, message: Message) -> None:
        self._world.delete_message(message)

    def react(self, member: Member, message: Message, emoji: str, *, burst: bool = False) -> None:
        is_new = not message.reactions.get(emoji.replace("\ufe0f", ""))
        needed = Permission.READ_MESSAGE_HISTORY | (Permission.ADD_REACTIONS if is_new else NONE)
        self._may(member, message.channel, needed)
        self._may_see(member, message)
        self._world.add_reaction(message, member.user, emoji, burst=burst)

    def unreact(self, member: Member, message: Message, emoji: str, *, burst: bool = False) -> None:
        if not self._world.remove_reaction(message, member.user, emoji, burst=burst):
            raise NotPossible(f"{member.name} has no {emoji} on this message.")

    def clear_reactions(self, message: Message, emoji: str | None = None) -> None:
        """What a moderator does: all reactions go, or all of one emoji."""
        if emoji is None:
            self._world.clear_reactions(message)
        else:
            self._world.clear_emoji(message, emoji)

    def reaction(self, message: Message, emoji: str) -> Reaction:
        return self._world.reaction(message, emoji)

    def messages(self, channel: Channel) -> list[Message]:
        return self._world.history(channel)

    def direct_messages(self, member: Member) -> list[Message]:
        return self._world.history(self._world.direct_channel(member.user))

    def attachment_url(self, message: Message, number: int = 0) -> str:
        return self._world.cdn.url(message.attachments[number])

    # Commands, components and modals

    def invoke(
        self,
        member: Member,
        command: str,
        options: Mapping[str, Any] | None = None,
        *,
        channel: Channel | None = None,
    ) -> Interaction:
        """`command` is the full name, such as "script write"; members, roles, channels and
        (filename, bytes) pairs are values of options of their kind."""
        channel = channel or self.general
        invocation = self._find_command(member, command, channel)
        uploader = self._uploader(member, channel)
        filled, resolved = fill_options(invocation, dict(options or {}), uploader)
        data = invocation.data(filled, resolved)
        return self._server.interactions.start(COMMAND, member, channel, data)

    def autocomplete(
        self,
        member: Member,
        command: str,
        option: str,
        value: str,
        *,
        options: Mapping[str, Any] | None = None,
        channel: Channel | None = None,
    ) -> Interaction:
        """What the client asks while `value` is being typed, after `options`; `choices` answers."""
        channel = channel or self.general
        invocation = self._find_command(member, command, channel)
        found = next((each for each in invocation.options if each["name"] == option), None)
        if found is None or not found.get("autocomplete"):
            raise NotPossible(f"/{command} has no option {option!r} with autocomplete.")
        typed = {"name": option, "type": found["type"], "value": value, "focused": True}
        filled, resolved = fill_options(
            invocation, dict(options or {}), self._uploader(member, channel), is_typing=True
        )
        data = invocation.data([*filled, typed], resolved)
        return self._server.interactions.start(AUTOCOMPLETE, member, channel, data)

    def _find_command(self, member: Member, command: str, channel: Channel) -> Invocation:
        self._may(member, channel, Permission.USE_APPLICATION_COMMANDS)
        invocation = find_command(self._server.commands.of(member.guild.id), command)
        needed = Permission(int(invocation.command["default_member_permissions"] or 0))
        if needed & ~permissions_in(member, channel):
            raise NotPossible(f"/{command} is hidden from {member.name}.")
        return invocation

    def click(
        self, member: Member, message: Message, what: str, *, values: Iterable[str] = ()
    ) -> Interaction:
        """Clicks the button with this label or custom_id, or picks values of this select."""
        self._may_see(member, message)
        data = press(message, what, list(values))
        return self._server.interactions.start(COMPONENT, member, message.channel, data, message)

    def submit_modal(self, opened_by: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Fills the modal that answered an interaction; keys are labels or custom_ids, values
        are texts, lists for selects, and for uploads {filename: bytes} or a list of pairs."""
        if opened_by.modal is None:
            raise NotPossible("No modal was opened.")
        channel = opened_by.channel
        uploader = self._uploader(opened_by.member, channel)
        data = fill_modal(opened_by.modal, values, uploader)
        return self._server.interactions.start(
            MODAL_SUBMIT, opened_by.member, channel, data, opened_by.origin
        )

    def _uploader(self, member: Member, channel: Channel) -> Uploader:
        limit_bytes = self._world.limit_of_person_bytes(member.user, channel)
        return Uploader(self._world.cdn, channel, limit_bytes)

    # Waiting

    async def wait_ready(self, timeout_s: float = 10.0) -> None:
        """Until the bot has identified or resumed on the gateway."""
        await self.wait_until(lambda: self.gateway.live_sessions, timeout_s, "the bot's login")

    async def wait_commands_synced(self, timeout_s: float = 10.0) -> None:
        commands = self._server.commands
        await self.wait_until(lambda: commands.is_synced, timeout_s, "a sync of commands")

    async def wait_for_message(
        self, predicate: Callable[[Message], bool], timeout_s: float = 10.0
    ) -> Message:
        """The first message, old or new, in any channel, that fits; looked at on each change."""

        def look() -> Message | None:
            there = (each for each in self._world.messages.values() if not each.is_deleted)
            return next((each for each in there if predicate(each)), None)

        found = await self.wait_until(look, timeout_s, "the awaited message")
        assert found is not None
        return found

    async def wait_until(self, look: Callable[[], T | None], timeout_s: float, what: str) -> T:
        return await self._world.changes.until(look, timeout_s, what)

    def _may(self, member: Member, channel: Channel, needed: Permission) -> None:
        if channel.guild is not member.guild or member.id not in member.guild.members:
            raise NotPossible(f"{member.name} is not where #{channel.name} is.")
        try:
            demand(member, channel, needed)
        except ApiError as error:
            raise NotPossible(f"{member.name} in #{channel.name}: {error}") from None

    def _may_see(self, member: Member, message: Message) -> None:
        self._may(member, message.channel, Permission.VIEW_CHANNEL)
        invoker = message.interaction and message.interaction["user"]["id"]
        is_hidden = message.is_ephemeral and invoker != str(member.id)
        if message.is_deleted or is_hidden:
            raise NotPossible(f"{member.name} sees no such message.")
