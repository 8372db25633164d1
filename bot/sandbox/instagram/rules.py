"""What the real platform refuses, in its own words and codes."""

import json
import re
from datetime import UTC
from typing import Any

from aiohttp import web

from bot.sandbox.instagram.records import Post

CREATE_PARAMETERS = {
    *("media_type", "caption", "share_to_feed", "thumb_offset", "cover_url", "upload_type"),
    *("video_url", "is_ai_generated", "audio_name", "location_id", "user_tags", "collaborators"),
}
CONTAINER_FIELDS = {"id", "status", "status_code", "video_status"}
PAGE_FIELDS = {"id": None, "name": None, "instagram_business_account": {"id", "username"}}
MEDIA_FIELDS = {"id", "caption", "permalink", "timestamp", "media_product_type", "media_type"}


class GraphError(Exception):
    """A refusal as the Graph API words it."""

    def __init__(self, message: str, code: int, subcode: int = 0, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.code = message, code
        self.body = error_body(message, code, subcode)
        self.status = status


def no_such_object(name: str) -> GraphError:
    return GraphError(
        f"Unsupported request. Object with ID '{name}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        100,
        33,
    )


def error_body(message: str, code: int, subcode: int = 0) -> str:
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    if subcode:
        error["error_subcode"] = subcode
    return json.dumps({"error": {**error, "is_transient": code in (1, 2, -1), "fbtrace_id": "AbC"}})


def media(post: Post) -> dict[str, Any]:
    return {
        "id": post.id,
        "caption": post.caption,
        "permalink": post.permalink,
        "timestamp": post.timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "media_product_type": "REELS",
        "media_type": "VIDEO",
    }


def caption(text: str) -> str:
    if len(text) > 2200:
        raise GraphError("The caption was too long.", 36004, 2207010)
    if len(re.findall(r"#\w+", text)) > 30 or len(re.findall(r"@\w+", text)) > 20:
        raise GraphError("You can only use up to 30 hashtags and 20 tags.", 100, 2207040)
    return text


def flag(parameters: dict[str, str], name: str) -> bool:
    value = parameters.get(name, "false")
    if value not in ("true", "false"):
        raise GraphError(f"Param {name} must be a boolean", 100)
    return value == "true"


def whole(parameters: dict[str, str], name: str) -> int | None:
    value = parameters.get(name)
    if value is not None and not value.isdecimal():
        raise GraphError(f"Param {name} must be a non-negative integer", 100)
    return None if value is None else int(value)


def fields(
    facts: dict[str, Any],
    parameters: dict[str, str],
    known: set[str],
    always: tuple[str, ...] = ("id",),
) -> dict[str, Any]:
    asked = [name for name in parameters.get("fields", "id").split(",") if name]
    for name in asked:
        if name not in known:
            raise GraphError(f"Tried accessing nonexisting field ({name})", 100)
    return {name: facts[name] for name in dict.fromkeys([*asked, *always])}


def nested(
    facts: dict[str, Any], parameters: dict[str, str], known: dict[str, set[str] | None]
) -> dict[str, Any]:
    """Fields of which some have fields of their own: `name,account{id,username}`.

    What an object lacks is left out, as the platform does.
    """
    found = {"id": facts["id"]}
    for name, inner in re.findall(r"(\w+)(?:\{([^}]*)\})?", parameters.get("fields", "id")):
        if name not in known:
            raise GraphError(f"Tried accessing nonexisting field ({name})", 100)
        asked = {"fields": inner or "id"}
        if name in facts:
            of_its_own = known[name]
            found[name] = fields(facts[name], asked, of_its_own) if of_its_own else facts[name]
    return found


def format_fault(data: bytes) -> str:
    """What the real processing says about a file that is no MP4 with its index in front."""
    boxes, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append(data[at + 4 : at + 8])
        at += size if size >= 8 else len(data)
    fine = boxes[:1] == [b"ftyp"] and b"moov" in boxes and b"mdat" in boxes
    if fine and boxes.index(b"moov") < boxes.index(b"mdat"):
        return ""
    return "Error: Media upload has failed with error code 2207026"


def upload_header(request: web.Request, name: str) -> int:
    value = request.headers.get(name, "")
    if not value.isdecimal():
        raise upload_refused("HeaderError", f"the header {name} is missing")
    return int(value)


def upload_refused(kind: str, message: str) -> GraphError:
    error = GraphError(message, 0)
    error.body = json.dumps(
        {"debug_info": {"retriable": kind != "HeaderError", "type": kind, "message": message}}
    )
    return error
