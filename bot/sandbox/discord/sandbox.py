"""The door for demo and tests: a Discord in memory, and what people do on it."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from bot.sandbox.discord import compose, interactions
from bot.sandbox.discord.commands import NotPossible, fill_options, find_command
from bot.sandbox.discord.errors import ApiError, Json
from bot.sandbox.discord.gateway import Intents
from bot.sandbox.discord.interactions import Interaction
from bot.sandbox.discord.permissions import DEFAULT, NONE, Permission, demand, permissions_in
from bot.sandbox.discord.server import API, Request, Server
from bot.sandbox.discord.state import Channel, Guild, Member, Message, Reaction, Role, User
from bot.sandbox.discord.world import World

T = TypeVar("T")
_BUTTON, _FILE_UPLOAD = 2, 19


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
        return self._server.interactions.commands(self.guild.id)

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
        guild: Guild | None = None,
        user: User | None = None,
    ) -> Member:
        """A new person, or with `user` one who joins another guild or comes back."""
        guild = guild or self.guild
        user = user or self._add_user(name, bot=bot)
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
        if message.is_deleted or message.is_ephemeral:
            raise NotPossible("There is no such message to react to.")
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
        filled, resolved = fill_options(
            invocation, dict(options or {}), cdn=self._world.cdn, channel=channel
        )
        data = invocation.data(filled, resolved)
        return self._server.interactions.start(interactions.COMMAND, member, channel, data)

    def autocomplete(
        self,
        member: Member,
        command: str,
        option: str,
        value: str,
        *,
        channel: Channel | None = None,
    ) -> Interaction:
        """What the client asks while `value` is being typed; `choices` holds the answer."""
        channel = channel or self.general
        invocation = self._find_command(member, command, channel)
        found = next((each for each in invocation.options if each["name"] == option), None)
        if found is None or not found.get("autocomplete"):
            raise NotPossible(f"/{command} has no option {option!r} with autocomplete.")
        typed = {"name": option, "type": found["type"], "value": value, "focused": True}
        data = invocation.data([typed], {})
        return self._server.interactions.start(interactions.AUTOCOMPLETE, member, channel, data)

    def _find_command(self, member: Member, command: str, channel: Channel) -> Any:
        self._may(member, channel, Permission.USE_APPLICATION_COMMANDS)
        invocation = find_command(self._server.interactions.commands(member.guild.id), command)
        needed = Permission(int(invocation.command["default_member_permissions"] or 0))
        if needed & ~permissions_in(member, channel):
            raise NotPossible(f"/{command} is hidden from {member.name}.")
        return invocation

    def click(
        self, member: Member, message: Message, what: str, *, values: Iterable[str] = ()
    ) -> Interaction:
        """Clicks the button with this label or custom_id, or picks values of this select."""
        self._may(member, message.channel, NONE)
        items = [item for row in message.components for item in row.get("components", [])]
        item = next((i for i in items if what in (i.get("label"), i.get("custom_id"))), None)
        if item is None or item.get("disabled") or item.get("url"):
            raise NotPossible(f"The message has no {what!r} to click on.")
        data = {"custom_id": item["custom_id"], "component_type": item["type"]}
        if item["type"] != _BUTTON:
            data["values"] = _picked(item, list(values))
        return self._server.interactions.start(
            interactions.COMPONENT, member, message.channel, data, message
        )

    def submit_modal(self, opened_by: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Fills the modal that answered an interaction; keys are labels or custom_ids, values
        are texts, lists for selects, and {filename: bytes} for uploads."""
        if opened_by.modal is None:
            raise NotPossible("No modal was opened.")
        resolved: Json = {}
        components = []
        left = dict(values)
        for item in interactions.modal_values(opened_by.modal):
            key = item["custom_id"] if item["custom_id"] in left else item["label"]
            components.append(self._fill_input(item, left.pop(key, None), opened_by, resolved))
        if left:
            raise NotPossible(f"The modal has no input {', '.join(left)}.")
        data = {"custom_id": opened_by.modal["custom_id"], "components": components}
        return self._server.interactions.start(
            interactions.MODAL_SUBMIT,
            opened_by.member,
            opened_by.channel,
            data | ({"resolved": resolved} if resolved else {}),
            opened_by.origin,
        )

    def _fill_input(self, item: Json, value: Any, opened_by: Interaction, resolved: Json) -> Json:
        filled: Json = {"type": item["type"], "custom_id": item["custom_id"]}
        if item.get("required", True) and not value:
            raise NotPossible(f"The modal's input {item['label'] or item['custom_id']!r} is empty.")
        if item["type"] == _FILE_UPLOAD:
            stored = [
                self._world.cdn.store(opened_by.channel.id, name, data)
                for name, data in (value or {}).items()
            ]
            filled["values"] = [str(each.id) for each in stored]
            from bot.sandbox.discord import payloads

            shown = {str(a.id): payloads.attachment(a, self._world.cdn.url) for a in stored}
            resolved.setdefault("attachments", {}).update(shown)
        elif isinstance(value, list):
            filled["values"] = _picked(item, value)
        else:
            filled["value"] = _typed(item, value or "")
        return {"type": 18, "component": filled}

    # Waiting

    async def wait_ready(self, timeout_s: float = 10.0) -> None:
        """Until the bot has identified or resumed on the gateway."""
        await self.wait_until(lambda: self.gateway.live_sessions, timeout_s, "the bot's login")

    async def wait_commands_synced(self, timeout_s: float = 10.0) -> None:
        synced = self._server.interactions
        await self.wait_until(lambda: synced.is_synced, timeout_s, "a sync of commands")

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


def _picked(item: Json, values: list[str]) -> list[str]:
    offered = [option["value"] for option in item.get("options", [])]
    if offered and not set(values) <= set(offered):
        raise NotPossible(f"The select offers {offered}, not {values}.")
    if not item.get("min_values", 1) <= len(values) <= item.get("max_values", 1):
        raise NotPossible(f"The select does not take {len(values)} values.")
    return values


def _typed(item: Json, value: str) -> str:
    if not item.get("min_length", 0) <= len(value) <= item.get("max_length", 4000):
        raise NotPossible(f"The modal's input {item['custom_id']!r} does not take this length.")
    return value
