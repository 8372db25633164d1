"""Interactions: what a person started, the bot's answer within 3 seconds, and what follows it."""

from aiohttp import web

from bot.sandbox.discord import compose, payloads
from bot.sandbox.discord.access import Route
from bot.sandbox.discord.commands import check_choices
from bot.sandbox.discord.errors import Form, Json, malformed, refusal
from bot.sandbox.discord.interaction import (
    ANSWER_WITHIN_S,
    AUTOCOMPLETE,
    CHOICES,
    COMMAND,
    COMPONENT,
    DEFER_REPLY,
    DEFER_UPDATE,
    MODAL,
    MODAL_SUBMIT,
    REPLY,
    UPDATE,
    Interaction,
)
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.modals import check_modal
from bot.sandbox.discord.permissions import permissions_in
from bot.sandbox.discord.state import EPHEMERAL, LOADING, Channel, Member, Message
from bot.sandbox.discord.world import World

TOKEN_LIFETIME_S = 900.0

_ALLOWED_CALLBACKS = {
    COMMAND: {REPLY, DEFER_REPLY, MODAL},
    COMPONENT: {REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE},
}


class Interactions:
    def __init__(self, world: World, messages: Messages) -> None:
        self._world = world
        self._messages = messages
        self._started: dict[int, Interaction] = {}

    def routes(self) -> list[Route]:
        webhook = "/webhooks/{application_id}/{token}"
        return [
            ("POST", "/interactions/{interaction_id}/{token}/callback", self._callback),
            ("POST", webhook, self._follow_up),
            ("GET", webhook + "/messages/{message_id}", self._get),
            ("PATCH", webhook + "/messages/{message_id}", self._edit),
            ("DELETE", webhook + "/messages/{message_id}", self._delete),
        ]

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
        is_update_of_nothing = kind == UPDATE and interaction.origin is None
        if kind not in _ALLOWED_CALLBACKS[interaction.kind] or is_update_of_nothing:
            raise malformed("type", f"Type {kind} does not answer this interaction.")
        self._answer(interaction, kind, compose.Body(data, body.uploads))
        interaction.callback = kind
        self._world.changes.notify()
        return self._receipt(interaction) if request.query.get("with_response") == "1" else None

    def _open(self, request: web.Request) -> Interaction:
        interaction = self._started.get(compose.snowflake(request.match_info["interaction_id"]))
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
                self._messages.change(interaction.origin, body)
        elif kind == CHOICES:
            form = Form()
            check_choices(form, body.json.get("choices"), ("choices",))
            form.finish()
            interaction.choices = body.json["choices"]
        else:
            check_modal(body.json)
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
        self._messages.change(message, body, flags=message.flags & ~LOADING)

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
        message = self._messages.prepare(body, interaction.channel)
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
