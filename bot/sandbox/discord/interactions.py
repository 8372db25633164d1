"""Interactions: what a person started, the bot's answer within 3 seconds, and what follows it."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.sandbox.discord import commands, compose, payloads
from bot.sandbox.discord.changes import Changes
from bot.sandbox.discord.errors import ApiError, Form, Json, refusal
from bot.sandbox.discord.permissions import permissions_in
from bot.sandbox.discord.rest import Rest, Route
from bot.sandbox.discord.state import EPHEMERAL, LOADING, Channel, Member, Message
from bot.sandbox.discord.world import World

ANSWER_WITHIN_S = 3.0
TOKEN_LIFETIME_S = 900.0
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9

_ALLOWED_CALLBACKS = {
    COMMAND: {REPLY, DEFER_REPLY, MODAL},
    COMPONENT: {REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE},
}


@dataclass(eq=False)
class Interaction:
    """One use of a command, component or modal, seen from the person who started it."""

    id: int
    kind: int
    member: Member
    channel: Channel
    data: Json
    created_s: float
    changes: Changes = field(repr=False)
    origin: Message | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    callback: int | None = None
    response: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: list[Json] = field(default_factory=list)
    modal: Json | None = None

    @property
    def is_deferred(self) -> bool:
        return self.callback in (DEFER_REPLY, DEFER_UPDATE)

    @property
    def is_ephemeral(self) -> bool:
        return self.response is not None and self.response.is_ephemeral

    @property
    def messages(self) -> list[Message]:
        """The response and its followups, as far as they are filled and still there."""
        answers = [self.response] if self.response and self.response is not self.origin else []
        sent = answers + self.followups
        return [each for each in sent if not each.is_loading and not each.is_deleted]

    async def answered(self, timeout_s: float = ANSWER_WITHIN_S) -> "Interaction":
        """Waits for the callback; without one Discord says "the application did not respond"."""
        what = "an answer to the interaction"
        await self.changes.until(lambda: self.callback is not None, timeout_s, what)
        return self

    async def replied(self, timeout_s: float = 10.0) -> Message:
        """Waits until there is something to read: the reply, or what fills a deferred one."""
        what = "a reply to the interaction"
        return (await self.changes.until(lambda: self.messages, timeout_s, what))[0]


class Interactions:
    def __init__(self, world: World, rest: Rest) -> None:
        self._world = world
        self._rest = rest
        self._started: dict[int, Interaction] = {}
        # by guild, None for the global ones
        self._commands: dict[int | None, list[Json]] = {}

    def routes(self) -> list[Route]:
        application = "/applications/{application_id}"
        webhook = "/webhooks/{application_id}/{token}"
        return [
            ("PUT", application + "/commands", self._sync),
            ("GET", application + "/commands", self._synced),
            ("PUT", application + "/guilds/{guild_id}/commands", self._sync),
            ("GET", application + "/guilds/{guild_id}/commands", self._synced),
            ("POST", "/interactions/{interaction_id}/{token}/callback", self._callback),
            ("POST", webhook, self._follow_up),
            ("GET", webhook + "/messages/{message_id}", self._get),
            ("PATCH", webhook + "/messages/{message_id}", self._edit),
            ("DELETE", webhook + "/messages/{message_id}", self._delete),
        ]

    # Commands

    @property
    def is_synced(self) -> bool:
        return any(self._commands.values())

    def commands(self, guild_id: int) -> list[Json]:
        """The guild's commands, then the global ones that they do not hide."""
        own = self._commands.get(guild_id, [])
        names = {each["name"] for each in own}
        return own + [each for each in self._commands.get(None, []) if each["name"] not in names]

    async def _sync(self, request: web.Request) -> list[Json]:
        guild_id = self._scope(request)
        self._commands[guild_id] = commands.register(
            (await compose.read_body(request)).json,
            application_id=self._world.bot.id,
            guild_id=guild_id,
            fresh_id=self._world.clock.snowflake,
        )
        self._world.changes.notify()
        return self._commands[guild_id]

    async def _synced(self, request: web.Request) -> list[Json]:
        return self._commands.get(self._scope(request), [])

    def _scope(self, request: web.Request) -> int | None:
        if int(request.match_info["application_id"]) != self._world.bot.id:
            raise ApiError(404, 10002, "Unknown Application")
        guild_id = request.match_info.get("guild_id")
        if guild_id is None:
            return None
        if int(guild_id) not in self._world.guilds:
            raise refusal(50001)
        return int(guild_id)

    # Starting one

    def start(
        self, kind: int, member: Member, channel: Channel, data: Json, origin: Message | None = None
    ) -> Interaction:
        world = self._world
        interaction = Interaction(
            world.clock.snowflake(),
            kind,
            member,
            channel,
            data,
            world.clock.now_s(),
            world.changes,
            origin,
        )
        self._started[interaction.id] = interaction
        payload = self._payload(interaction)
        world.gateway.dispatch("INTERACTION_CREATE", lambda _: payload)
        return interaction

    def _payload(self, interaction: Interaction) -> Json:
        member, channel, world = interaction.member, interaction.channel, self._world
        bot = member.guild.members[world.bot.id]
        payload: Json = {
            "id": str(interaction.id),
            "application_id": str(world.bot.id),
            "type": interaction.kind,
            "token": interaction.token,
            "version": 1,
            "data": interaction.data,
            "guild_id": str(member.guild.id),
            "guild": {"id": str(member.guild.id), "locale": "en-US", "features": []},
            "channel_id": str(channel.id),
            "channel": payloads.channel(channel) | {"permissions": "0"},
            "member": payloads.interacting_member(member, permissions_in(member, channel)),
            "app_permissions": str(int(permissions_in(bot, channel))),
            "locale": "en-US",
            "guild_locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(member.guild.id)},
            "context": 0,
            "attachment_size_limit": world.upload_limit_bytes(channel),
        }
        if interaction.origin is not None:
            payload["message"] = world.show(interaction.origin)
        return payload

    # The bot's answer

    async def _callback(self, request: web.Request) -> Json | None:
        interaction = self._open(request)
        body = await compose.read_body(request)
        kind, data = body.json.get("type"), body.json.get("data") or {}
        if kind not in _ALLOWED_CALLBACKS[interaction.kind]:
            form = Form()
            form.require(False, ("type",), f"Type {kind} does not answer this interaction.")
            form.finish()
        self._answer(interaction, kind, compose.Body(data, body.uploads))
        interaction.callback = kind
        self._world.changes.notify()
        return self._receipt(interaction) if request.query.get("with_response") == "1" else None

    def _open(self, request: web.Request) -> Interaction:
        interaction = self._started.get(int(request.match_info["interaction_id"]))
        if interaction is None or interaction.token != request.match_info["token"]:
            raise refusal(10062)
        if interaction.callback is not None:
            raise refusal(40060)
        if self._age_s(interaction) > ANSWER_WITHIN_S:
            raise refusal(10062)
        return interaction

    def _answer(self, interaction: Interaction, kind: int, body: compose.Body) -> None:
        if kind == REPLY:
            interaction.response = self._post(interaction, body)
        elif kind == DEFER_REPLY:
            flags = LOADING | (body.json.get("flags", 0) & EPHEMERAL)
            interaction.response = self._world.add_message(self._empty(interaction, flags))
        elif kind in (UPDATE, DEFER_UPDATE):
            interaction.response = interaction.origin
            if kind == UPDATE and interaction.origin is not None:
                self._rest.change_message(interaction.origin, body)
        elif kind == CHOICES:
            form = Form()
            commands.check_choices(form, body.json.get("choices"), ("choices",))
            form.finish()
            interaction.choices = body.json["choices"]
        else:
            compose.check_modal(body.json)
            interaction.modal = body.json

    def _receipt(self, interaction: Interaction) -> Json:
        receipt: Json = {"id": str(interaction.id), "type": interaction.kind}
        payload: Json = {"interaction": receipt}
        if interaction.response is not None:
            receipt |= {
                "response_message_id": str(interaction.response.id),
                "response_message_loading": interaction.response.is_loading,
                "response_message_ephemeral": interaction.is_ephemeral,
            }
            payload["resource"] = {
                "type": interaction.callback,
                "message": self._world.show(interaction.response),
            }
        return payload

    # What follows, through the interaction's webhook

    async def _follow_up(self, request: web.Request) -> Json:
        interaction = self._answered(request)
        body = await compose.read_body(request)
        response = interaction.response
        if response is not None and response.is_loading:
            self._fill(response, body)
            return self._world.show(response)
        message = self._post(interaction, body)
        interaction.followups.append(message)
        return self._world.show(message)

    async def _get(self, request: web.Request) -> Json:
        return self._world.show(self._message(request))

    async def _edit(self, request: web.Request) -> Json:
        message = self._message(request)
        self._fill(message, await compose.read_body(request))
        return self._world.show(message)

    async def _delete(self, request: web.Request) -> None:
        self._world.delete_message(self._message(request))

    def _fill(self, message: Message, body: compose.Body) -> None:
        # Whether a deferred message is ephemeral was settled when it was deferred.
        self._rest.change_message(message, body, flags=message.flags & ~LOADING)

    def _answered(self, request: web.Request) -> Interaction:
        token = request.match_info["token"]
        found = (each for each in self._started.values() if each.token == token)
        interaction = next(found, None)
        is_ours = request.match_info["application_id"] == str(self._world.bot.id)
        if interaction is None or not is_ours or interaction.callback is None:
            raise refusal(10015)
        if self._age_s(interaction) > TOKEN_LIFETIME_S:
            raise refusal(50027)
        return interaction

    def _message(self, request: web.Request) -> Message:
        interaction = self._answered(request)
        wanted = request.match_info["message_id"]
        if wanted == "@original":
            message = interaction.response
        else:
            sent = [interaction.response, *interaction.followups]
            message = next((each for each in sent if each and str(each.id) == wanted), None)
        if message is None or message.is_deleted:
            raise refusal(10008)
        return message

    def _post(self, interaction: Interaction, body: compose.Body) -> Message:
        message = self._rest.compose_message(body, interaction.channel)
        message.interaction = self._metadata(interaction)
        return self._world.add_message(message)

    def _empty(self, interaction: Interaction, flags: int) -> Message:
        world = self._world
        return Message(
            world.clock.snowflake(),
            interaction.channel,
            world.bot,
            world.clock.now_s(),
            flags=flags,
            interaction=self._metadata(interaction),
        )

    def _metadata(self, interaction: Interaction) -> Json:
        metadata: Json = {
            "id": str(interaction.id),
            "type": interaction.kind,
            "user": payloads.user(interaction.member.user),
            "authorizing_integration_owners": {"0": str(interaction.member.guild.id)},
        }
        if interaction.kind == COMPONENT and interaction.origin is not None:
            metadata["interacted_message_id"] = str(interaction.origin.id)
        if interaction.kind == MODAL_SUBMIT:
            source = dict(metadata, type=COMMAND)
            metadata["triggering_interaction_metadata"] = source
        return metadata

    def _age_s(self, interaction: Interaction) -> float:
        return self._world.clock.now_s() - interaction.created_s


def modal_values(modal: Json) -> list[Json]:
    """The inputs of a modal, from rows (1) and labels (18) alike."""
    found: list[Json] = []
    for row in modal["components"]:
        inputs: list[Any] = row.get("components") or [row.get("component")]
        found += [
            each | {"label": each.get("label") or row.get("label")} for each in inputs if each
        ]
    return found
