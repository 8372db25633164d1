"""Reads and checks the body of a message as the real Discord does, and works out whom it pings."""

import json
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web

from bot.sandbox.discord.errors import Form, Json, malformed, refusal
from bot.sandbox.discord.permissions import Permission, permissions_in
from bot.sandbox.discord.state import COMPONENTS_V2, Channel, Member, Message, Pings, User

MAX_REQUEST_BYTES = 25 * 2**20
MAX_EMBED_CHARACTERS = 6000
_BUTTON, _STRING_SELECT = 2, 3


@dataclass(frozen=True)
class Upload:
    index: int
    filename: str
    data: bytes


@dataclass(frozen=True)
class Body:
    """The JSON of a request and the files that came with it (files[n] of a multipart form)."""

    json: Any
    uploads: tuple[Upload, ...] = ()


async def read_body(request: web.Request) -> Body:
    if request.content_type != "multipart/form-data":
        return Body(_parse(await request.text() or "{}"))
    # Not post(): it leaves a temporary file open when the client goes away in the middle.
    payload, uploads, size = "{}", [], 0
    async for part in MultipartReader(request.headers, request.content):
        if not isinstance(part, BodyPartReader):
            raise refusal(50109)
        data = await part.read()
        size += len(data)
        found = re.fullmatch(r"files\[(\d{1,2})\]", part.name or "")
        if part.name == "payload_json":
            payload = data.decode(errors="replace")
        elif found and size <= MAX_REQUEST_BYTES:
            uploads.append(Upload(int(found[1]), part.filename or "", bytes(data)))
    if size > MAX_REQUEST_BYTES:
        raise refusal(40005)
    return Body(_parse(payload), tuple(uploads))


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise refusal(50109) from None


def check_message(body: Json, uploads: tuple[Upload, ...], *, upload_limit_bytes: int) -> None:
    if any(len(upload.data) > upload_limit_bytes for upload in uploads):
        raise refusal(40005)
    form = Form()
    form.length(body.get("content") or "", ("content",), 2000)
    form.length(str(body.get("nonce") or ""), ("nonce",), 25)
    _check_embeds(form, body.get("embeds") or [])
    _check_components(form, body)
    _check_attachments(form, body.get("attachments") or [], uploads)
    _check_allowed_mentions(form, body.get("allowed_mentions") or {})
    form.finish()


def _check_embeds(form: Form, embeds: list[Json]) -> None:
    form.count(embeds, ("embeds",), 10)
    total = 0
    for number, embed in enumerate(embeds):
        path = ("embeds", number)
        author, footer = embed.get("author") or {}, embed.get("footer") or {}
        parts: list[tuple[Any, tuple[str | int, ...], int]] = [
            (embed.get("title"), (*path, "title"), 256),
            (embed.get("description"), (*path, "description"), 4096),
            (footer.get("text"), (*path, "footer", "text"), 2048),
            (author.get("name"), (*path, "author", "name"), 256),
        ]
        fields = embed.get("fields") or []
        form.count(fields, (*path, "fields"), 25)
        for at, field in enumerate(fields):
            for key, most in (("name", 256), ("value", 1024)):
                place: tuple[str | int, ...] = (*path, "fields", at, key)
                form.length(field.get(key), place, most, least=1)
                parts.append((field.get(key), place, most))
        for text, spot, most in parts:
            form.length(text or "", spot, most)
            total += len(text or "")
    form.require(
        total <= MAX_EMBED_CHARACTERS,
        ("embeds",),
        f"Embed size exceeds maximum size of {MAX_EMBED_CHARACTERS}",
    )


def _check_components(form: Form, body: Json) -> None:
    rows = body.get("components") or []
    if body.get("flags", 0) & COMPONENTS_V2:
        is_plain = body.get("content") or body.get("embeds")
        form.require(not is_plain, ("flags",), "Components V2 go without content and embeds.")
        return
    form.count(rows, ("components",), 5)
    custom_ids: list[str] = []
    for number, row in enumerate(rows):
        path = ("components", number)
        form.require(row.get("type") == 1, (*path, "type"), "Value must be one of {1}.")
        form.count(row.get("components"), (*path, "components"), 5, least=1)
        for at, item in enumerate(row.get("components") or []):
            check_component(form, item, (*path, "components", at))
            custom_ids.append(item.get("custom_id") or f"{number}.{at}")
    is_unique = len(custom_ids) == len(set(custom_ids))
    form.require(is_unique, ("components",), "Component custom id cannot be duplicated")


def check_component(form: Form, item: Json, path: tuple[str | int, ...]) -> None:
    if not (item.get("type") == _BUTTON and item.get("url")):
        form.length(item.get("custom_id"), (*path, "custom_id"), 100, least=1)
    if item.get("type") == _BUTTON:
        form.length(item.get("label") or "", (*path, "label"), 80)
    if item.get("type") == _STRING_SELECT:
        form.count(item.get("options"), (*path, "options"), 25, least=1)


def _check_attachments(form: Form, attachments: list[Json], uploads: tuple[Upload, ...]) -> None:
    most = max(len(attachments), len(uploads))
    form.require(most <= 10, ("attachments",), "Must be 10 or fewer in length.")
    indexes = {upload.index for upload in uploads}
    for number, attachment in enumerate(attachments):
        path = ("attachments", number)
        form.length(attachment.get("description") or "", (*path, "description"), 1024)
        is_known = int(attachment["id"]) in indexes or int(attachment["id"]) > 10
        form.require(is_known, (*path, "id"), "No file came with this id.")


def _check_allowed_mentions(form: Form, allowed: Json) -> None:
    for kind in ("users", "roles"):
        is_double = kind in allowed.get("parse", []) and allowed.get(kind)
        form.require(
            not is_double, ("allowed_mentions",), f"parse:[{kind!r}] and {kind}: [ids...] exclude"
        )


def require_something(message: Message) -> None:
    if not (message.content or message.embeds or message.attachments or message.components):
        raise refusal(50006)


def pings(
    content: str, allowed: Json | None, channel: Channel, author: User, reply_to: Message | None
) -> Pings:
    """Mentions in the text count as far as the allowed_mentions and the permissions let them."""
    user_ids = {int(found) for found in re.findall(r"<@!?(\d+)>", content)}
    role_ids = {int(found) for found in re.findall(r"<@&(\d+)>", content)}
    everyone = "@everyone" in content or "@here" in content
    pings_author = reply_to is not None and reply_to.interaction is None
    if allowed is not None:
        parse = allowed.get("parse", [])
        user_ids &= user_ids if "users" in parse else set(map(int, allowed.get("users") or []))
        role_ids &= role_ids if "roles" in parse else set(map(int, allowed.get("roles") or []))
        everyone &= "everyone" in parse
        pings_author = pings_author and bool(allowed.get("replied_user", "users" in parse))
    if pings_author and reply_to is not None:
        user_ids.add(reply_to.author.id)
    guild = channel.guild
    if guild is None:
        return Pings(frozenset(user_ids))
    member = guild.members.get(author.id)
    may_ping_all = member is not None and _may_ping_all(member, channel)
    known = {role_id for role_id in role_ids if role_id in guild.roles}
    pinged = {i for i in known if may_ping_all or guild.roles[i].mentionable}
    return Pings(frozenset(user_ids), frozenset(pinged), everyone and may_ping_all)


def _may_ping_all(member: Member, channel: Channel) -> bool:
    return bool(permissions_in(member, channel) & Permission.MENTION_EVERYONE)


def snowflake(text: str) -> int:
    if not text.isdecimal():
        raise malformed("id", f"{text!r} is not a snowflake.")
    return int(text)
